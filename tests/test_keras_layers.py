"""The layers of Keras 3. On TensorFlow 1.4, which has none, the import says so."""
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from aster.compat import IS_TF1, load_keras, tf
from aster.pretrained import SAMPLES
from aster.reading.recognizer import Recognizer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HAS_KERAS_3 = not IS_TF1
needs_keras_3 = pytest.mark.skipif(not HAS_KERAS_3, reason="TensorFlow 1.4 has no Keras 3")

if HAS_KERAS_3:
    import keras
    import tensorflow as tf2

    from aster.keras_layers import AttentionDecoder, Rectifier

SMALL_DECODER = dict(num_attention_units=8, max_num_steps=6, beam_width=2, rnn_cell={"lstm_cell": {"num_units": 8}})


@pytest.mark.skipif(HAS_KERAS_3, reason="TensorFlow 2 has Keras 3")
def test_tensorflow_1_is_told():
    with pytest.raises(ImportError, match="aster.keras_layers needs Keras 3, which needs TensorFlow 2"):
        import aster.keras_layers  # noqa: F401


@pytest.fixture(scope="module")
def recognizer():
    with Recognizer.from_experiment() as recognizer:
        yield recognizer


@pytest.fixture(scope="module")
def readings(recognizer):
    return list(recognizer.recognize(SAMPLES, details=True))


def some_images(seed=0, size=4):
    return np.random.RandomState(seed).uniform(0, 255, [size, 40, 90, 3]).astype(np.float32)


def classifier(rectifier):
    return keras.Sequential([keras.Input((40, 90, 3)), rectifier, keras.layers.GlobalAveragePooling2D(),
                             keras.layers.Dense(2)])


def fit(model, **options):
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    model.fit(some_images(), np.arange(4) % 2, batch_size=2, epochs=2, verbose=0)


def changed(layer, before):
    """The names of the weights that are not as before."""
    return {weight.name for weight, old in zip(layer.weights, before) if np.any(weight.numpy() != old)}


# The rectifier

@needs_keras_3
def test_a_new_one_starts_from_the_identity():
    ramp = np.broadcast_to(np.arange(100.0)[None, None, :, None], [1, 32, 100, 3])
    rectified = Rectifier(input_size=None)(ramp)
    np.testing.assert_allclose((rectified[:, :-1, 1:-1] + 1.0) * 127.5, ramp[:, :-1, 1:-1], atol=1.0)


@needs_keras_3
def test_it_rectifies_as_the_recognizer_does(readings):
    rectifiers = {width: Rectifier.from_experiment(return_control_points=True, input_size=(64, width))
                  for width in (256, 400)}
    for reading in readings:
        images, points = rectifiers[reading.image.shape[1]](reading.original[None])
        assert images.shape == (1, 32, 160 if reading.image.shape[1] == 400 else 100, 3)
        np.testing.assert_allclose(points[0], reading.control_points, atol=1e-5)
        np.testing.assert_allclose(images[0], reading.rectified, atol=1e-3)  # see model/tps.py for the tolerance


@needs_keras_3
@pytest.mark.parametrize("compiled", [False, True])
def test_every_weight_gets_a_gradient(compiled):
    rectifier = Rectifier.from_experiment()

    def gradients(images):
        with tf2.GradientTape() as tape:
            loss = tf2.reduce_mean(tf2.square(rectifier(images, training=True)))
        return tape.gradient(loss, rectifier.trainable_weights)

    found = (tf2.function(gradients) if compiled else gradients)(some_images())
    assert len(found) == len(rectifier.trainable_weights) == 22
    assert all(np.any(gradient.numpy()) for gradient in found)


@needs_keras_3
def test_gradients_are_those_of_differences():
    """Along the gradient of the last bias, which moves the control points."""
    rectifier = Rectifier.from_experiment()
    image = np.cos(np.arange(40)[:, None] / 9 + np.arange(90)[None] / 7)[None, :, :, None] * np.ones(3) * 100 + 128
    target = np.random.RandomState(0).uniform(-1, 1, [1, 32, 100, 3])

    def loss():
        return tf2.reduce_sum(rectifier(image) * target)

    with tf2.GradientTape() as tape:
        value = loss()
    bias = next(weight for weight in rectifier.trainable_weights if weight.name.endswith("fully_connected_1.biases"))
    gradient = tape.gradient(value, bias).numpy()
    step, start = 1e-3 * gradient / np.linalg.norm(gradient), bias.numpy()
    values = []
    for sign in 1, -1:
        bias.assign(start + sign * step)
        values.append(float(loss()))
    assert (values[0] - values[1]) / 2e-3 == pytest.approx(np.linalg.norm(gradient), rel=0.05)


