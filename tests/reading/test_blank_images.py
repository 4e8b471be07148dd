"""Blank images have no text, whatever a model, a lexicon or a word list says. Doubtful texts and whole photos."""
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from experiment import run
from PIL import Image
from test_serving import READER

from aster import demo
from aster.compat import tf
from aster.config import read_config
from aster.data.example import Sample, serialize
from aster.data.preprocess import PixelRange, pixel_range
from aster.evaluation.evaluator import recognize_records
from aster.pretrained import ENGLISH, SAMPLES
from aster.protos import input_reader_pb2, preprocessor_pb2
from aster.reading import policy, serving
from aster.reading.nearest_word import nearest_word
from aster.reading.pictures import draw_reading
from aster.reading.recognizer import Recognizer

WORDS_FIRST = "model { multi_predictors_recognition_model { word_list { bonus_per_character: 100 } } }"
NORMALIZE = """eval_config { data_preprocessing_steps { resize_image {
        target_height: 64 target_width: 256 wide_aspect: 4.5 wide_target_width: 400 } }
    data_preprocessing_steps { normalize_image { original_minval: 0 original_maxval: 255 target_minval: -1
                                                 target_maxval: 1 } } }"""
REPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "data", "reports")


def encode(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def blank_images():
    """{name: what the Recognizer takes}"""
    rng = np.random.RandomState(0)
    noise = (120 + rng.randint(-5, 6, [64, 200, 3])).astype(np.uint8)
    clear = np.dstack([rng.randint(0, 256, [64, 200, 3]), np.zeros([64, 200, 1])]).astype(np.uint8)
    images = {color: Image.new("RGB", (200, 64), color) for color in ("white", "black", "gray", "red", "#ffff80")}
    images.update(wide=Image.new("RGB", (900, 30), "blue"), tall=Image.new("RGB", (30, 200), "white"),
                  pixel=Image.new("RGB", (1, 1), "black"), large=Image.new("L", (3000, 2000), 200), noise=noise,
                  jpeg=encode(Image.new("RGB", (200, 64), (201, 33, 90)), "JPEG", quality=10),
                  noisy_jpeg=encode(Image.fromarray(noise), "JPEG", quality=30), clear=clear,
                  white_on_white=encode(Image.new("LA", (200, 64), (255, 128))),
                  gif=encode(Image.new("P", (200, 64), 3), "GIF", transparency=3))
    return images


@pytest.fixture(scope="module", params=["", WORDS_FIRST, NORMALIZE, "lexicon"])
def recognizer(request):
    lexicon, overrides = (["the", "exit"], "") if request.param == "lexicon" else (None, request.param)
    with Recognizer.from_experiment(lexicon=lexicon, overrides=[overrides] if overrides else ()) as recognizer:
        yield recognizer


@pytest.mark.parametrize("details", [False, True])
def test_an_image_of_one_color_has_no_text(recognizer, details):
    images = blank_images()
    for name, reading in zip(images, recognizer.recognize(images.values(), details=details)):
        assert (reading.text, reading.score, reading.probabilities) == ("", 0.0, ()), name
        assert reading.doubtful == (name == "noise"), name  # it may be faint letters
        assert reading.hint is None and reading.orientation == 0, name
        if details:
            assert reading.texts == {"Forward": "", "Backward": ""} and len(reading.attention) == 0
    if details:
        assert draw_reading(reading).width > 100


def test_so_it_is_beside_words_and_preprocessed(recognizer):
    word = os.path.join(SAMPLES, "1_exit.jpg")
    readings = list(recognizer.recognize([word, Image.new("RGB", (99, 40)), word], details=True))
    assert ["exit" if reading.text else "" for reading in readings] == ["exit", "", "exit"]
    again = recognizer.recognize_preprocessed([reading.image for reading in readings])
    assert [(one.text, one.doubtful) for one in again] == [(one.text, one.doubtful) for one in readings]


@pytest.fixture(scope="module")
def pretrained():
    with Recognizer.from_experiment() as recognizer:
        yield recognizer


def test_white_letters_on_a_transparent_ground(pretrained):
    pixels = np.array(Image.open(os.path.join(SAMPLES, "1_exit.jpg")).convert("L"))
    light = pixels if pixels.mean() < 128 else 255 - pixels
    letters = np.dstack([np.full_like(light, 255), light])
    reading, = pretrained.recognize([encode(Image.fromarray(letters))])
    assert reading.text == "exit"


def test_faint_letters_are_read(pretrained):
    """Their contrast is above the threshold."""
    pixels = np.array(Image.open(os.path.join(SAMPLES, "1_exit.jpg")).convert("L"), np.float32)
    low, high = pixels.min(), pixels.max()
    for contrast, text in (30, True), (12, False):
        faint = (100 + contrast * (pixels - low) / (high - low)).astype(np.uint8)
        reading, = pretrained.recognize([faint])
        assert bool(reading.text) == text and reading.doubtful == (not text)


def test_the_range_of_pixels():
    """A step may scale it. The inverted image is in the same range, which is that of the model's training."""
    plain, normalized = (pixel_range(read_config(ENGLISH, texts).eval_config.data_preprocessing_steps)
                         for texts in ((), [NORMALIZE]))
    assert plain.gray_level == 1 and normalized.gray_level == pytest.approx(2 / 255)
    shifted = preprocessor_pb2.PreprocessingStep()
    shifted.subtract_channel_mean.means.extend([120, 110, 100])
    shifted = pixel_range([shifted])
    assert shifted.gray_level == 1
    np.testing.assert_allclose(plain.invert(np.array([[0.0, 255, 15]])), [[255, 0, 240]])
    np.testing.assert_allclose(normalized.invert(np.array([[-1.0, 1, 0.25]])), [[1, -1, -0.25]], atol=1e-6)
    np.testing.assert_allclose(PixelRange(*np.full([2, 3], np.nan)).invert(np.array([[1.0, -2, 0]])), [[-1, 2, 0]])
    np.testing.assert_allclose(shifted.invert(np.array([[-120.0, 145, -100]])), [[135, -110, 155]])


def test_in_an_evaluation(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    with tf.python_io.TFRecordWriter(path) as writer:
        for text in "", "the":
            writer.write(serialize(Sample(encode(Image.new("RGB", (80, 30), "white")), text)))
    reader = input_reader_pb2.InputReader()
    reader.tf_record_input_reader.input_path = path
    config = read_config(ENGLISH)
    with Recognizer.from_experiment() as recognizer:
        _, samples = recognize_records(recognizer, reader, config.eval_config.data_preprocessing_steps,
                                       base_dir=ENGLISH)
        assert [(sample.truth, sample.reading.text) for sample in samples] == [("", ""), ("the", "")]
    assert nearest_word("", ["a", "the"]) == ""


def test_in_an_export(tmp_path):
    """Also PNG files with transparency, which it lays over the ground that the library takes."""
    paths, images = [], blank_images()
    for name in "white", "red", "clear", "wide", "jpeg":
        paths.append(str(tmp_path / (name + ".png")))
        image = images[name]
        content = image if isinstance(image, bytes) else encode(
            Image.fromarray(image) if isinstance(image, np.ndarray) else image)
        with open(paths[-1], "wb") as stream:
            stream.write(content)
    pixels = np.array(Image.open(os.path.join(SAMPLES, "1_exit.jpg")).convert("L"))
    for i, gray in enumerate((255, 0)):
        alpha = pixels if pixels.mean() < 128 else 255 - pixels
        paths.append(str(tmp_path / f"letters{i}.png"))
        Image.fromarray(np.dstack([np.full_like(alpha, gray)] * 3 + [alpha])).save(paths[-1])
    gray = Image.fromarray(pixels)
    two_colors = gray.point(lambda value: 255 * (value > 128), "1")
    for name, image in ("1bit", two_colors), ("2bit", gray.quantize(4)):
        paths.append(str(tmp_path / (name + ".png")))
        image.save(paths[-1], bits=int(name[0]))
    serving.export_saved_model(ENGLISH, str(tmp_path / "model"), word_list=True, overrides=[WORDS_FIRST])
    printed = subprocess.check_output([sys.executable, "-c", READER, str(tmp_path / "model")] + paths,
                                      universal_newlines=True)
    values = json.loads(printed.splitlines()[-1])
    assert values["text"] == [""] * 5 + ["exit"] * 4 and values["score"][:5] == [0] * 5
    with Recognizer.from_experiment(overrides=[WORDS_FIRST]) as recognizer:
        scores = [reading.score for reading in recognizer.recognize(paths)]
    np.testing.assert_allclose(values["score"], scores, atol=0.01)


def whole_photo(words=6, size=(900, 600)):
    rng = np.random.RandomState(3)
    photo = Image.fromarray(rng.randint(60, 200, [15, 22, 3]).astype(np.uint8)).resize(size, Image.BICUBIC)
    samples = sorted(os.listdir(SAMPLES))
    for i in range(words):
        word = Image.open(os.path.join(SAMPLES, samples[i % len(samples)])).convert("RGB").resize((220, 70))
        photo.paste(word, (60 + 420 * (i % 2), 40 + 190 * (i // 2)))
    return photo


def test_demo_marks_doubtful_texts_and_whole_photos(tmp_path, capsys, caplog):
    whole_photo().save(str(tmp_path / "photo.png"))
    Image.new("RGB", (400, 300)).save(str(tmp_path / "blank.png"))
    Image.open(os.path.join(SAMPLES, "1_exit.jpg")).save(str(tmp_path / "word.png"))
    out = tmp_path / "texts.json"
    assert run(demo, "--input_image", tmp_path, "--json", out, "--csv", tmp_path / "texts.csv") is None
    blank, photo, word = json.loads(out.read_text())
    assert (blank["text"], blank["score"], blank["doubtful"], blank["hint"]) == ("", 0, False, None)
    assert photo["doubtful"] and photo["hint"] == policy.WHOLE_PHOTO
    assert (word["text"], word["doubtful"], word["hint"]) == ("exit", False, None)
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("  (doubtful)") for line in lines] == [False, True, False]
    assert caplog.text.count(policy.WHOLE_PHOTO) == 1 and "photo.png: the image looks like" in caplog.text
    assert (tmp_path / "texts.csv").read_text().startswith("path,text,score,doubtful,hint\n")


@pytest.mark.skipif(not os.path.isdir(REPORT), reason="the reported images are not here")
def test_the_reported_image(pretrained):
    reading, = pretrained.recognize([os.path.join(REPORT, "white_text_transparent.png")])
    assert reading.text == "garden" and not reading.doubtful
