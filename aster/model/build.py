"""Configuration -> modules. The only file of the model that knows the configuration language.

Where a message has a `oneof`, a table below names the function that builds each choice.
"""
import functools
import types
from typing import Any, Dict, Optional

from aster import custom
from aster.c_ops import ops
from aster.compat import is_tensor_core_gpu, num_gpus, tf
from aster.data.charset import Charset
from aster.model import convnets, layers, rnn
from aster.model.ctc import CtcDecoder
from aster.model.decoder import AttentionDecoder
from aster.model.encoder import Encoder
from aster.model.localization import LocalizationNet
from aster.model.recognition import Predictor, RecognitionModel
from aster.model.rectifier import Rectifier
from aster.protos import hyperparams_pb2, loss_pb2, model_pb2, predictor_pb2, spatial_transformer_pb2


def build_model(config: model_pb2.Model, base_dir: Optional[str] = None, *, on_gpu: Optional[bool] = None,
                fused: bool = True, mixed_precision: bool = False) -> RecognitionModel:
    """Builds the model that a configuration describes; its methods create the variables.

    Args:
      config: checked by `aster.config`.
      base_dir: the experiment folder; files that the configuration names are looked up there first.
      on_gpu: whether the model will run on GPUs; None: where there are any.
      fused: True: by ASTER's fused ops where they have kernels for the model's devices, otherwise by standard
        operations, which are slower. False: by standard operations only.
      mixed_precision: whether the convnets compute in bfloat16 on GPUs. On CPUs the session does that, see
        `compat.session_config`.

    Returns:
      RecognitionModel.

    Raises:
      ValueError: a file or a custom component is missing or broken. The message names it.
    """
    fused = fused and can_fuse(on_gpu)
    fused_norm = fused and _runs_on_gpu(on_gpu) and is_tensor_core_gpu()
    in_bfloat16 = mixed_precision and _runs_on_gpu(on_gpu)
    config = config.multi_predictors_recognition_model
    rectifier = None
    if config.HasField("spatial_transformer"):
        rectifier = build_rectifier(config.spatial_transformer, base_dir, fused, fused_norm=fused_norm,
                                    in_bfloat16=in_bfloat16)
    predictors = [_predictor(predictor, base_dir, fused) for predictor in config.predictor]
    keypoint_weight = config.regression_loss.l2_regression_loss.weight if config.keypoint_supervision else None
    encoder = _encoder(config.feature_extractor, base_dir, fused, fused_norm, in_bfloat16)
    return RecognitionModel(rectifier, encoder, predictors, keypoint_weight)


def can_fuse(on_gpu: Optional[bool] = None) -> bool:
    """Tells whether ASTER's fused ops have kernels for the devices of a model.

    Args:
      on_gpu: whether the model will run on GPUs; None: where there are any.

    Returns:
      Whether they have.
    """
    return ops.HAS_GPU_KERNELS or not _runs_on_gpu(on_gpu)


def _runs_on_gpu(on_gpu):
    return num_gpus() > 0 if on_gpu is None else on_gpu


def build_rectifier(config: spatial_transformer_pb2.SpatialTransformer, base_dir: Optional[str] = None,
                    fused: bool = True, *, fused_norm: bool = False, in_bfloat16: bool = False) -> Rectifier:
    """Builds a rectifier alone.

    Args:
      config: its configuration.
      base_dir, fused: as in `build_model`.
      fused_norm: whether ASTER's op makes batch normalization in training.
      in_bfloat16: whether the convnet computes in bfloat16. What follows it never does: it finds coordinates.

    Returns:
      The Rectifier.
    """
    margins = (config.margin_x, config.margin_y)
    localization_net = LocalizationNet(
        # not folded: the last bit of a control point shows in the rectified image (see model/tps.py)
        _convnet(config.convnet, base_dir, fused_norm, in_bfloat16, fold=False),
        _layer_style(config.fc_hyperparams, fused_norm),
        input_size=(config.localization_h, config.localization_w), num_control_points=config.num_control_points,
        init_bias_pattern=config.init_bias_pattern, margins=margins, activation=config.activation,
        max_distance=config.max_control_point_distance)
    return Rectifier(localization_net, (config.output_h, config.output_w),
                     num_control_points=config.num_control_points, margins=margins, fused=fused,
                     wide=(config.wide_input_w, config.wide_output_w))