@needs_keras_3
def test_fit_trains_the_weights_and_moves_the_averages():
    rectifier = Rectifier.from_experiment(freeze_batch_norm=False)
    before = rectifier_weights(rectifier)
    fit(classifier(rectifier))
    assert len(changed(rectifier, before)) == len(rectifier.weights) == 36


@needs_keras_3
def test_averages_move_toward_those_of_the_batch():
    """By a hundredth in a step, as the pretrained model's decay of 0.99 says; and not without `training`."""
    rectifier = Rectifier.from_experiment(freeze_batch_norm=False)
    rectifier(some_images())
    kernel, mean = (next(weight for weight in rectifier.weights if weight.name.endswith(name))
                    for name in ("conv1.weights", "conv1.BatchNorm.moving_mean"))
    before = mean.numpy()
    rectifier(some_images())
    np.testing.assert_array_equal(mean.numpy(), before)
    dark = 0.2 * some_images()
    rectifier(dark, training=True)
    images = tf.image.resize_images(tf.image.resize_images(dark, (64, 256)) * (2.0 / 255.0) - 1.0, (32, 64))
    of_batch = tf.reduce_mean(tf.nn.conv2d(images, kernel, [1, 1, 1, 1], "SAME"), (0, 1, 2)).numpy()
    assert np.abs(of_batch - before).max() > 0.1
    np.testing.assert_allclose(mean.numpy(), before + 0.01 * (of_batch - before), atol=1e-4)


@needs_keras_3
@pytest.mark.parametrize("options", [{}, {"trainable": False}, {"trainable": False, "freeze_batch_norm": False}])
def test_frozen_averages_stay(options):
    rectifier = Rectifier.from_experiment(**options)
    before = rectifier_weights(rectifier)
    fit(classifier(rectifier))
    assert changed(rectifier, before) == {weight.name for weight in rectifier.trainable_weights}
    assert not any("moving" in name for name in changed(rectifier, before))


def rectifier_weights(rectifier):
    rectifier.build((None, 40, 90, 3))
    return rectifier.get_weights()


@needs_keras_3
def test_training_leaves_nothing_in_the_graph():
    """An eager step must not add operations to collections, which would grow forever."""
    rectifier = Rectifier()
    rectifier(some_images(), training=True)
    assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)


@needs_keras_3
@pytest.mark.parametrize("input_size", [None, (50, 70)])
def test_images_of_any_size_and_type(input_size):
    """And the fields of a new rectifier."""
    rectifier = Rectifier(input_size=input_size, output_w=128, num_control_points=10, margin_x=0.0, margin_y=0.0)
    for dtype in np.uint8, np.float64:
        rectified = rectifier(np.full([2, 30, 57, 3], 255, dtype))
        assert rectified.shape == (2, 32, 128, 3)
        np.testing.assert_allclose(rectified, 1.0, atol=1e-4)
    assert rectifier.compute_output_shape((None, 30, 57, 3)) == (None, 32, 128, 3)
    assert Rectifier(output_w=200).compute_output_shape((None, 30, 57, 3)) == (None, 32, 200, 3)


# Saving

@needs_keras_3
def test_a_saved_model_is_the_same_model(tmp_path):
    model = classifier(Rectifier.from_experiment(name="straight"))
    fit(model)
    path = str(tmp_path / "model.keras")
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.predict(some_images(), verbose=0), model.predict(some_images(), verbose=0))
    layer = loaded.get_layer("straight")
    assert layer.get_config() == model.get_layer("straight").get_config()
    assert layer.freeze_batch_norm and layer.input_size == (64, 256)
    weights = str(tmp_path / "model.weights.h5")
    model.save_weights(weights)
    other = classifier(Rectifier())
    other.load_weights(weights)
    np.testing.assert_array_equal(other.predict(some_images(), verbose=0), model.predict(some_images(), verbose=0))


