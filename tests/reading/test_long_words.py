"""A model that gives long words a wider image: trained, evaluated, read with, exported and trained further."""
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from experiment import WORDS, draw_word, make_experiment, make_long_words, run
from PIL import Image
from test_serving import READER

from aster import checkpoint
from aster import new as new_command
from aster import train as train_command
from aster.compat import IS_TF1
from aster.config import read_config
from aster.data.image import find_images
from aster.evaluation.evaluator import recognize_records
from aster.pretrained import ENGLISH
from aster.reading import serving
from aster.reading.pictures import draw_reading
from aster.reading.recognizer import Recognizer
from aster.training.loop import train

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import pack_model  # noqa: E402

WIDTHS = [64, 128, 107, 108, 300, 40, 90, 200]  # at a height of 24, those from 108 on are long


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Trained with two clones."""
    folder = make_experiment(tmp_path_factory.mktemp("long words"), num_steps=30)
    assert train(make_long_words(folder), folder, num_clones=2, clone_on_cpu=True) == 30
    return folder


@pytest.fixture(scope="module")
def images():
    return [np.array(Image.open(io.BytesIO(draw_word(word, width)))) for word, width in zip(WORDS, WIDTHS)]


@pytest.fixture(scope="module")
def readings(folder, images):
    with Recognizer.from_experiment(folder) as recognizer:
        return list(recognizer.recognize(images, details=True))


def assert_read_alike(readings, expected):
    assert [reading.text for reading in readings] == [reading.text for reading in expected]
    np.testing.assert_allclose([r.score for r in readings], [r.score for r in expected], atol=1e-3)


def test_each_image_is_read_as_it_would_be_alone(folder, images, readings):
    assert [reading.image.shape[1] for reading in readings] == [400 if width >= 108 else 256 for width in WIDTHS]
    assert [reading.rectified.shape[:2] for reading in readings] == [(32, 160 if width >= 108 else 100)
                                                                     for width in WIDTHS]
    with Recognizer.from_experiment(folder) as recognizer:
        assert_read_alike([next(iter(recognizer.recognize([image]))) for image in images], readings)
    assert all(draw_reading(reading).height > 100 for reading in readings)


def test_a_model_without_the_fields_reads_other_words_alike(folder, images, readings):
    """Only long images are seen in another way. A width that no image has is the same as none."""
    off = ["model { multi_predictors_recognition_model { spatial_transformer { wide_input_w: 0 } } }",
           "eval_config { data_preprocessing_steps { resize_image { target_height: 64 target_width: 256 } } }"]
    with Recognizer.from_experiment(folder, overrides=off) as recognizer:
        plain = list(recognizer.recognize(images, details=True))
    for reading, other, width in zip(readings, plain, WIDTHS):
        assert other.rectified.shape == (32, 100, 3)
        if width < 108:
            assert_read_alike([reading], [other])
            np.testing.assert_allclose(reading.rectified, other.rectified, atol=1e-4)


def test_texts_in_doubt_are_read_wider():
    """Here every text is. The better one of both widths is returned, with the pictures of its own width."""
    images = list(find_images([os.path.join(os.path.dirname(ENGLISH), "samples")]))
    rules = "certain_probability: 1 use_word_list: false wide_characters:"
    model = "model {{ multi_predictors_recognition_model {{ reading {{ {} {} }} }} }}"
    with Recognizer.from_pretrained(overrides=[model.format(rules, 0)]) as recognizer:
        narrow = list(recognizer.recognize(images, details=True, orientations=[0]))
        others = [i for i, reading in enumerate(narrow) if reading.image.shape[1] == 256 and reading.text]
        wide = dict(zip(others, recognizer.recognize_preprocessed(
            list(recognizer._inference.widen(np.stack([narrow[i].image for i in others]))))))
    with Recognizer.from_pretrained(overrides=[model.format(rules, 1)]) as recognizer:
        both = list(recognizer.recognize(images, details=True, orientations=[0]))
        assert_read_alike(list(recognizer.recognize(images, orientations=[0])), both)
    for i, reading in enumerate(both):
        expected = max(narrow[i], wide.get(i, narrow[i]), key=lambda one: one.score)
        assert_read_alike([reading], [expected])
        assert reading.rectified.shape[1] == (160 if reading.image.shape[1] == 400 else 100)
    better = [both[i] for i in others if both[i].image.shape[1] == 400]
    assert 0 < len(better) < len(others) and draw_reading(better[0]).height > 100


def test_evaluation_reads_as_the_recognizer(folder):
    config = read_config(folder)
    with Recognizer.from_experiment(folder) as recognizer:
        _, samples = recognize_records(recognizer, config.eval_input_reader[0],
                                       config.eval_config.data_preprocessing_steps, base_dir=folder)
        samples = list(samples)
        assert [sample.truth for sample in samples] == WORDS
        assert_read_alike([sample.reading for sample in samples], list(recognizer.recognize(
            [draw_word(word, width=64 << i % 2) for i, word in enumerate(WORDS)])))


def test_a_saved_model(folder, images, readings, tmp_path):
    serving.export_saved_model(folder, str(tmp_path / "model"))
    paths = [str(tmp_path / f"{i}.png") for i in range(len(images))]
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    printed = subprocess.check_output([sys.executable, "-c", READER, str(tmp_path / "model")] + paths,
                                      universal_newlines=True)
    values = json.loads(printed.splitlines()[-1])
    assert values["text"] == [reading.text for reading in readings]
    np.testing.assert_allclose(values["score"], [reading.score for reading in readings], atol=2e-3)


@pytest.mark.skipif(IS_TF1, reason="ONNX needs TensorFlow 2")
def test_an_onnx_file(folder, readings, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    output = str(tmp_path / "model.onnx")
    assert serving.export_onnx(folder, output).signature.startswith("images float [B, 64, W, 3] -> ")
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    characters, offset = json.loads(metadata["characters"]), int(metadata["label_offset"])
    for width in 256, 400:
        expected = [reading for reading in readings if reading.image.shape[1] == width]
        labels, scores = session.run(["labels", "scores"], {"images": np.stack([r.image for r in expected])})
        texts = ["".join(characters[label - offset] for label in row if label >= offset) for row in labels]
        assert texts == [reading.text for reading in expected]
        np.testing.assert_allclose(scores, [reading.score for reading in expected], atol=2e-3)


@pytest.mark.skipif(IS_TF1, reason="TensorFlow 1.4 has no Keras 3")
def test_the_keras_layer(folder, images, readings):
    """A layer has one input_size, so there is one for long images, and one for others."""
    import keras

    from aster.keras_layers import Rectifier
    for width, rectified_width, size in (256, 100, {}), (400, 160, {"input_size": (64, 400)}):
        layer = Rectifier.from_experiment(folder, **size)
        assert layer.input_size == (64, width)
        for image, reading in zip(images, readings):
            if reading.image.shape[1] == width:
                np.testing.assert_allclose(layer(image[None])[0], reading.rectified, atol=1e-3)
        assert layer(keras.Input((None, None, 3))).shape == (None, 32, rectified_width, 3)
    layer = Rectifier.from_experiment(folder, input_size=None)
    assert [layer(keras.Input((64, width, 3))).shape[2] for width in (399, 400, None)] == [100, 160, None]
    assert [layer(np.zeros([1, 64, width, 3])).shape[2] for width in (399, 400)] == [100, 160]


def test_training_goes_on_from_such_a_model(folder, tmp_path):
    """Packed for the library; with two kinds of words, of which each is a reader of its own."""
    assert run(pack_model, "--exp_dir", folder, "--output_dir", tmp_path / "packed") is None
    words = os.path.join(folder, "data", "words.tfrecord")
    copies = [str(shutil.copy(words, str(tmp_path / name))) for name in ("others", "test", "other_test")]
    mine = str(tmp_path / "mine")
    assert run(new_command, mine, "--from", tmp_path / "packed", "--records", words, "--other_records", copies[0],
               "--test_records", copies[1], "--other_test_records", copies[2]) is None
    config = read_config(mine)
    assert config.train_config.data_augmentation_options[0].resize_image.wide_target_width == 400
    assert config.model.multi_predictors_recognition_model.spatial_transformer.wide_output_w == 160
    fewer = "train_config { num_steps: 2 batch_size: 3 batch_size: 1 eval_num_examples: 8 }"
    assert run(train_command, "--exp_dir", mine, "--set", fewer) is None
    assert checkpoint.find_checkpoint(os.path.join(mine, "log")).endswith("-2")