def _encoder(config, base_dir, fused, fused_norm, in_bfloat16):
    if config.HasField("custom"):
        return custom.build_network(config.custom, base_dir, rank=3, description="feature sequences [B, T, C]")
    rnns = [_bidirectional_rnn(layer, fused) for layer in config.bidirectional_rnn]
    return Encoder(_convnet(config.convnet, base_dir, fused_norm, in_bfloat16), rnns)


def _in_bfloat16(convnet):
    def network(images, is_training):
        feature_maps = convnet(tf.cast(images, tf.bfloat16), is_training)
        return [tf.cast(feature_map, images.dtype) for feature_map in feature_maps]
    return network


def _convnet(config, base_dir, fused_norm, in_bfloat16, fold=True):
    kind = config.WhichOneof("convnet_oneof")
    if kind == "custom":
        return custom.build_network(config.custom, base_dir, rank=4, description="feature maps [B, H, W, C]")
    net = getattr(config, kind)
    convnet = _CONVNETS[kind](net, _layer_style(net.conv_hyperparams, fused_norm)._replace(fold=fold))
    return _in_bfloat16(convnet) if in_bfloat16 else convnet


def _crnn_net(config, style):
    # the numbers of the enum net_type start at 0, for one branch
    return convnets.CrnnNet(style, _channels(config, convnets.CrnnNet), num_branches=config.net_type + 1)


def _resnet(config, style):
    return convnets.ResNet(style, config.num_channels or convnets.ResNet.CHANNELS,
                           config.num_units or convnets.ResNet.UNITS)


def _stn_convnet(config, style):
    return convnets.StnConvnet(style, _channels(config, convnets.StnConvnet))


def _channels(config, net):
    return config.num_channels or (net.TINY if config.tiny else net.CHANNELS)


_CONVNETS = {"crnn_net": _crnn_net, "resnet": _resnet, "stn_convnet": _stn_convnet}


def _bidirectional_rnn(config, fused):
    forward, backward = (_cell(config.fw_bw_rnn_cell, config.rnn_regularizer) for _ in range(2))
    return rnn.BidirectionalRnn(forward, backward, num_output_units=config.num_output_units,
                                fc_style=_layer_style(config.fc_hyperparams), fused=fused)


def _cell(config, regularizer):
    kind = config.WhichOneof("rnn_cell_oneof")
    cell = getattr(config, kind)
    return _CELLS[kind](cell, dict(initializer=_initializer(cell.initializer), regularizer=_regularizer(regularizer)))


_CELLS = {
    "lstm_cell": lambda config, options: rnn.LstmCell(
        config.num_units, forget_bias=config.forget_bias, use_peepholes=config.use_peepholes, **options),
    "gru_cell": lambda config, options: rnn.GruCell(config.num_units, **options),
}


def _predictor(config, base_dir, fused):
    kind = config.WhichOneof("predictor_oneof")
    predictor = getattr(config, kind)
    charset = Charset.from_config(predictor.label_map, base_dir)
    if kind == "custom_predictor":
        decoder = _custom_decoder(predictor, config.name, charset.num_labels, base_dir)
    elif kind == "ctc_predictor":
        loss = predictor.loss.ctc_loss
        decoder = CtcDecoder(config.name, charset.num_labels, max_characters=predictor.max_characters,
                             beam_width=predictor.beam_width, loss_weight=loss.weight,
                             sequence_normalize=loss.sequence_normalize)
    else:
        decoder = build_attention_decoder(predictor, config.name, charset.num_labels, fused)
    return Predictor(decoder, charset, loss_options(predictor.loss))


