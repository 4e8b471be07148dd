"""Configuration -> modules. The only file of the model that knows the configuration language."""
import functools

from aster import custom
from aster.c_ops import ops
from aster.compat import num_gpus, tf
from aster.data.charset import Charset
from aster.files import find_file
from aster.model import convnets, layers, rnn
from aster.model.decoder import AttentionDecoder
from aster.model.encoder import Encoder
from aster.model.localization import LocalizationNet
from aster.model.recognition import Predictor, RecognitionModel, WordList
from aster.model.rectifier import Rectifier
from aster.protos import hyperparams_pb2


def build_model(config, base_dir=None, on_gpu=None, fused=True):
    """protos.Model, checked by `aster.config` -> RecognitionModel. A charset file that isn't found from the
    working directory is looked up in `base_dir`. `on_gpu`: whether it shall run on GPUs, by default where there are
    any. It uses ASTER's fused ops where they have kernels for its devices, otherwise standard ones, more slowly, and
    with `fused` False those everywhere."""
    if fused and not ops.HAS_GPU_KERNELS:
        fused = not (num_gpus() > 0 if on_gpu is None else on_gpu)
    config = config.multi_predictors_recognition_model
    rectifier = None
    if config.HasField("spatial_transformer"):
        rectifier = _rectifier(config.spatial_transformer, base_dir, fused)
    predictors = [_predictor(predictor, base_dir, fused) for predictor in config.predictor]
    keypoint_weight = config.regression_loss.l2_regression_loss.weight if config.keypoint_supervision else None
    encoder = _encoder(config.feature_extractor, base_dir, fused)
    words = None
    if config.HasField("word_list"):
        words = WordList(find_file(config.word_list.text_file, base_dir), config.word_list.bonus_per_character)
    return RecognitionModel(rectifier, encoder, predictors, keypoint_weight, config.also_negatives, words)


def _rectifier(config, base_dir, fused):
    margins = (config.margin_x, config.margin_y)
    # not folded: the last bit of a control point shows in the rectified image (see model/tps.py)
    localization_net = LocalizationNet(
        _convnet(config.convnet, base_dir, fold=False), _layer_style(config.fc_hyperparams),
        (config.localization_h, config.localization_w), config.num_control_points,
        config.init_bias_pattern, margins, config.activation)
    return Rectifier(localization_net, (config.output_h, config.output_w), config.num_control_points, margins, fused)


def _encoder(config, base_dir, fused):
    if config.HasField("custom"):
        return custom.build_network(config.custom, 3, "feature sequences [B, T, C]", base_dir)
    rnns = [_bidirectional_rnn(layer, fused) for layer in config.bidirectional_rnn]
    return Encoder(_convnet(config.convnet, base_dir), rnns)


def _convnet(config, base_dir, fold=True):
    kind = config.WhichOneof("convnet_oneof")
    net = getattr(config, kind)
    if kind == "custom":
        return custom.build_network(net, 4, "feature maps [B, H, W, C]", base_dir)
    style = _layer_style(net.conv_hyperparams)._replace(fold=fold)
    if kind == "stn_convnet":
        return convnets.StnConvnet(style, _channels(net, convnets.StnConvnet))
    if kind == "crnn_net":
        return convnets.CrnnNet(style, net.net_type + 1, _channels(net, convnets.CrnnNet))
    return convnets.ResNet(style, net.num_channels or convnets.ResNet.CHANNELS, net.num_units or convnets.ResNet.UNITS)


def _channels(net, kind):
    return net.num_channels or (kind.TINY if net.tiny else kind.CHANNELS)


def _bidirectional_rnn(config, fused):
    cells = [_cell(config.fw_bw_rnn_cell, config.rnn_regularizer) for _ in range(2)]
    return rnn.BidirectionalRnn(cells[0], cells[1], config.num_output_units, _layer_style(config.fc_hyperparams),
                                fused)


def _cell(config, regularizer):
    regularizer = _regularizer(regularizer)
    if config.WhichOneof("rnn_cell_oneof") == "lstm_cell":
        cell = config.lstm_cell
        return rnn.LstmCell(cell.num_units, cell.forget_bias, cell.use_peepholes,
                            _initializer(cell.initializer), regularizer)
    return rnn.GruCell(config.gru_cell.num_units, _initializer(config.gru_cell.initializer), regularizer)


def _predictor(config, base_dir, fused):
    predictor = getattr(config, config.WhichOneof("predictor_oneof"))
    charset = Charset.from_config(predictor.label_map, base_dir)
    if config.WhichOneof("predictor_oneof") == "custom_predictor":
        decoder = custom.build(predictor.custom, base_dir, name=config.name, num_labels=charset.num_labels)
        for name, old_name in ("teacher_force", "teach"), ("decode", "search"):  # of version 0.1
            if not hasattr(decoder, name):
                setattr(decoder, name, getattr(decoder, old_name))
    else:
        decoder = AttentionDecoder(
            config.name, _cell(predictor.rnn_cell, predictor.rnn_regularizer), charset.num_labels,
            predictor.num_attention_units, predictor.max_num_steps, predictor.beam_width, predictor.reverse,
            predictor.sync, predictor.multi_attention, fused)
    loss = predictor.loss.sequence_cross_entropy_loss
    return Predictor(decoder, charset, dict(weight=loss.weight, sequence_normalize=loss.sequence_normalize,
                                            sample_normalize=loss.sample_normalize))


def _layer_style(config):
    activation = {hyperparams_pb2.Hyperparams.NONE: None, hyperparams_pb2.Hyperparams.RELU: tf.nn.relu,
                  hyperparams_pb2.Hyperparams.RELU_6: tf.nn.relu6}[config.activation]
    batch_norm = None
    if config.HasField("batch_norm"):
        norm = config.batch_norm
        batch_norm = layers.BatchNorm(norm.decay, norm.center, norm.scale, norm.epsilon, norm.train)
    initializer = _initializer(config.initializer) or layers.variance_scaling()
    return layers.LayerStyle(initializer, _regularizer(config.regularizer), activation, batch_norm)


def _initializer(config):
    """None where the configuration names none."""
    kind = config.WhichOneof("initializer_oneof")
    if kind is None:
        return None
    options = getattr(config, kind)
    if kind == "truncated_normal_initializer":
        return tf.truncated_normal_initializer(options.mean, options.stddev)
    if kind == "variance_scaling_initializer":
        return layers.variance_scaling(options.factor, options.Mode.Name(options.mode), options.uniform)
    if kind == "orthogonal_initializer":
        return tf.orthogonal_initializer(options.gain, options.seed if options.HasField("seed") else None)
    return tf.random_uniform_initializer(options.minval, options.maxval)


def _regularizer(config):
    """None where there is no penalty."""
    kind = config.WhichOneof("regularizer_oneof")
    if kind is None or getattr(config, kind).weight == 0.0:
        return None
    return functools.partial(_l1 if kind == "l1_regularizer" else _l2, getattr(config, kind).weight)


def _l1(weight, variable):
    return weight * tf.reduce_sum(tf.abs(variable))


def _l2(weight, variable):
    return weight * tf.nn.l2_loss(variable)