@needs_keras_3
def test_an_exported_model_is_the_same_model(tmp_path):
    model = classifier(Rectifier.from_experiment())
    model.export(str(tmp_path), verbose=False)
    loaded = tf2.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.serve(some_images()), model.predict(some_images(), verbose=0), atol=1e-4)


@needs_keras_3
def test_a_saved_decoder_reads_the_same(tmp_path):
    features = np.random.RandomState(0).normal(size=[3, 5, 7]).astype(np.float32)
    decoder = AttentionDecoder("ab c", reverse=True, **SMALL_DECODER)
    image = keras.Input((5, 7))
    model = keras.Model(image, decoder(image))
    path = str(tmp_path / "model.keras")
    model.save(path)
    loaded = keras.saving.load_model(path)
    for one, other in zip(model.predict(features, verbose=0), loaded.predict(features, verbose=0)):
        np.testing.assert_array_equal(one, other)
    assert loaded.layers[-1].characters == "ab c"


# What Keras may do with a layer

@needs_keras_3
@pytest.mark.parametrize("jit_compile", ["auto", False, True])
def test_fit_never_compiles_the_layers_by_xla(jit_compile, recwarn):
    model = classifier(Rectifier())
    fit(model, jit_compile=jit_compile)
    assert model.jit_compile is False
    assert any("jit_compile=False" in str(warning.message) for warning in recwarn) is (jit_compile is True)


@needs_keras_3
def test_xla_is_refused():
    rectifier, decoder = Rectifier(), AttentionDecoder("abc")
    with pytest.raises(ValueError, match="Rectifier 'rectifier.*' can't be compiled by XLA.*jit_compile=False"):
        tf2.function(rectifier, jit_compile=True)(some_images())
    with pytest.raises(ValueError, match="AttentionDecoder .* can't be compiled by XLA.*jit_compile=False"):
        tf2.function(decoder, jit_compile=True)(np.zeros([1, 4, 8], np.float32))


@needs_keras_3
def test_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = classifier(Rectifier.from_experiment())
        before = model.layers[0].get_weights()
        fit(model)
        assert len(changed(model.layers[0], before)) == 22
        assert AttentionDecoder("ab")(tf2.zeros([1, 4, 8], tf2.float16))[1].dtype == "float32"
        assert model.layers[0](some_images()).dtype == "float32" and model.layers[-1].compute_dtype == "float16"
    finally:
        keras.config.set_dtype_policy(policy)


@needs_keras_3
@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_another_type_is_refused(dtype):
    with pytest.raises(ValueError, match=f"computes in float32 only, not in {dtype}; leave dtype out"):
        Rectifier(dtype=dtype)


# A layer that would train nothing

class Hidden(keras.layers.Layer if HAS_KERAS_3 else object):
    """Has its rectifier where Keras does not look."""

    def __init__(self, rectifier):
        super().__init__()
        self.get = lambda: rectifier

    def call(self, images):
        return self.get()(images)


@needs_keras_3
@pytest.mark.parametrize("wrap", [lambda layer: keras.layers.Lambda(lambda x: layer(x)), Hidden])
def test_weights_that_keras_does_not_see_are_refused(wrap):
    rectifier = Rectifier()
    layer = wrap(rectifier)
    with pytest.raises(ValueError, match=f"'{rectifier.name}' would train nothing: .*{layer.name}"):
        layer(some_images())
    with pytest.raises(ValueError, match="would train nothing"):
        fit(classifier(layer))
    rectifier(some_images())  # alone it works


@needs_keras_3
def test_a_layer_of_your_own_may_have_one():
    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.rectifier = Rectifier()
            self.dense = keras.layers.Dense(2)

        def call(self, images, training=None):  # Keras tells the layers inside of training only by this argument
            return self.dense(keras.ops.mean(self.rectifier(images), (1, 2)))

    model = Mine()
    fit(model)
    assert len(model.trainable_weights) == 22 + 2
    assert all(np.any(weight.numpy()) for weight in model.weights if weight.name.endswith("moving_mean"))


