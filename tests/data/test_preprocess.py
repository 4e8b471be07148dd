"""Every preprocessing step against numpy."""
import unicodedata

import numpy as np
import pytest
from data_helpers import steps

from aster.compat import tf
from aster.data.preprocess import filter_text, preprocess_image, preprocess_sample, text_preprocessor
from aster.data.step_image import StepImage

IMAGE = np.random.RandomState(0).randint(0, 256, [6, 8, 3]).astype(np.uint8)
FLOAT = IMAGE.astype(np.float32)
BICUBIC_ROW = [142.0, 148.2160, 203.5100, 129.3796, 75.8592]
GRAY = FLOAT.dot(np.array([0.2989, 0.5870, 0.1140], np.float32))[..., None]


def run(session, *texts):
    return session.run(preprocess_image(steps(*texts), tf.constant(IMAGE)))


def nearest(height, width):
    """The legacy sampling of TensorFlow 1: pixel i is taken from floor(i * scale)."""
    rows = np.arange(height) * 6 // height
    columns = np.arange(width) * 8 // width
    return FLOAT[rows][:, columns]


def bilinear(height, width):
    """Legacy as well: no half-pixel centres, corners not aligned."""
    def weights(size, given):
        matrix = np.zeros([size, given])
        for i in range(size):
            position = i * given / size
            low = int(position)
            matrix[i, low] += 1 - (position - low)
            matrix[i, min(low + 1, given - 1)] += position - low
        return matrix
    return np.einsum("ij,jkc,lk->ilc", weights(height, 6), FLOAT, weights(width, 8))


