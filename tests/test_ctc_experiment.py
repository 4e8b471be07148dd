"""A model with CTC, alone and beside attention, through all that a user does with a model."""
import json
import os
import re

import numpy as np
import pytest
from experiment import WORDS, draw_word, make_experiment, run

import aster.eval
from aster import command, export, losses
from aster.compat import tf
from aster.config import ConfigError, read_config
from aster.data.image import load_image
from aster.model.build import build_model
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

CTC = """predictor { name: "Ctc" ctc_predictor { beam_width: 4 max_characters: 6
  label_map { character_set { built_in_set: LOWERCASE } } } }"""
LEARN = "adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.005 } } }"


def with_ctc(folder, beside=False, **options):
    """Writes the tiny experiment. CTC replaces its decoder, or stands beside it."""
    make_experiment(folder, **options)
    path = os.path.join(str(folder), "config", "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    start, end = text.index("  predictor {"), text.index("} }\ntrain_config")
    if beside:
        text = text[:end] + CTC + text[end:]
    else:  # and without the rectifier it learns in seconds
        rectifier, encoder = text.index("  spatial_transformer {"), text.index("  feature_extractor {")
        text = text[:rectifier] + text[encoder:start].replace("num_units: 8", "num_units: 32") + CTC + text[end:]
        text = text.replace("target_height: 64 target_width: 256", "target_height: 32 target_width: 100")
    with open(path, "w") as stream:
        stream.write(text)
    return str(folder)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """An experiment that has learnt its few words by CTC alone."""
    folder = with_ctc(tmp_path_factory.mktemp("ctc"), num_steps=400, batch_size=8, optimizer=LEARN, train="seed: 1")
    train(read_config(folder), folder, clone_on_cpu=True)
    return folder


@pytest.fixture
def images(tmp_path):
    paths = [str(tmp_path / f"{word}.jpg") for word in WORDS]
    for path, word in zip(paths, WORDS):
        with open(path, "wb") as stream:
            stream.write(draw_word(word))
    return paths


def test_it_learns_and_reads(learnt, images, capsys):
    with Recognizer.from_experiment(learnt) as recognizer:
        readings = list(recognizer.recognize(images, details=True))
    assert [reading.text for reading in readings] == WORDS
    assert all(reading.score <= 1e-3 for reading in readings)
    assert run(aster.eval, "--exp_dir", learnt, "--norepeat") is None
    assert "word accuracy 100.00 %" in capsys.readouterr().out


def test_a_lexicon(learnt, images):
    with Recognizer.from_experiment(learnt, lexicon=["tea", "red", "moon"]) as recognizer:
        texts = [reading.text for reading in recognizer.recognize(images)]
    assert set(texts) <= {"tea", "red", "moon"}
    assert texts[WORDS.index("tea")] == "tea" and texts[WORDS.index("red")] == "red"


def test_no_word_of_the_lexicon_fits(learnt, images):
    with Recognizer.from_experiment(learnt, lexicon=["aaaaaa"]) as recognizer:
        readings = list(recognizer.recognize(images[:2]))
    assert all(reading.text in ("", "aaaaaa") for reading in readings)


def test_the_best_path_reads_the_same(learnt, images):
    greedy = CTC.replace("beam_width: 4", "beam_width: 1")
    config = read_config(learnt, [f"model {{ multi_predictors_recognition_model {{ {greedy} }} }}"])
    with Recognizer(config, command.find_checkpoint(learnt), base_dir=learnt) as recognizer:
        assert [reading.text for reading in recognizer.recognize(images)] == WORDS


@pytest.mark.parametrize("greedy", [False, True])
def test_a_saved_model(learnt, images, tmp_path, greedy):
    output = str(tmp_path / "models" / "1")
    assert run(export, "--exp_dir", learnt, "--output", output, *["--greedy"] * greedy) is None
    with tf.Graph().as_default(), tf.Session() as session:
        signature = tf.saved_model.loader.load(session, ["serve"], output).signature_def["serving_default"]
        texts = session.run(signature.outputs["text"].name, {
            signature.inputs["image_bytes"].name: [draw_word(word) for word in WORDS]})
    assert [text.decode("utf-8") for text in texts] == WORDS


