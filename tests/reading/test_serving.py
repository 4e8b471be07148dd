"""A SavedModel reads what the Recognizer reads, where there is nothing of ASTER."""
import json
import os
import shutil
import string
import subprocess
import sys
import types

import numpy as np
import pytest
from experiment import WORDS, draw_word, make_experiment, make_lines_config
from google.protobuf import text_format
from PIL import Image

from aster import checkpoint, command, export
from aster.compat import IS_TF1, tf
from aster.config import CONFIG_IN_EXP_DIR, read_config
from aster.data.charset import END_LABEL, Charset
from aster.model.beam_search import Decoded
from aster.model.build import build_model
from aster.model.recognition import Predictor, Recognition
from aster.pretrained import ENGLISH, SAMPLES
from aster.protos import model_pb2
from aster.reading import policy, serving
from aster.reading.lexicon import Lexicon
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

TINY = """multi_predictors_recognition_model {
  spatial_transformer {
    convnet { stn_convnet { tiny: true conv_hyperparams { batch_norm { } } } } fc_hyperparams { batch_norm { } }
    localization_h: 32 localization_w: 64 num_control_points: 6 }
  feature_extractor { convnet { crnn_net { tiny: true conv_hyperparams { batch_norm { } } } }
    bidirectional_rnn { fw_bw_rnn_cell { lstm_cell { num_units: 6 } } num_output_units: 5 } }
  predictor { name: "Forward" attention_predictor {
    rnn_cell { lstm_cell { num_units: 6 } } num_attention_units: 4 max_num_steps: 6 beam_width: 3
    label_map { character_set { built_in_set: LOWERCASE } label_offset: 2 } } } }"""

