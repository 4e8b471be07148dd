"""Every kind of model that the configuration can describe: variables, shapes, and a training pass that fits."""
import numpy as np
import pytest
from google.protobuf import text_format

from aster.c_ops import ops
from aster.compat import IS_TF1, tf
from aster.model import build
from aster.model.build import build_model
from aster.model.decoder import AttentionDecoder
from aster.model.rnn import LstmCell
from aster.protos import convnet_pb2, hyperparams_pb2, model_pb2, rnn_cell_pb2

STYLE = "{ batch_norm { decay: 0.9 } }"
LSTM = "lstm_cell { num_units: 6 }"
GRU = "gru_cell { num_units: 6 initializer { orthogonal_initializer { } } }"


def model_config(convnet=f"crnn_net {{ tiny: true conv_hyperparams {STYLE} }}", cell=LSTM, predictor="", stn="",
                 extra="", rectify=True):
    rectifier = f"""spatial_transformer {{
      convnet {{ stn_convnet {{ tiny: true conv_hyperparams {STYLE} }} }} fc_hyperparams {STYLE}
      localization_h: 32 localization_w: 64 num_control_points: 6 {stn} }}"""
    text = """multi_predictors_recognition_model {{
      {}
      feature_extractor {{ convnet {{ {} }}
        bidirectional_rnn {{ fw_bw_rnn_cell {{ {} }} num_output_units: 5 }} }}
      predictor {{ name: "Forward" attention_predictor {{
        rnn_cell {{ {} }} num_attention_units: 4 max_num_steps: 6 beam_width: 3 {}
        label_map {{ character_set {{ built_in_set: LOWERCASE }} label_offset: 2 }} }} }}
      {}
    }}""".format(rectifier if rectify else "", convnet, cell, cell, predictor, extra)
    return text_format.Parse(text, model_pb2.Model())


BRANCHES = "crnn_net { tiny: true net_type: %s conv_hyperparams " + STYLE + " }"
MODELS = {
    "lstm": {}, "gru": {"cell": GRU}, "peepholes": {"cell": "lstm_cell { num_units: 6 use_peepholes: true }"},
    "unsynchronised": {"predictor": "sync: false"}, "sigmoid": {"stn": 'activation: "sigmoid" margin_x: 0.05'},
    "slope": {"stn": 'init_bias_pattern: "slope"'}, "two branches": {"convnet": BRANCHES % "TWO_BRANCHES"},
    "multi-attention": {"convnet": BRANCHES % "THREE_BRANCHES", "predictor": "multi_attention: true"},
    "multi-attention, unsynchronised": {"convnet": BRANCHES % "TWO_BRANCHES",
                                        "predictor": "multi_attention: true sync: false"},
    "slim": {"convnet": "resnet { num_units: [1, 1, 2, 1, 1] num_channels: [4, 4, 8, 8, 8, 12] "
                        f"conv_hyperparams {STYLE} }}"},
    "backward": {"predictor": "reverse: true"}, "no rectifier": {"rectify": False},
}


@pytest.mark.parametrize("message, oneof, builders", [
    (convnet_pb2.Convnet, "convnet_oneof", build._CONVNETS), (rnn_cell_pb2.RnnCell, "rnn_cell_oneof", build._CELLS),
    (hyperparams_pb2.Initializer, "initializer_oneof", build._INITIALIZERS),
    (hyperparams_pb2.Regularizer, "regularizer_oneof", build._REGULARIZERS)])
def test_every_choice_has_a_builder(message, oneof, builders):
    choices = {field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields}
    assert choices - {"custom"} == set(builders)