def test_onnx(learnt, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    output = str(tmp_path / "model.onnx")
    assert run(export, "--exp_dir", learnt, "--output", output) is None
    with Recognizer.from_experiment(learnt) as recognizer:
        pixels = np.stack([recognizer._inference.preprocess(load_image(path)) for path in images])
    session = onnxruntime.InferenceSession(output)
    meta = session.get_modelmeta().custom_metadata_map
    characters, offset = json.loads(meta["characters"]), int(meta["label_offset"])
    labels, _ = session.run(["labels", "scores"], {"images": pixels})
    assert ["".join(characters[label - offset] for label in row if label >= 0) for row in labels] == WORDS


def test_beside_attention(tmp_path):
    folder = with_ctc(tmp_path, beside=True, num_steps=2, train="save_summaries_steps: 1")
    train(read_config(folder), folder, clone_on_cpu=True)
    log = os.path.join(folder, "log")
    with tf.Graph().as_default():
        tags = {value.tag for name in os.listdir(log) if "tfevents" in name
                for event in tf.train.summary_iterator(os.path.join(log, name)) for value in event.summary.value}
    assert {"loss/Forward", "loss/Ctc", "loss/total"} <= tags
    with Recognizer.from_experiment(folder) as recognizer:
        assert len(recognizer.charsets) == 2


def test_empty_and_long_texts_train(tmp_path):
    folder = with_ctc(tmp_path, num_steps=1)
    config = read_config(folder)
    with tf.Graph().as_default(), tf.Session() as session:
        model = build_model(config.model, folder)
        result = model.training_pass(tf.zeros([3, 32, 100, 3]), tf.constant(["", "a" * 60, "tea"]))
        total = tf.add_n(list(result.losses.values()))
        gradients = [g for g in tf.gradients(total, tf.trainable_variables()) if g is not None]
        session.run(tf.global_variables_initializer())
        for value in session.run([total] + [tf.reduce_sum(tf.convert_to_tensor(g)) for g in gradients]):
            assert value == value and abs(value) < 1e9


@pytest.mark.parametrize("beside", [False, True])
def test_texts_of_which_ctc_learns_nothing(tmp_path, beside, caplog):
    """Its loss was 0 then, and training went on to its end."""
    folder = with_ctc(tmp_path, beside, num_steps=1)
    number = 1 if beside else 0

    def limit(max_characters):
        config = read_config(folder)
        model = config.model.multi_predictors_recognition_model
        model.predictor[number].ctc_predictor.max_characters = max_characters
        return config
    with pytest.raises(ValueError, match="all 8 texts looked at are longer than max_characters 1 of a ctc_predictor, "
                                         "which would learn nothing"):
        train(limit(1), folder, clone_on_cpu=True)
    assert not caplog.text or "ends are not learnt" not in caplog.text
    caplog.clear()
    assert train(limit(2), folder, clone_on_cpu=True) == 1
    assert "7 of the 8 texts looked at are longer than max_characters 2 of a ctc_predictor, which learns" in caplog.text


@pytest.mark.parametrize("beside", [False, True])
def test_the_progress_names_ctc_beside_attention(tmp_path, beside, caplog):
    caplog.set_level("INFO")
    folder = with_ctc(tmp_path, beside, num_steps=1)
    train(read_config(folder), folder, clone_on_cpu=True)
    line, = [message for message in caplog.messages if message.startswith("step 1")]
    assert bool(re.match(r"step 1  loss \d+\.\d{4} \(Ctc \d+\.\d{4}\)$", line)) is beside


def test_a_part_adds_its_own_losses(tmp_path):
    """Each clone has those that were added in its pass."""
    folder = make_experiment(tmp_path)
    with tf.Graph().as_default(), tf.Session() as session:
        model = build_model(read_config(folder).model, folder)
        encode = model._encoder

        def encoder(images, is_training):
            sequences = encode(images, is_training)
            losses.add("aux", 2.0)
            losses.add("aux", 0.5)  # joins it
            return sequences
        passes = []
        for _ in range(2):
            model._encoder = encoder
            with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
                passes.append(model.training_pass(tf.zeros([1, 64, 256, 3]), tf.constant(["tea"])))
            model._encoder = encode
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            plain = model.training_pass(tf.zeros([1, 64, 256, 3]), tf.constant(["tea"]))
        session.run(tf.global_variables_initializer())
        first, second, without = session.run([p.losses for p in passes + [plain]])
    assert list(first) == ["Forward", "aux"] and first["aux"] == second["aux"] == 2.5 and list(without) == ["Forward"]
    assert first["Forward"] == pytest.approx(without["Forward"], abs=1e-3)


def test_a_part_adds_no_loss_by_the_name_of_another(tmp_path):
    folder = make_experiment(tmp_path)
    with tf.Graph().as_default():
        model = build_model(read_config(folder).model, folder)
        encode = model._encoder

        def encoder(images, is_training):
            losses.add("Forward", 5.0)
            return encode(images, is_training)
        model._encoder = encoder
        with pytest.raises(ValueError, match="'Forward', which the training loss has already"):
            model.training_pass(tf.zeros([1, 64, 256, 3]), tf.constant(["tea"]))


@pytest.mark.parametrize("predictor, message", [
    ("ctc_predictor { loss { sequence_cross_entropy_loss { } } }", "loss: expected ctc_loss"),
    ("ctc_predictor { beam_width: 0 }", "beam_width: is 0, expected 1 or more")])
def test_what_is_wrong_is_named(tmp_path, predictor, message):
    folder = make_experiment(tmp_path)
    change = f"character_set {{ built_in_set: LOWERCASE }} predictor {{ {predictor} }}"
    with pytest.raises(ConfigError, match=message):
        read_config(folder, [f"model {{ multi_predictors_recognition_model {{ {change} }} }}"])