# Loads a model in a process that has nothing of ASTER, not even its ops.
READER = """
import glob, json, sys
import tensorflow as tf
tf = getattr(getattr(tf, "compat", None), "v1", tf)
files = [open(path, "rb").read() for path in sys.argv[2:]]
with tf.Graph().as_default(), tf.Session() as session:
    loaded = tf.saved_model.loader.load(session, ["serve"], sys.argv[1])
    signature = loaded.signature_def["serving_default"]
    outputs = {name: info.name for name, info in signature.outputs.items()}
    values = session.run(outputs, {signature.inputs["image_bytes"].name: files})
assert not any(name.startswith("aster") for name in sys.modules)
print(json.dumps({"text": [text.decode("utf-8") for text in values["text"]], "score": values["score"].tolist()}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = make_experiment(tmp_path_factory.mktemp("experiment"), num_steps=30)
    train(read_config(path), path, clone_on_cpu=True)
    return path


def write_words(folder):
    paths = [str(folder / (f"{word}.jpg")) for word in WORDS]
    for path, word in zip(paths, WORDS):
        with open(path, "wb") as stream:
            stream.write(draw_word(word))
    return paths


def test_a_saved_model_reads_as_the_recognizer(folder, tmp_path):
    output = str(tmp_path / "models" / "1")
    os.makedirs(os.path.dirname(output))
    assert "image_bytes" in serving.export_saved_model(folder, output).signature
    paths = write_words(tmp_path)
    printed = subprocess.check_output([sys.executable, "-c", READER, output] + paths, cwd=str(tmp_path),
                                      universal_newlines=True)
    values = json.loads(printed.splitlines()[-1])
    with Recognizer.from_experiment(folder) as recognizer:
        expected = list(recognizer.recognize(paths))
    assert values["text"] == [reading.text for reading in expected]
    # TensorFlow's and Pillow's decoders differ by a grey level here and there
    np.testing.assert_allclose(values["score"], [reading.score for reading in expected], atol=0.05)


def test_a_saved_model_for_images_of_several_widths(folder, tmp_path):
    lines = str(tmp_path / "lines")
    shutil.copytree(folder, lines)
    with open(os.path.join(lines, CONFIG_IN_EXP_DIR), "w") as stream:
        stream.write(text_format.MessageToString(make_lines_config(read_config(folder), [90, 180])))
    paths = write_words(tmp_path)
    for path in paths[::2]:
        Image.open(path).resize((128, 24)).save(path, "PNG")
    output = str(tmp_path / "model")
    serving.export_saved_model(lines, output)
    printed = subprocess.check_output([sys.executable, "-c", READER, output] + paths, universal_newlines=True)
    values = json.loads(printed.splitlines()[-1])
    with Recognizer.from_experiment(lines) as recognizer:
        expected = list(recognizer.recognize(paths, details=True))
    assert {reading.image.shape[1] for reading in expected} == {90, 180}
    assert values["text"] == [reading.text for reading in expected]
    np.testing.assert_allclose(values["score"], [reading.score for reading in expected], atol=0.05)


@pytest.mark.skipif(IS_TF1, reason="ONNX needs TensorFlow 2")
@pytest.mark.parametrize("exp_dir", ["one predictor", "two predictors"])
def test_an_onnx_file_reads_as_the_recognizer(folder, tmp_path, exp_dir):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    exp_dir = folder if exp_dir == "one predictor" else ENGLISH
    output = str(tmp_path / "model.onnx")
    exported = serving.export_onnx(exp_dir, output)
    width = 256 if exp_dir == folder else "W"
    assert exported.signature.startswith(f"images float [B, 64, {width}, 3] -> labels int32 [B, S]")
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    characters, offset = json.loads(metadata["characters"]), int(metadata["label_offset"])
    samples = [os.path.join(SAMPLES, name) for name in sorted(os.listdir(SAMPLES))]
    config = read_config(exp_dir)
    rules = config.model.multi_predictors_recognition_model.reading
    rules.use_word_list = rules.also_zoomed = False
    with Recognizer(config, checkpoint.find_checkpoint(os.path.join(exp_dir, "log")), exp_dir) as recognizer:
        expected = list(recognizer.recognize(samples + write_words(tmp_path), details=True))
    for reading in expected:
        (labels,), (score,) = session.run(["labels", "scores"], {"images": reading.image[None]})
        assert "".join(characters[label - offset] for label in labels if label >= offset) == reading.text
        np.testing.assert_allclose(score, reading.score, atol=2e-3)


def export_and_read(folder, output, paths, **options):
    """-> texts that a SavedModel reads."""
    serving.export_saved_model(folder, output, **options)
    printed = subprocess.check_output([sys.executable, "-c", READER, output] + paths, universal_newlines=True)
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize("inverted", [False, True])
def test_an_export_with_a_word_list_reads_as_the_recognizer(folder, tmp_path, inverted):
    """With a bonus by which the word list wins in some images and loses in others."""
    (tmp_path / "words.txt").write_text("tea\nice\nbread\nat\n4x\n")
    paths = write_words(tmp_path)
    for i in range(6):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(np.random.RandomState(i).randint(0, 256, [24, 64, 3]).astype(np.uint8)).save(paths[-1])
    overrides = [f"""model {{ multi_predictors_recognition_model {{
        reading {{ certain_probability: 1 also_inverted: {str(inverted).lower()} }}
        word_list {{ text_file: "{tmp_path / "words.txt"}" bonus_per_character: {bonus} }} }} }}"""
                 for bonus in (0, 1, 100)]
    replaced = []
    for i, override in enumerate(overrides):
        with Recognizer.from_experiment(folder, overrides=[override]) as recognizer:
            expected = list(recognizer.recognize(paths))
        values = export_and_read(folder, str(tmp_path / f"model{i}"), paths, word_list=True, overrides=[override])
        assert values["text"] == [reading.text for reading in expected]
        np.testing.assert_allclose(values["score"], [reading.score for reading in expected], atol=0.05)
        replaced.append(sum(text in ("tea", "ice", "bread", "at") for text in values["text"]))
    assert replaced[0] < replaced[2] >= len(paths) / 2
    with pytest.raises(ValueError, match="no word_list"):
        serving.export_saved_model(folder, str(tmp_path / "none"), word_list=True)


def test_what_is_left_out_is_said(folder, tmp_path):
    said = " ".join(serving.export_saved_model(folder, str(tmp_path / "model")).left_out)
    assert "Tall images" in said and "word list" not in said and "wider image" not in said
    said = " ".join(serving.export_saved_model(ENGLISH, str(tmp_path / "english")).left_out)
    assert "--word_list" in said and "Long texts in doubt are not read again from a wider image." in said
    assert "Doubtful texts are not read again from zoomed images." in said


class MadeUpModel:
    """Reads made-up texts: images of mean 200 and 55 are each other's inverted images. Their feature is their mean."""
    max_characters = 6

    def __init__(self):
        charset = Charset(string.digits + string.ascii_letters)
        self.predictors = [Predictor(types.SimpleNamespace(reverse=False), charset, {})]
        self.made_up = {}

    def encode(self, images):
        return tf.reduce_mean(images, [1, 2, 3])

    def decode(self, means, trees=None):
        charset = self.predictors[0].charset

        def look_up(values):
            found = [self.made_up[trees is None, mean > 127] for mean in values]
            labels = np.full([len(found), 7], -1, np.int32)
            for row, (text, _) in zip(labels, found):
                row[:len(text) + 1] = charset.encode(text) + [END_LABEL]
            return (np.array([text.encode() for text, _ in found], object), labels,
                    np.array([score for _, score in found], np.float32))
        texts, labels, scores = tf.py_func(look_up, [means], [tf.string, tf.int32, tf.float32])
        texts.set_shape([None]), labels.set_shape([None, 7]), scores.set_shape([None])
        return Recognition(texts, scores, tf.zeros_like(scores, tf.int32), [texts],
                           [Decoded(labels, None, scores, None, None)], None, None)