def size_of_images(options):
    return (32, 100) if options.get("rectify") is False else (64, 256)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_learns_and_reads(session, name):
    """The loss on two images falls, reading makes no other variables than training, and gives texts."""
    options = MODELS[name]
    images = np.zeros((2,) + size_of_images(options) + (3,), np.float32)
    images[0, :, 20:60] = 255.0
    tf.set_random_seed(3)
    model = build_model(model_config(**options))
    inputs = tf.placeholder(tf.float32, (None,) + images.shape[1:])
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        loss = tf.add_n(list(model.training_pass(inputs, tf.constant(["ab1", "c"])).losses.values()))
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            train = tf.train.AdamOptimizer(0.02).minimize(loss)
        names = set(v.op.name for v in tf.trainable_variables())
        recognition = model.recognize(inputs)
    assert set(v.op.name for v in tf.trainable_variables()) == names
    session.run(tf.global_variables_initializer())
    values = [session.run([loss, train], {inputs: images})[0] for _ in range(20)]
    texts, scores = session.run([recognition.texts, recognition.scores], {inputs: images})
    assert values[-1] < 0.7 * values[0], values
    assert all(set(text.decode()) <= set("0123456789abcdefghijklmnopqrstuvwxyz") for text in texts)
    assert np.isfinite(scores).all() and (scores < 0.0).all()


@pytest.mark.parametrize("options, expected", [
    ({"cell": GRU}, ["Forward/Predictor/decoder/sync_attention_wrapper/gru_cell/gates/kernel",
                     "Forward/Predictor/decoder/sync_attention_wrapper/gru_cell/candidate/bias"]),
    ({"predictor": "sync: false"}, ["Forward/Predictor/decoder/attention_wrapper/lstm_cell/kernel",
                                    "Forward/Predictor/decoder/attention_wrapper/bahdanau_attention/attention_v"]),
    (MODELS["multi-attention"],
     ["Forward/Predictor/memory_layer/kernel", "Forward/Predictor/memory_layer_2/kernel",
      "Forward/Predictor/decoder/sync_attention_wrapper/bahdanau_attention_1/query_layer/kernel",
      "FeatureExtractor/Convnet/Branch2/conv7/weights", "FeatureExtractor/Convnet/Branch1/conv5/BatchNorm/beta",
      "FeatureExtractor/BidirectionalRnn_Branch_2_0/bidirectional_rnn/bw/lstm_cell/bias"])])
def test_variables_have_the_published_names(options, expected):
    with tf.Graph().as_default():
        build_model(model_config(**options)).recognize(tf.placeholder(tf.float32, [None, 64, 256, 3]))
        names = [v.op.name for v in tf.global_variables()]
    assert [name for name in expected if name not in names] == []


def test_feature_maps_must_have_height_one():
    with tf.Graph().as_default():
        model = build_model(model_config(stn="output_h: 64"))
        with pytest.raises(ValueError, match="feature maps of height"):
            model.recognize(tf.placeholder(tf.float32, [None, 64, 256, 3]))


@pytest.mark.parametrize("stn", ["output_h: 3", "output_w: 2"])
def test_images_too_small_for_the_convnet_are_named(stn):
    with tf.Graph().as_default():
        model = build_model(model_config(stn=stn))
        with pytest.raises(ValueError, match="height .* too small for .*spatial_transformer.output_h and output_w"):
            model.recognize(tf.placeholder(tf.float32, [None, 64, 256, 3]))


def test_keypoints_supervise_the_rectifier(session):
    config = model_config()
    config.multi_predictors_recognition_model.keypoint_supervision = True
    config.multi_predictors_recognition_model.regression_loss.l2_regression_loss.weight = 2.0
    rng = np.random.RandomState(0)
    target = rng.uniform(size=[3, 6, 2]).astype(np.float32)
    model = build_model(config)
    assert model.num_supervised_points == 6
    result = model.training_pass(tf.constant(rng.uniform(0, 255, [3, 64, 256, 3]).astype(np.float32)),
                                 tf.constant(["a", "b", "c"]), tf.constant(target), tf.constant([1.0, 0.0, 1.0]))
    session.run(tf.global_variables_initializer())
    loss, points = session.run([result.losses["keypoints"], result.rectification.control_points])
    expected = 2.0 * np.mean([0.5 * np.sum(np.square(points[i] - target[i])) for i in (0, 2)])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_texts_longer_than_max_num_steps_are_cut(session):
    model = build_model(model_config())
    result = model.training_pass(tf.zeros([2, 64, 256, 3]), tf.constant(["abcdefghij", "abcde"])).teacher_forced[0]
    session.run(tf.global_variables_initializer())
    targets, lengths, logits = session.run([result.targets, result.lengths, result.logits])
    assert lengths.tolist() == [6, 6] and logits.shape == (2, 6, 38)
    assert targets.tolist() == [[12, 13, 14, 15, 16, 17], [12, 13, 14, 15, 16, 1]]


