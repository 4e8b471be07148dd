"""A SavedModel reads what the Recognizer reads, where there is nothing of ASTER."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from experiment import WORDS, draw_word, make_experiment, make_lines_config
from google.protobuf import text_format
from PIL import Image

from aster import checkpoint, command, export
from aster.compat import IS_TF1
from aster.config import CONFIG_IN_EXP_DIR, read_config
from aster.pretrained import ENGLISH, SAMPLES
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

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
    assert "image_bytes" in export.export_saved_model(folder, output)
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
    export.export_saved_model(lines, output)
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
    assert export.export_onnx(exp_dir, output).startswith("images float [B, 64, 256, 3] -> labels int32 [B, S]")
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    characters, offset = json.loads(metadata["characters"]), int(metadata["label_offset"])
    samples = [os.path.join(SAMPLES, name) for name in sorted(os.listdir(SAMPLES))]
    config = read_config(exp_dir)
    config.model.multi_predictors_recognition_model.ClearField("word_list")  # which exports don't have
    with Recognizer(config, checkpoint.find_checkpoint(os.path.join(exp_dir, "log")), exp_dir) as recognizer:
        expected = list(recognizer.recognize(samples + write_words(tmp_path), details=True))
    labels, scores = session.run(["labels", "scores"], {"images": np.stack([reading.image for reading in expected])})
    texts = ["".join(characters[label - offset] for label in row if label >= offset) for row in labels]
    assert texts == [reading.text for reading in expected]
    np.testing.assert_allclose(scores, [reading.score for reading in expected], atol=2e-3)


def test_greedy(folder, tmp_path):
    output = str(tmp_path / "greedy")
    export.export_saved_model(folder, output, greedy=True)
    paths = write_words(tmp_path)
    printed = subprocess.check_output([sys.executable, "-c", READER, output] + paths, universal_newlines=True)
    assert len(json.loads(printed.splitlines()[-1])["text"]) == len(WORDS)


def test_an_existing_folder_is_left_alone(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["export", "--exp_dir", folder, "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        command.run(export.main)
    assert "exists already" in stopped.value.code
