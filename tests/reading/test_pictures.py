"""Pictures of Readings: what is on them, and that nothing that a model may read stops them."""
import io
import warnings

import numpy as np
import pytest
from PIL import Image

from aster.reading import pictures
from aster.reading.recognizer import Reading

CAPTIONS = {"Text read", "Score", "Input with control points", "Rectified image", "Probability of each character",
            "Where each character was read (attention)"}
RNG = np.random.RandomState(0)


def make_reading(text="tea", **changes):
    points = np.stack([np.tile(np.linspace(0.1, 0.9, 5), 2), np.repeat([0.2, 0.8], 5)], axis=1)
    reading = Reading(
        text, -0.5, tuple(np.linspace(0.3, 1, len(text))), image=RNG.uniform(0, 255, [64, 256, 3]),
        control_points=points, rectified=RNG.uniform(-1, 1, [32, 100, 3]), attention=RNG.uniform(0, 1, [len(text), 25]))
    return reading._replace(**changes)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_picture_names_all_that_is_on_it():
    figure = pictures.reading_figure(make_reading(), truth="ten", corrected="den")
    assert set(texts(figure)) > CAPTIONS | {"Truth", "ten", "By its lexicon", "den", "tea", "t", "e", "a", "30.0 %",
                                            "100.0 %", "-0.5, a probability of 60.7 %"}
    assert "Truth" not in texts(pictures.reading_figure(make_reading()))


@pytest.mark.parametrize("width", [800, 1600])
def test_pictures_have_one_width(width):
    drawings = [pictures.draw_reading(make_reading(text), width=width) for text in ("tea", "a" * 30)]
    assert [drawing.width for drawing in drawings] == [width, width] and drawings[0].mode == "RGB"
    assert drawings[1].height - drawings[0].height == 27 * 30 * width // 800  # a row for each character


def test_letters_are_large_enough_to_read():
    figure = pictures.reading_figure(make_reading("a" * 100), truth="b" * 300)
    pixels_per_point = 800 / figure.get_figwidth() / 72
    assert min(text.get_fontsize() for text in figure.axes[0].texts) * pixels_per_point >= 11


def test_texts_stay_inside():
    figure = pictures.reading_figure(make_reading("W" * 200), truth="M" * 200)
    pictures.render(figure, 800)
    renderer = figure.canvas.get_renderer()
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.x1 <= 800, text.get_text()[:20]


@pytest.mark.parametrize("color", [(214, 39, 40), (31, 119, 180)])
def test_points_outside_of_the_image_show_in_a_white_margin(color):
    points = make_reading().control_points
    outside = points.copy()
    outside[:5, 1], outside[5:, 1] = -0.2, 1.2
    white = np.full([64, 256, 3], 255.0)
    rows = []
    for shown in points, outside:
        figure = pictures.reading_figure(make_reading("", control_points=shown, image=white))
        pixels = np.asarray(pictures.render(figure, 800)).astype(int)
        frame = min((image.get_extent() for image in figure.axes[0].images), key=lambda extent: extent[0])
        y = np.nonzero((abs(pixels - color).sum(axis=2) < 30).any(axis=1))[0]
        assert len(y) > 0
        rows.append((y.min() < frame[3] - 5) or (y.max() > frame[2] + 5))
    assert rows == [False, True]


@pytest.mark.parametrize("point", [[np.nan, 0.5], [1e30, -1e30], [np.inf, 0.5]])
def test_points_of_an_untrained_model(point):
    points = make_reading().control_points
    points[2] = point
    assert pictures.draw_reading(make_reading(control_points=points), width=800).width == 800
    points[:] = point
    assert pictures.draw_reading(make_reading(control_points=points), width=800).width == 800


def test_the_input_has_its_own_aspect_ratio():
    """The one given, where the Reading has it, else the one that the model saw."""
    class WithOriginal(Reading):
        original = RNG.randint(0, 255, [300, 600, 3]).astype(np.uint8)
    for reading, aspect in (make_reading(), 4), (WithOriginal(*make_reading()), 2):
        image = pictures.reading_figure(reading).axes[0].images[0]
        left, right, bottom, top = image.get_extent()
        assert (right - left) / (bottom - top) == pytest.approx(aspect)


@pytest.mark.parametrize("reading", [
    make_reading(""), make_reading("x"), make_reading("long words, " * 20), make_reading(attention=None),
    make_reading(rectified=None, control_points=None), make_reading(probabilities=()),
    make_reading("don't", probabilities=(0.5,) * 4, attention=np.ones([4, 25])),  # spelled by a lexicon
    make_reading(attention=np.zeros([3, 25])), make_reading(score=-1e4), make_reading("a b")], ids=lambda reading: "")
def test_unusual_readings(reading):
    drawing = pictures.draw_reading(reading, truth="", width=800)
    assert drawing.width == 800 and len(set(drawing.convert("L").getdata())) > 3


@pytest.mark.parametrize("text", ["\u03b1\u0416\u00e9", "\u4e2d\u6587", "\u0938\u094d", "$x^2$", "$\\frac", "_{}%&#~",
                                  "\t\n\x00", "\U0001f600"])
def test_texts_of_any_script(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a glyph that the font lacks, say
        pictures.draw_reading(make_reading(text), truth=text, width=800)


def test_letters_of_other_alphabets_are_drawn():
    assert "\u03b1\u0416\u00e9" in texts(pictures.reading_figure(make_reading("\u03b1\u0416\u00e9")))
    assert "\u25a1\u25a1" in texts(pictures.reading_figure(make_reading("\u4e2d\u6587")))


def test_several_words_in_one_picture():
    figure = pictures.readings_figure([make_reading("one"), make_reading("two", rectified=None)])
    assert {"one", "two", "60.7 %", "Rectified image"} < set(texts(figure))
    assert pictures.draw_readings([make_reading("one")], 800).width == 800


def test_a_reading_without_details():
    with pytest.raises(ValueError, match="details=True"):
        pictures.draw_reading(Reading("tea", -0.1, (1.0, 1.0, 1.0)))


def test_thumbnails_and_files():
    image = RNG.uniform(-10, 300, [64, 256, 3])
    assert Image.open(io.BytesIO(pictures.thumbnail(image))).size == (160, 48)
    assert pictures.to_uint8(image).min() == 0 and pictures.to_uint8(image).max() == 255
    drawing = pictures.draw_reading(make_reading(), width=800)
    decoded = Image.open(io.BytesIO(pictures.encode(drawing)))
    assert decoded.format == "PNG" and decoded.size == drawing.size
    assert len(pictures.encode(drawing, "JPEG")) < len(pictures.encode(drawing))


def test_a_very_long_truth_is_cut():
    figure = pictures.reading_figure(make_reading(), truth="a" * 10 ** 6)  # matplotlib takes minutes for all of it
    drawn = max(texts(figure), key=len)
    assert drawn.startswith("aaa") and drawn.endswith("\u2026") and len(drawn) < 500