@needs_keras_3
def test_a_graph_is_refused():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="would train nothing in a tf.Graph"):
        Rectifier()(tf.zeros([1, 40, 90, 3]))


@needs_keras_3
@pytest.mark.parametrize("module, name, value, message", [
    ("keras.backend", "backend", lambda: "jax", "Keras computes by jax here, where .* would train nothing"),
    ("keras", "__version__", "2.15.0", "needs Keras 3, and this is 2.15.0"),
])
def test_another_keras_is_refused(monkeypatch, module, name, value, message):
    monkeypatch.setattr(sys.modules[module], name, value)
    with pytest.raises(ImportError, match=message):
        load_keras()


@needs_keras_3
def test_a_backend_that_is_not_installed_is_named():
    done = subprocess.run([sys.executable, "-c", "import aster.keras_layers"], universal_newlines=True, cwd=ROOT,
                          env=dict(os.environ, KERAS_BACKEND="jax"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert re.search("ImportError: (aster.keras_layers needs Keras 3.*unset KERAS_BACKEND|Keras computes by jax here)",
                     done.stdout)


@needs_keras_3
@pytest.mark.parametrize("make, message", [
    (lambda: Rectifier(output_width=3), 'Rectifier: Message type .* has no field named "output_width".*configuration'),
    (lambda: Rectifier(num_control_points=5), "Rectifier: num_control_points: is 5, expected an even number"),
    (lambda: Rectifier(output_h=0), "Rectifier: output_h: is 0, expected 2 or more"),
    (lambda: Rectifier(input_size=(64,)), "input_size is .*expected"),
    (lambda: Rectifier()(np.zeros([1, 40, 90, 1])), r"expects images \[B, H, W, 3\], got shape \(1, 40, 90, 1\)"),
    (lambda: Rectifier(input_size=5), "input_size is 5, expected"),
    (lambda: Rectifier(input_size=(64, 25.5)), "input_size is .*expected"),
    (lambda: Rectifier(input_size="ab"), "input_size is ab, expected"),
    (lambda: Rectifier()(np.zeros([1, 40, 90, 3], bool)), "expects images with values 0 to 255, .* got bool"),
    (lambda: Rectifier()(keras.Input((40, 90, 3), dtype="bool")), "expects images with values 0 to 255, .* got bool"),
    (lambda: Rectifier.from_experiment(None), "exp_dir is None, expected the path of an experiment folder"),
    (lambda: AttentionDecoder.from_experiment(3), "exp_dir is 3, expected the path of an experiment folder"),
    (lambda: Rectifier.from_experiment("nowhere"), "nowhere"),
    (lambda: Rectifier.from_experiment(os.path.join(ROOT, "experiments", "lines")), "this model has no rectifier"),
    (lambda: AttentionDecoder("aba"), "characters is 'aba', expected"),
    (lambda: AttentionDecoder(""), "characters is '', expected"),
    (lambda: AttentionDecoder(None), "characters is None, expected"),
    (lambda: AttentionDecoder(b"ab"), "characters is b'ab', expected"),
    (lambda: AttentionDecoder(["a", "b"]), "characters is .'a', 'b'., expected"),
    (lambda: AttentionDecoder("ab", label_map={}), "label_map is not a field here"),
    (lambda: AttentionDecoder("ab", rnn_cell={"lstm_cell": {"num_units": 0}}), "rnn_cell.lstm_cell.num_units: is 0"),
    (lambda: AttentionDecoder.from_experiment(predictor="Up"), "no attention_predictor Up; .* Forward, Backward"),
    (lambda: AttentionDecoder.from_experiment()(np.zeros([1, 4, 8])), "not a checkpoint of .*shape"),
    (lambda: AttentionDecoder("ab")(np.zeros([1, 4, 8, 8])), r"expects features \[B, T, C\]"),
    (lambda: AttentionDecoder("ab")(np.zeros([1, 4, 8]), tf2.constant(["ab"])), r"expects labels .* by its encode"),
    (lambda: AttentionDecoder("ab")(np.zeros([1, 0, 8])), "T and C 1 or more, got shape .1, 0, 8."),
    (lambda: AttentionDecoder("ab").encode("ab"), "expects a list of texts .* got 'ab'"),
    (lambda: AttentionDecoder("ab").encode(b"ab"), "expects a list of texts .* got b'ab'"),
    (lambda: AttentionDecoder("ab").encode(None), "expects a list of texts .* got None"),
    (lambda: AttentionDecoder("ab").encode(3), "expects a list of texts .* got 3"),
    (lambda: AttentionDecoder("ab").encode(tf2.constant(["ab"])), "expects a list of texts .*text.decode"),
    (lambda: AttentionDecoder("ab").encode(["a", None]), "text 1 is None, a NoneType; expected a str"),
    (lambda: AttentionDecoder("ab").encode([b"ab"]), "text 0 is b'ab', a bytes; expected a str"),
    (lambda: AttentionDecoder("ab").encode(["a", "abc"]), "text 1, 'abc', has 'c', but the decoder writes 'ab' only"),
    (lambda: AttentionDecoder("ab", max_num_steps=3).encode(["aba"]), "has 3 characters, and the decoder writes 2 at"),
])
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@needs_keras_3
@pytest.mark.parametrize("shape", [(2, 40, 90, 1), (2, 40, 90, 4), (2, 3, 40, 90), (40, 90, 3), (2, 0, 90, 3)])
def test_other_shapes_are_refused_by_a_layer_that_is_built(shape):
    rectifier = Rectifier()
    rectifier(some_images(size=1))
    for images in np.zeros(shape, np.float32), keras.Input(batch_shape=shape):
        with pytest.raises(ValueError, match=r"expects images \[B, H, W, 3\], got shape .*the last axis"):
            rectifier(images)


@needs_keras_3
def test_images_of_another_scale_are_named_once(caplog):
    rectifier = Rectifier()
    for scale in 0.0, 1.0:
        rectifier(scale * some_images(size=1))
    assert not caplog.messages
    for _ in range(2):
        rectifier(some_images(size=1) / 127.5 - 1.0)
    message, = caplog.messages
    assert rectifier.name in message and "within -1 and 1, but the layer expects 0 to 255" in message


# The decoder

@needs_keras_3
@pytest.mark.parametrize("change, message", [
    (lambda labels: 0 * labels, "the label of text 0 at place 0 is 0; expected labels of characters, 2 to 4"),
    (lambda labels: labels + 3, "the label of text 0 at place 0 is 5"),
    (lambda labels: labels[:, ::-1], "the label of text 0 at place 2 is 4"),
    (lambda labels: labels[:, :2], r"expects labels int32 \[B, 5\] .* got int32 of shape \(2, 2\)"),
    (lambda labels: labels.astype(np.float32), "got float32 of shape"),
    (lambda labels: labels[:1], r"the B of the features, 2, got int32 of shape \(1, 5\)"),
    (lambda labels: keras.Input(batch_shape=(2, 5)), "got float32 .*dtype='int32'"),
])
def test_labels_that_encode_did_not_make_are_refused(change, message):
    decoder = AttentionDecoder("abc", **SMALL_DECODER)
    features, labels = np.zeros([2, 4, 8], np.float32), decoder.encode(["abc", "aaaaa"])
    decoder(features, labels)
    changed_labels = change(labels)
    with pytest.raises(ValueError, match=message):
        decoder(keras.Input(batch_shape=(2, 4, 8)) if keras.utils.is_keras_tensor(changed_labels) else features,
                changed_labels)


@needs_keras_3
@pytest.mark.parametrize("name", ["Forward", "Backward"])
def test_it_decodes_as_the_recognizer_does(recognizer, readings, name):
    decoder = AttentionDecoder.from_experiment(predictor=name)
    for reading in readings:
        _, sequences = recognizer._inference.search(reading.image[None])
        (text,), (score,) = decoder(sequences[0])
        assert text.numpy().decode() == reading.texts[name] and -1.0 < score <= 0.0


@needs_keras_3
@pytest.mark.parametrize("fields", [
    {}, {"reverse": True}, {"sync": False}, {"rnn_cell": {"gru_cell": {"num_units": 24}}},
    {"loss": {"sequence_cross_entropy_loss": {"label_smoothing": 0.01}}},
], ids=["lstm", "reverse", "unsynchronised", "gru", "smoothed"])
def test_it_learns_by_fit_and_reads(fields):
    keras.utils.set_random_seed(3)
    texts = ["a", "abc", "cab", "", "bb", "acca"]
    features = np.random.RandomState(0).normal(size=[6, 5, 16]).astype(np.float32)
    options = dict(SMALL_DECODER, rnn_cell={"lstm_cell": {"num_units": 24}}, max_num_steps=8)
    decoder = AttentionDecoder("abc", **dict(options, **fields))
    inputs, labels = keras.Input((5, 16)), keras.Input((decoder.max_characters,), dtype="int32")
    trainer = keras.Model([inputs, labels], decoder(inputs, labels))
    trainer.compile(keras.optimizers.Adam(0.02))
    history = trainer.fit([features, decoder.encode(texts)], batch_size=6, epochs=100, verbose=0).history["loss"]
    assert history[-1] < 0.3 * history[0]
    read, scores = keras.Model(inputs, decoder(inputs)).predict(features, verbose=0)
    assert [text.decode() for text in read] == texts
    assert np.all(scores <= 0.0)


@needs_keras_3
@pytest.mark.parametrize("reverse", [False, True])
def test_the_loss_is_minus_the_score_of_the_text(reverse):
    """So the text that is read is the one of the smallest loss."""
    keras.utils.set_random_seed(1)
    decoder = AttentionDecoder("ab", reverse=reverse, **dict(SMALL_DECODER, beam_width=16, max_num_steps=3))
    features = np.random.RandomState(0).normal(size=[1, 5, 7]).astype(np.float32)
    decoder(features)
    bias = next(weight for weight in decoder.weights if weight.name.endswith("dense.bias"))
    bias.assign([-9.0, 0.5, 0.0, 0.5])  # of start, end, a, b
    kernel = next(weight for weight in decoder.weights if weight.name.endswith("lstm_cell.kernel"))
    kernel.assign(8.0 * kernel)
    loss_of = {}
    for text in "", "a", "b", "aa", "ab", "ba", "bb":
        with tf2.GradientTape() as tape:
            logits, lengths = decoder(features, decoder.encode([text]))
            loss = sum(decoder.losses)
        assert logits.shape == (1, len(text) + 1, 4) and lengths.numpy().tolist() == [len(text) + 1]
        assert all(gradient is not None for gradient in tape.gradient(loss, decoder.trainable_weights))
        loss_of[text] = float(loss)
    texts, scores = decoder(features)
    text = texts.numpy()[0].decode()
    assert loss_of[text] == min(loss_of.values())
    assert float(scores[0]) == pytest.approx(-loss_of[text], abs=1e-4)


@needs_keras_3
def test_a_regularizer_adds_its_penalty():
    decoder = AttentionDecoder("ab", rnn_regularizer={"l2_regularizer": {"weight": 0.5}}, **SMALL_DECODER)
    decoder(np.zeros([1, 5, 7], np.float32))
    kernel = next(weight for weight in decoder.weights if weight.name.endswith("lstm_cell.kernel"))
    assert float(sum(decoder.losses)) == pytest.approx(0.25 * np.sum(np.square(kernel.numpy())), rel=1e-4)


# docs/library.md

@needs_keras_3
def test_the_examples_of_the_documentation(tmp_path):
    """The programs of each section, one after the other as they stand there, print what stands there."""
    with open(os.path.join(ROOT, "docs", "library.md"), encoding="utf-8") as stream:
        sections = [part for part in stream.read().split("\n## ") if "aster.keras_layers" in part]
    assert len(sections) == 2
    for section in sections:
        blocks = [(language, textwrap.dedent(text)) for language, text in re.findall(
            r"^ *```(\w*)\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)]
        programs = [text for language, text in blocks if language == "python"]
        printed = [text for language, text in blocks if language == ""]
        assert len(programs) == len(printed) > 0
        done = subprocess.run([sys.executable, "-c", "\n".join(programs)], universal_newlines=True, cwd=str(tmp_path),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))
        assert done.returncode == 0, done.stderr
        assert done.stdout == "".join(printed)