def test_the_graph_and_the_recognizer_share_their_rules(session):
    """The cases of test_recognizer.test_which_texts_give_way_to_words, in a graph."""
    model = MadeUpModel()
    rules = policy.ReadingPolicy(also_inverted=True, min_contrast=0)
    images = tf.fill([1, 4, 4, 3], 200.0)
    result = serving.recognize_by_policy(model, images, rules, Lexicon([], [None], 1))

    def read(*found):
        model.made_up.update(zip(((True, True), (True, False), (False, True), (False, False)), found))
        texts, scores = session.run([result.texts, result.scores])
        return texts[0].decode(), float(scores[0])

    for text, word, wins in (
            (("sushl", -1), ("sushi", -3.9), True), (("sushl", -1), ("sushi", -4.1), False),
            (("ao", -1), ("at", -2.1), True), (("ao", -1), ("at", -2.3), False),
            (("sush1", -1), ("sushi", -3), True), (("4us", -1), ("bus", -2), True),
            (("s1", -1), ("so", -2), False), (("40", -1), ("do", -1.1), False),
            (("", -1), ("sushi", -3), True), (("sushl", -0.01), ("sushi", -0.02), False),
            (("Sushi", -1), ("sushi", -1.1), False), (("SusHi", -1), ("SUSHI", -1.1), False)):
        expected = word if wins else text
        assert read(text, ("x", -9), word, ("x", -99)) == (expected[0], pytest.approx(expected[1])), (text, word)
    for inverted, word, expected in (
            (("a", -9), ("offer", -2.3), ("offer", -2.3)), (("a", -9), ("offer", -3.5), ("of", -1.5)),
            (("ofer", -0.5), ("offer", -2.3), ("offer", -2.3)),
            (("ofer", -0.001), ("offer", -1), ("ofer", -0.001))):
        found = read(("oi", -1), inverted, ("of", -1.5), word)
        assert found == (expected[0], pytest.approx(expected[1])), (inverted, word)
    # a text beyond doubt is kept, also where the inverted image has a higher score
    assert read(("one", -0.01), ("two", -0.001), ("of", -9), ("of", -9))[0] == "one"


def test_of_an_image_and_its_inverted_image_the_better_one_counts(session):
    """A model of random weights doubts everything."""
    images = np.random.RandomState(2).uniform(0, 255, [8, 64, 256, 3]).astype(np.float32)
    with tf.variable_scope("", reuse=tf.AUTO_REUSE):
        model = build_model(text_format.Parse(TINY, model_pb2.Model()))
        rules = policy.ReadingPolicy(also_inverted=True)
        both = serving.recognize_by_policy(model, tf.constant(images), rules)
        plain = rules._replace(also_inverted=False)
        sides = [serving.recognize_by_policy(model, tf.constant(view), plain) for view in (images, 255 - images)]
    session.run(tf.global_variables_initializer())
    kernel = [v for v in tf.global_variables() if v.op.name.endswith("dense/kernel")][0]
    kernel.load(session.run(kernel) * 30, session)  # so that scores differ
    chosen, straight, inverted = session.run([both, *sides])
    better = inverted.scores > straight.scores
    assert set(better) == {True, False}
    for result, one, other in zip(chosen, straight, inverted):
        for i, use_other in enumerate(better):
            if result.dtype == object:
                assert result[i] == (other if use_other else one)[i]
            else:
                np.testing.assert_allclose(result[i], (other if use_other else one)[i], atol=1e-3)


def test_greedy(folder, tmp_path):
    output = str(tmp_path / "greedy")
    serving.export_saved_model(folder, output, greedy=True)
    paths = write_words(tmp_path)
    printed = subprocess.check_output([sys.executable, "-c", READER, output] + paths, universal_newlines=True)
    assert len(json.loads(printed.splitlines()[-1])["text"]) == len(WORDS)


def test_an_existing_folder_is_left_alone(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["export", "--exp_dir", folder, "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        command.run(export.main)
    assert "exists already" in stopped.value.code
