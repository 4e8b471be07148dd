"""100 rendered words of many sizes: exports read them as the Recognizer does, with and without the word list, but for
the wider images of long texts.

The ONNX file is fed by the code of docs/getting_started.md.
"""
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps
from test_serving import READER

from aster.compat import IS_TF1
from aster.config import read_config
from aster.data import example, records
from aster.data.image import load_image
from aster.pretrained import ENGLISH
from aster.reading import serving
from aster.reading.recognizer import Recognizer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NUM_WORDS = 100


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Paths of PNG files: wide and narrow, from 8 to 200 pixels tall."""
    folder = tmp_path_factory.mktemp("words")
    path = str(folder / "words.tfrecord")
    made = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "create_synthetic_tfrecord.py"), "--output_path",
                           path, "--num_images", str(NUM_WORDS), "--split", "test", "--difficulty", "0.3"],
                          stderr=subprocess.PIPE, universal_newlines=True)
    if made.returncode:
        pytest.skip("no words can be rendered here: " + made.stderr.strip().splitlines()[-1])
    paths, rng = [], np.random.RandomState(0)
    for i, record in enumerate(records.read_records(path)):
        image = Image.open(io.BytesIO(example.parse(record.payload).encoded)).convert("RGB")
        height = int(np.exp(rng.uniform(np.log(8), np.log(200))))
        width = max(height, int(height * image.width / image.height * rng.uniform(0.7, 1.3)))  # exports turn no image
        paths.append(str(folder / f"{i:03d}.png"))
        image.resize((width, height)).save(paths[-1])
    assert len(paths) == NUM_WORDS
    return paths


@pytest.fixture(scope="module", params=[False, True], ids=["no word list", "word list"])
def expected(request, words):
    """-> whether the word list is used; the Readings."""
    use = f"reading {{ use_word_list: {str(request.param).lower()} wide_characters: 0 also_zoomed: false }}"
    override = f"model {{ multi_predictors_recognition_model {{ {use} }} }}"
    with Recognizer.from_experiment(overrides=[override]) as recognizer:
        return request.param, list(recognizer.recognize(words))


def test_a_saved_model(words, expected, tmp_path):
    word_list, readings = expected
    serving.export_saved_model(ENGLISH, str(tmp_path / "model"), word_list=word_list)
    printed = subprocess.check_output([sys.executable, "-c", READER, str(tmp_path / "model")] + words,
                                      universal_newlines=True)
    values = json.loads(printed.splitlines()[-1])
    compare(values["text"], values["score"], readings)


@pytest.mark.skipif(IS_TF1, reason="ONNX needs TensorFlow 2")
def test_an_onnx_file(words, expected, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    word_list, readings = expected
    serving.export_onnx(ENGLISH, str(tmp_path / "words.onnx"), word_list=word_list)
    session = onnxruntime.InferenceSession(str(tmp_path / "words.onnx"), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    characters, offset = json.loads(metadata["characters"]), int(metadata["label_offset"])
    resize, size = resize_of_the_docs(), json.loads(metadata["image_size"])
    texts, scores, widths = [], [], set()
    for path in words:
        image = resize(load_image(path), size)
        widths.add(image.shape[1])
        (labels,), (score,) = session.run(["labels", "scores"], {"images": image[None]})
        texts.append("".join(characters[label - offset] for label in labels if label >= offset))
        scores.append(score)
    assert widths == {256, 400}
    compare(texts, scores, readings)


def compare(texts, scores, readings):
    assert sum(text == reading.text for text, reading in zip(texts, readings)) == NUM_WORDS
    np.testing.assert_allclose(scores, [reading.score for reading in readings], atol=5e-3)


def function_of_the_docs(name):
    with open(os.path.join(ROOT, "docs", "getting_started.md"), encoding="utf-8") as stream:
        code, = re.findall(rf"^def {name}\(.*?(?=^\S)", stream.read(), re.MULTILINE | re.DOTALL)
    names = {"np": np, "Image": Image, "ImageOps": ImageOps}
    exec(code, names)
    return names[name]


def resize_of_the_docs():
    return function_of_the_docs("resize")


def test_the_docs_open_images_as_the_library_does(words, tmp_path):
    load = function_of_the_docs("load")
    letters = np.asarray(Image.open(words[0]).convert("L").resize((60, 20)))
    paths = [words[0]]
    for name, gray in ("white", 255), ("black", 0):
        paths.append(str(tmp_path / (name + ".png")))
        Image.fromarray(np.dstack([np.full_like(letters, gray)] * 3 + [letters])).save(paths[-1])
    paths.append(str(tmp_path / "palette.png"))
    Image.open(words[0]).convert("RGB").quantize(16).save(paths[-1], transparency=3)
    for path in paths:
        np.testing.assert_allclose(load(path), load_image(path), atol=1)  # two ways of rounding


def test_the_resize_of_the_docs_is_the_librarys(words):
    resize = resize_of_the_docs()
    size = serving.image_size(read_config(ENGLISH).eval_config.data_preprocessing_steps)
    with Recognizer.from_experiment() as recognizer:
        for path in words:
            pixels = load_image(path)
            np.testing.assert_allclose(resize(pixels, size), recognizer._inference.preprocess(pixels), atol=0.01)