@pytest.mark.parametrize("sync, reverse, inputs, targets, lengths", [
    (True, False, [0, 5, 6, 7], [5, 6, 7, 1], 4), (True, True, [0, 7, 6, 5], [7, 6, 5, 1], 4),
    (False, False, [0, 0, 5, 6, 7], [0, 5, 6, 7, 1], 5)])
def test_teacher_forcing(session, sync, reverse, inputs, targets, lengths):
    decoder = AttentionDecoder("D", LstmCell(3), 9, num_attention_units=4, max_num_steps=10, sync=sync,
                               reverse=reverse)
    labels, length = tf.constant([[5, 6, 7, 1]]), tf.constant([3])
    result = decoder.teacher_force([tf.zeros([1, 4, 2])], labels, length)
    assert session.run([result.targets, result.lengths])[0].tolist() == [targets]
    assert session.run(result.lengths).tolist() == [lengths]
    if not reverse:
        assert session.run(decoder._teacher_forcing(labels, length)[0]).tolist() == [inputs]


@pytest.mark.parametrize("on_gpu, has_kernels, fused", [
    (False, False, True), (True, False, False), (True, True, True)])
def test_fused_ops_are_used_where_they_have_kernels(monkeypatch, on_gpu, has_kernels, fused):
    monkeypatch.setattr(ops, "HAS_GPU_KERNELS", has_kernels)
    with tf.Graph().as_default() as graph:
        build_model(model_config(), on_gpu=on_gpu).recognize(tf.placeholder(tf.float32, [None, 64, 256, 3]))
        kinds = {operation.type for operation in graph.get_operations()}
    assert ("AsterBeamSearch" in kinds) == ("AsterBilinearSample" in kinds) == fused


def kinds_in_bfloat16(graph):
    return {op.type for op in graph.get_operations() if op.outputs and op.outputs[0].dtype == tf.bfloat16}


@pytest.mark.skipif(IS_TF1, reason="mixed precision needs TensorFlow 2")
@pytest.mark.parametrize("name", ["lstm", "slim", "two branches"])
def test_mixed_precision_on_a_gpu(session, name):
    """The convnet computes in bfloat16, and all that is kept is float32. The graph is that of a GPU, run on a CPU."""
    config = model_config(**dict(MODELS[name], stn='init_bias_pattern: "slope"'))
    images = np.random.RandomState(0).uniform(0, 255, [8, 64, 256, 3]).astype(np.float32)
    tf.set_random_seed(3)
    results = {}
    for mixed in False, True:
        with tf.variable_scope(tf.get_variable_scope(), reuse=mixed):
            model = build_model(config, on_gpu=True, fused=False, mixed_precision=mixed)
            result = model.training_pass(images, tf.constant([b"one", b"two"] * 4))
        loss = tf.add_n(list(result.losses.values()))
        gradients = tf.gradients(loss, tf.trainable_variables())
        if not mixed:
            session.run(tf.global_variables_initializer())
            assert not kinds_in_bfloat16(session.graph)
        results[mixed] = session.run([loss] + gradients)
    kinds = kinds_in_bfloat16(session.graph)
    assert {"Conv2D", "FusedBatchNormV3", "Relu", "Conv2DBackpropFilter", "FusedBatchNormGradV3"} <= kinds
    assert not kinds & {"Tanh", "Sigmoid", "Softmax"}
    assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {tf.float32}
    np.testing.assert_allclose(results[True][0], results[False][0], rtol=0.02)
    exact, mixed = (np.concatenate([gradient.ravel() for gradient in results[key][1:]]) for key in (False, True))
    assert exact.dtype == mixed.dtype == np.float32
    assert np.dot(exact, mixed) > 0.8 * np.linalg.norm(exact) * np.linalg.norm(mixed)