def loss_options(config: loss_pb2.Loss) -> Dict[str, Any]:
    """Returns the keyword arguments of `losses.sequence_cross_entropy` that a loss means."""
    loss = config.sequence_cross_entropy_loss
    return dict(weight=loss.weight, sequence_normalize=loss.sequence_normalize,
                sample_normalize=loss.sample_normalize, label_smoothing=loss.label_smoothing)


def build_attention_decoder(config: predictor_pb2.AttentionPredictor, name: str, num_labels: int,
                            fused: bool = True) -> AttentionDecoder:
    """Builds an attention decoder alone.

    Args:
      config: its configuration; of the label map and the loss it needs nothing.
      name: the scope of its variables.
      num_labels: size of the output, start and end label included.
      fused: as in `build_model`.

    Returns:
      The AttentionDecoder.
    """
    return AttentionDecoder(
        name, _cell(config.rnn_cell, config.rnn_regularizer), num_labels,
        num_attention_units=config.num_attention_units, max_num_steps=config.max_num_steps,
        beam_width=config.beam_width, reverse=config.reverse, sync=config.sync,
        multi_attention=config.multi_attention, fused=fused)


def _custom_decoder(config, name, num_labels, base_dir):
    decoder = custom.build(config.custom, base_dir, name=name, num_labels=num_labels)
    members = {}
    for member, old_name in ("name", ""), ("reverse", ""), ("max_characters", ""), ("teacher_force", "teach"), (
            "decode", "search"):  # the old names are of version 0.1
        value = getattr(decoder, member, getattr(decoder, old_name, None))
        if value is None:
            raise ValueError(f"factory {config.custom.factory!r} must return a decoder, but {decoder} has no {member}; "
                             "docs/extending.md shows one")
        members[member] = custom.naming_factory(config.custom.factory, value) if callable(value) else value
    if hasattr(decoder, "label_axes"):  # optional
        members["label_axes"] = custom.naming_factory(config.custom.factory, decoder.label_axes)
    return types.SimpleNamespace(**members)


def _layer_style(config, fused_norm=False):
    batch_norm = None
    if config.HasField("batch_norm"):
        norm = config.batch_norm
        batch_norm = layers.BatchNorm(decay=norm.decay, center=norm.center, scale=norm.scale, epsilon=norm.epsilon,
                                      train=norm.train, fused=fused_norm)
    return layers.LayerStyle(_initializer(config.initializer) or layers.variance_scaling(),
                             _regularizer(config.regularizer), _ACTIVATIONS[config.activation], batch_norm)


_ACTIVATIONS = {hyperparams_pb2.Hyperparams.NONE: None, hyperparams_pb2.Hyperparams.RELU: tf.nn.relu,
                hyperparams_pb2.Hyperparams.RELU_6: tf.nn.relu6}


def _initializer(config):
    """None where the configuration names none."""
    kind = config.WhichOneof("initializer_oneof")
    return _INITIALIZERS[kind](getattr(config, kind)) if kind else None


_INITIALIZERS = {
    "truncated_normal_initializer": lambda config: tf.truncated_normal_initializer(config.mean, config.stddev),
    "variance_scaling_initializer": lambda config: layers.variance_scaling(
        config.factor, config.Mode.Name(config.mode), config.uniform),
    "orthogonal_initializer": lambda config: tf.orthogonal_initializer(
        config.gain, config.seed if config.HasField("seed") else None),
    "uniform_initializer": lambda config: tf.random_uniform_initializer(config.minval, config.maxval),
}


def _regularizer(config):
    """None where there is no penalty."""
    kind = config.WhichOneof("regularizer_oneof")
    if kind is None or getattr(config, kind).weight == 0.0:
        return None
    return functools.partial(_REGULARIZERS[kind], getattr(config, kind).weight)


_REGULARIZERS = {
    "l1_regularizer": lambda weight, variable: weight * tf.reduce_sum(tf.abs(variable)),
    "l2_regularizer": lambda weight, variable: weight * tf.nn.l2_loss(variable),
}