def area(height, width):
    """The mean of whole blocks of pixels."""
    return FLOAT.reshape(height, 6 // height, width, 8 // width, 3).mean((1, 3))


@pytest.mark.parametrize("method, height, width, expected", [
    ("", 9, 10, bilinear), ("method: BILINEAR", 4, 5, bilinear),
    ("method: NEAREST_NEIGHBOR", 9, 10, nearest), ("method: NEAREST_NEIGHBOR", 4, 5, nearest),
    ("method: AREA", 3, 2, area), ("method: BICUBIC", 6, 8, lambda h, w: FLOAT),
])
def test_resize(session, method, height, width, expected):
    step = f"resize_image {{ target_height: {height} target_width: {width} {method} }}"
    np.testing.assert_allclose(run(session, step), expected(height, width), atol=1e-3)


@pytest.mark.parametrize("widths, width, bucket", [
    ("16 32", 21, 32), ("21 40", 21, 21), ("16", 16, 16), ("8 16", 16, 16), ("64", 21, 64)])
def test_resize_keeping_aspect(session, widths, width, bucket):
    """6 x 8 pixels to height 16: 21.3 wide, unless that is too long."""
    step = "resize_image_keeping_aspect {{ target_height: 16 {} }}".format(" ".join(
        "target_widths: " + each for each in widths.split()))
    result = run(session, step)
    assert result.shape == (16, bucket, 3)
    expected = bilinear(16, width)
    np.testing.assert_allclose(result[:, :width], expected, atol=1e-3)
    np.testing.assert_allclose(result[:, width:] - expected.mean((0, 1)), 0, atol=1e-3)
    static = preprocess_image(steps(step), tf.placeholder(tf.uint8, [None, None, 3])).shape.as_list()
    assert static == [16, None if " " in widths else int(widths), 3]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_resize_keeping_the_aspect_of_odd_images(session, shape):
    step = steps("resize_image_keeping_aspect { target_height: 8 target_widths: 4 target_widths: 40 }")
    image = session.run(preprocess_image(step, tf.constant(np.full(shape + (3,), 7, np.uint8))))
    assert image.shape == (8, 40 if shape[1] > 1 or shape == (1, 1) else 4, 3)
    np.testing.assert_allclose(image, 7, atol=1e-3)


WIDE = "target_height: 16 target_width: 64 wide_aspect: 4.5 wide_target_width: 100"


@pytest.mark.parametrize("shape, width", [((4, 17), 64), ((4, 18), 100), ((4, 900), 100), ((900, 4), 64), ((1, 1), 64)])
@pytest.mark.parametrize("method", ["BILINEAR", "AREA"])
def test_resize_of_long_images(session, shape, width, method):
    """From the limit on, an image is resized as by a step with the other width, to the last bit."""
    image = tf.constant(np.random.RandomState(0).randint(0, 256, shape + (3,)).astype(np.uint8))
    resized, plain = session.run([preprocess_image(steps(f"resize_image {{ {size} method: {method} }}"), image)
                                  for size in (WIDE, f"target_height: 16 target_width: {width}")])
    np.testing.assert_array_equal(resized, plain)


def test_long_images_among_other_steps(session):
    """Key points are fractions, so they stay; steps before and after see an image of any width."""
    warp = "random_warp { max_rotation: 5 max_perspective: 0.05 }"
    points = tf.constant([[0.1, 0.2], [0.9, 0.8]])
    image = StepImage(tf.zeros([4, 18, 3]), seed=tf.constant([1, 2], tf.int64), points=points)
    after = preprocess_sample(steps(f"resize_image {{ {WIDE} }}"), image)
    np.testing.assert_array_equal(*session.run([after.points, points]))
    gray = "rgb_to_gray { }"
    noise = ["random_blur { probability: 1 }", "random_noise { probability: 1 }", "random_downscale { probability: 1 }"]
    for texts, channels in ([warp, f"resize_image {{ {WIDE} }}"], 3), ([gray, f"resize_image {{ {WIDE} }}"], 1), (
            [f"resize_image {{ {WIDE} }}", gray], 1), ([f"resize_image {{ {WIDE} }}"] + noise, 3):
        pixels = preprocess_sample(steps(*texts), image._replace(pixels=tf.placeholder_with_default(
            tf.zeros([4, 30, 3]), [None, None, 3]))).pixels
        assert pixels.shape.as_list() == [16, None, channels]
        assert session.run(pixels).shape == (16, 100, channels)


def test_bicubic_is_the_same_everywhere(session):
    """Numbers of TensorFlow 1.4."""
    result = run(session, "resize_image { target_height: 3 target_width: 5 method: BICUBIC }")
    np.testing.assert_allclose(result[1, :, 0], BICUBIC_ROW, atol=1e-3)


def test_random_resize_draws_all_methods(session):
    size = "target_height: 9 target_width: 10"
    image = preprocess_image(steps(f"resize_image_random_method {{ {size} }}"), tf.constant(IMAGE))
    assert image.shape.as_list() == [9, 10, 3]
    references = [run(session, f"resize_image {{ {size} method: {method} }}")
                  for method in ("AREA", "BICUBIC", "BILINEAR", "NEAREST_NEIGHBOR")]
    drawn = set()
    for _ in range(60):
        result = session.run(image)
        matches = [i for i, r in enumerate(references) if np.allclose(result, r)]
        assert matches
        drawn.update(matches)
    assert drawn == {0, 1, 2, 3}


@pytest.mark.parametrize("texts, expected", [
    ([], FLOAT),
    (["image_to_float {}"], FLOAT),
    (["normalize_image { original_minval: 0 original_maxval: 255 }"], FLOAT / 255),
    (["normalize_image { original_minval: 0 original_maxval: 255 target_minval: -1 "
      "target_maxval: 1 }"], FLOAT / 127.5 - 1),
    (["subtract_channel_mean { means: 1 means: 2 means: 3.5 }"], FLOAT - [1, 2, 3.5]),
    (["rgb_to_gray {}"], GRAY),
    (["rgb_to_gray { three_channels: true }"], np.tile(GRAY, [1, 1, 3])),
    (["rgb_to_gray {}", "subtract_channel_mean { means: 5 }"], GRAY - 5),
    (["random_rgb_to_gray { probability: 1 }"], np.tile(GRAY, [1, 1, 3])),
    (["random_rgb_to_gray { probability: 0 }"], FLOAT),
    # Random steps without room for chance change nothing, in whatever range values are.
    (["random_adjust_brightness { max_delta: 0 }"], FLOAT),
    (["random_adjust_hue { max_delta: 0 }"], FLOAT),
    (["random_pixel_value_scale { minval: 1 maxval: 1 }"], FLOAT),
    (["random_pixel_value_scale { minval: 2 maxval: 2 }"], np.minimum(2 * FLOAT, 255)),
    (["normalize_image { original_minval: 0 original_maxval: 255 }",
      "random_pixel_value_scale { minval: 2 maxval: 2 }"], np.minimum(FLOAT / 127.5, 1)),
    (["string_filtering { include_charset { built_in_set: LOWERCASE } }"], FLOAT),
])
def test_certain_steps(session, texts, expected):
    np.testing.assert_allclose(run(session, *texts), expected, rtol=1e-3, atol=0.05)


def contrasted(factor):
    return np.clip((FLOAT - FLOAT.mean((0, 1))) * factor + FLOAT.mean((0, 1)), 0, 255)


def saturated(factor):
    """Chroma times a factor, largest channel kept: the definition by HSV."""
    high, low = FLOAT.max(-1, keepdims=True), FLOAT.min(-1, keepdims=True)
    new_range = np.minimum((high - low) * factor, high)
    return high - (high - FLOAT) * new_range / np.maximum(high - low, 1e-6)


@pytest.mark.parametrize("step, reference, low, high", [
    ("random_adjust_brightness { max_delta: 0.2 }", lambda d: np.clip(FLOAT + 255 * d, 0, 255),
     -0.2, 0.2),
    ("random_adjust_contrast {}", contrasted, 0.8, 1.25),
    ("random_adjust_saturation { min_delta: 0.5 max_delta: 0.9 }", saturated, 0.5, 0.9),
])
def test_random_amount(session, step, reference, low, high):
    """Results are those of some amount in the range, and the amounts differ."""
    image = preprocess_image(steps(step), tf.constant(IMAGE))
    grid = np.linspace(low, high, 400)
    references = np.stack([reference(amount) for amount in grid])
    amounts = []
    for _ in range(10):
        errors = np.abs(references - session.run(image)).max((1, 2, 3))
        amounts.append(grid[errors.argmin()])
        assert errors.min() < 0.5
    assert max(amounts) - min(amounts) > 0.2 * (high - low)


def test_hue_keeps_value_and_chroma(session):
    result = run(session, "random_adjust_hue { max_delta: 0.5 }")
    np.testing.assert_allclose(result.max(-1), FLOAT.max(-1), atol=0.1)
    np.testing.assert_allclose(result.min(-1), FLOAT.min(-1), atol=0.1)


@pytest.mark.parametrize("ordering", [0, 1])
def test_distort_color(session, ordering):
    image = preprocess_image(steps(f"random_distort_color {{ color_ordering: {ordering} }}"),
                             tf.constant(IMAGE))
    results = [session.run(image) for _ in range(5)]
    assert all(r.min() >= 0 and r.max() <= 255 for r in results)
    assert np.ptp([r.mean() for r in results]) > 1


@pytest.mark.parametrize("texts, words", [
    ([""], ["step 1 is empty"]),
    (["image_to_float {}", "resize_image { target_height: 0 }"],
     ["step 2, resize_image", "1 or more"]),
    (["normalize_image {}"], ["normalize_image", "equal"]),
    (["subtract_channel_mean { means: 1 }"], ["means has 1 values", "3 channels"]),
    (["rgb_to_gray {}", "random_adjust_hue {}"], ["step 2, random_adjust_hue", "gray"]),
    (["subtract_channel_mean { means: 1 means: 1 means: 1 }", "random_adjust_contrast {}"],
     ["step 2", "before it"]),
    (["random_distort_color { color_ordering: 2 }"], ["color_ordering must be 0 or 1"]),
    (["random_adjust_hue { max_delta: 2 }"], ["random_adjust_hue", "max_delta"]),
    (["random_adjust_contrast { min_delta: 2 }"], ["random_adjust_contrast"]),
])
def test_wrong_steps(session, texts, words):
    del session
    with pytest.raises(ValueError) as error:
        preprocess_image(steps(*texts), tf.constant(IMAGE))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("step, expected", [
    ("include_charset { built_in_set: LOWERCASE }", ["b1", "", ""]),
    ("lower_case: true include_charset { built_in_set: LOWERCASE }", ["ab1", "", ""]),
    ("include_charset { built_in_set: ALLCASES_SYMBOLS }", ["Ab1!", "", ""]),
    ("include_charset { text_string: '\u65e5 \u00e9' }", ["", "\u65e5\u00e9", ""]),
    ("include_charset { text_file: 'chars.txt' }", ["", "\u672c", ""]),
])
def test_string_filtering(tmp_path, step, expected):
    (tmp_path / "chars.txt").write_bytes("\u672c".encode("utf-8"))
    preprocess = text_preprocessor(steps(f"string_filtering {{ {step} }}"), str(tmp_path))
    assert [preprocess(text) for text in ["Ab1 !", "\u65e5\u672c\u00e9", ""]] == expected


def test_several_steps_change_a_text_in_turn():
    preprocess = text_preprocessor(steps(
        "string_filtering { include_charset { text_string: 'A b C' } }", "image_to_float {}",
        "string_filtering { lower_case: true include_charset { text_string: 'a b' } }"))
    assert preprocess("aAbBcC") == "ab"


def test_string_filtering_names_its_step():
    with pytest.raises(ValueError) as error:
        text_preprocessor(steps("string_filtering {}"))
    assert "step 1, string_filtering" in str(error.value)


TEXTS = ["", "Hello", "a b-c", "Café", "中文abc", "ПрИвет", "\U0001F600x\U0001F1E9", "ΑΩΆΏ", "ĀĹŸŽ",
         "ẤỰ", "سلام", "a\0b", "x" * 1000]


@pytest.mark.parametrize("lower_case", [False, True])
@pytest.mark.parametrize("charset", ["", "abcxyzHELo", "中é\U0001F600x"])
def test_filter_text(lower_case, charset):
    result = [filter_text(text, charset, lower_case) for text in TEXTS]
    texts = [text.lower() if lower_case else text for text in TEXTS]
    assert result == ["".join(c for c in text if not charset or c in charset) for text in texts]


@pytest.mark.parametrize("first, last", [
    (0x00, 0x17F),  # ASCII, Latin-1, Latin Extended-A
    (0x1CD, 0x1DC),  # Pinyin
    (0x218, 0x21B),  # Romanian
    (0x386, 0x3CE),  # Greek
    (0x400, 0x52F),  # Cyrillic
    (0x531, 0x556),  # Armenian
    (0x10A0, 0x10C5),  # Georgian
    (0x1E00, 0x1EFF),  # Latin Extended Additional, with Vietnamese
    (0x4E00, 0x4E20),  # no case
    (0xFF00, 0xFF60),  # full-width Latin
])
def test_lower_case_is_pythons(first, last):
    letters = [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c)) != "Cn"]
    # Of İ alone Python makes two code points, i and a dot above.
    assert [filter_text(letter, lower_case=True) for letter in letters] == [letter.lower()[0] for letter in letters]
    assert filter_text("".join(letters), lower_case=True) == "".join(letter.lower()[0] for letter in letters)
