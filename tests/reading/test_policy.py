"""The rules by which one of several texts is chosen."""
import collections
import types

import numpy as np
import pytest
from google.protobuf import text_format

from aster.data.preprocess import PixelRange
from aster.protos import model_pb2
from aster.reading import policy
from aster.reading.inference import Reading

Candidate = collections.namedtuple("Candidate", "text score")
RULES = policy.ReadingPolicy()
PIXELS = PixelRange(np.zeros(3), np.full(3, 255.0))


def test_the_defaults_are_those_of_the_configuration():
    assert policy.make_policy(model_pb2.MultiPredictorsRecognitionModel()) == pytest.approx(RULES)


@pytest.mark.parametrize("text, field, value", [
    ("reading { certain_probability: 0.5 }", "certain_probability", 0.5),
    ("reading { tall_ratio: 3 }", "tall_ratio", 3),
    ("reading { number_share: 0.25 }", "number_share", 0.25),
    ("reading { doubtful_probability: 0.25 }", "doubtful_probability", 0.25),
    ("reading { min_contrast: 3 }", "min_contrast", 3),
    ("reading { wide_characters: 3 }", "wide_characters", 3),
    ("reading { also_inverted: true }", "also_inverted", True),
    ("reading { also_zoomed: true }", "also_zoomed", True),
    ("also_negatives: true", "also_inverted", True),  # its name in version 0.1
    ("word_list { bonus_per_character: 2 }", "bonus_per_character", 2)])
def test_every_threshold_is_a_field(text, field, value):
    config = text_format.Parse(text, model_pb2.MultiPredictorsRecognitionModel())
    assert policy.make_policy(config) == pytest.approx(RULES._replace(**{field: value}))


@pytest.mark.parametrize("height, width, requested, expected", [
    (32, 100, None, (0,)),
    (149, 100, None, (0,)),
    (150, 100, None, (0, 90, 270)),  # from 1.5 times as tall as wide on
    (32, 100, (0, 90, 180, 270), (0, 180)),  # turned by 90 degrees the word would be tall
    (100, 32, (0, 90, 180, 270), (90, 270)),
    (40, 40, (0, 90), (0, 90)),
    (32, 100, (90,), (90,)),  # all that was asked for is tall: it is tried all the same
])
def test_orientations_to_try(height, width, requested, expected):
    assert policy.orientations_to_try(height, width, RULES, requested) == expected


def test_a_single_character_counts_only_as_the_image_is():
    upright, turned, long = Candidate("x", -2.0), Candidate("l", -0.1), Candidate("exit", -1.0)
    assert policy.best_orientation([upright, turned]) is upright
    assert policy.best_orientation([upright, turned, long]) is long
    assert policy.best_orientation([turned, long]) is turned
    assert policy.best_orientation([upright, turned, long], requested=(0, 90, 270)) is turned


def test_is_uncertain():
    scores = np.log([0.97, 0.9799, 0.9801, 1.0])
    assert policy.is_uncertain(scores, RULES).tolist() == [True, True, False, False]
    assert not policy.is_uncertain(np.log(0.6), RULES._replace(certain_probability=0.5))


def test_is_doubtful():
    assert [policy.is_doubtful(np.log(p), RULES) for p in (0.01, 0.699, 0.701, 1.0)] == [True, True, False, False]
    assert not policy.is_doubtful(np.log(0.6), RULES._replace(doubtful_probability=0.5))
    assert policy.is_doubtful(-1e9, RULES)


@pytest.mark.parametrize("difference, gray_level, expected", [
    (0, 1, True), (15, 1, True), (16, 1, False), (0.1, 2 / 255, True), (0.13, 2 / 255, False), (0, 0, False)])
def test_is_blank(difference, gray_level, expected):
    assert policy.is_blank(np.array([3.0]), np.array([3.0 + difference]), gray_level, RULES).tolist() == [expected]
    assert not policy.is_blank(3, 3, gray_level, RULES._replace(min_contrast=0))


@pytest.mark.parametrize("text, word, expected", [
    ("YouTube", "Youtube", "YouTube"), ("McKinley", "mckinley", "McKinley"), ("YouTubc", "Youtube", "Youtube")])
def test_the_word_list_does_not_change_the_case_alone(text, word, expected):
    def search(images, details, sequences=None):
        found, score = (text, -0.1) if sequences is None else (word, -2.0)
        return [Reading(found, score, (0.9,) * len(found)) for _ in images], [np.zeros([len(images), 1, 1])]
    inference = types.SimpleNamespace(search=search, num_preferred_words=1, pixel_range=PIXELS, wide_width=0)
    image = np.linspace(0, 255, 8 * 8 * 3).reshape([1, 8, 8, 3])
    reading, = policy.read_batch(inference, RULES, image)
    assert reading.text == expected


@pytest.mark.parametrize("text, score, wide_score, expected", [
    ("abcdefgh", -0.3, -0.2, "wide"), ("abcdefgh", -0.3, -0.4, "abcdefgh"), ("abcdefg", -0.3, -0.2, "abcdefg"),
    ("abcdefgh", -0.01, -0.005, "abcdefgh")])
def test_a_long_text_in_doubt_is_read_wider(text, score, wide_score, expected):
    """It must be long, in doubt, and less likely than the text of the wider image, which is not made wider again."""
    searched = []

    def search(images, details):
        searched.extend(images.shape[2] for _ in images)
        found = (text, score) if images.shape[2] == 8 else ("wide", wide_score)
        return [Reading(*found, (0.9,) * len(found[0])) if image.max() > 100 else Reading("short", -3.0)
                for image in images], []
    inference = types.SimpleNamespace(search=search, num_preferred_words=0, pixel_range=PIXELS, wide_width=12,
                                      widen=lambda images: np.repeat(images, 2, axis=2)[:, :, :12])
    images = np.linspace(0, 255, 8 * 8 * 3).reshape([1, 8, 8, 3]) * np.reshape([0.2, 1.0, 0.3], [3, 1, 1, 1])
    readings = policy.read_batch(inference, RULES, images)
    assert [reading.text for reading in readings] == ["short", expected, "short"]
    is_asked = int(len(text) >= 8 and score < np.log(0.98))
    assert searched == [8, 8, 8] + [12] * is_asked
    assert readings[1].doubtful is False
    policy.read_batch(inference, RULES._replace(wide_characters=0), images)
    assert searched[3 + is_asked:] == [8, 8, 8]


@pytest.mark.parametrize("wide_text, wide_word, expected", [
    (("abcdefzz", -0.4), ("otherone", -9.0), "abcdefgh"),  # more likely than the word, but worth less
    (("abcdefzz", -0.4), ("abcdefgi", -2.5), "abcdefgi"),
    (("abcdefzz", -0.3), ("abcdefgi", -3.5), "abcdefgh")])
def test_a_listed_word_has_its_bonus_against_the_wider_image(wide_text, wide_word, expected):
    found = {(8, False): ("abcdefgx", -1.0), (8, True): ("abcdefgh", -3.0),
             (12, False): wide_text, (12, True): wide_word}

    def search(images, details, sequences=None):
        text, score = found[images.shape[2], sequences is not None]
        return [Reading(text, score, (0.9,) * len(text)) for _ in images], [np.zeros([len(images), 1, 1])]
    inference = types.SimpleNamespace(search=search, num_preferred_words=1, pixel_range=PIXELS, wide_width=12,
                                      widen=lambda images: np.repeat(images, 2, axis=2)[:, :, :12])
    image = np.linspace(0, 255, 8 * 8 * 3).reshape([1, 8, 8, 3])
    assert policy.read_batch(inference, RULES, image)[0].text == expected


def test_the_wider_image_of_letters_is_not_blank():
    """Resizing takes a bit of a faint image's contrast. What is blank is decided by the image as it is."""
    def search(images, details):
        text, score = ("abcdefgh", -0.5) if images.shape[2] == 8 else ("abcdefgi", -0.3)
        return [Reading(text, score, (0.9,) * 8)], []
    inference = types.SimpleNamespace(search=search, num_preferred_words=0, pixel_range=PIXELS, wide_width=12,
                                      widen=lambda images: 0.9 * np.repeat(images, 2, axis=2)[:, :, :12])
    image = np.linspace(0, 17, 8 * 8 * 3).reshape([1, 8, 8, 3])
    reading, = policy.read_batch(inference, RULES, image)
    assert (reading.text, reading.score) == ("abcdefgi", -0.3)


@pytest.mark.parametrize("votes, expected", [
    ([("sale", -0.5, -0.5), ("sole", -0.9, -0.9), ("sole", -1.1, -1.1)], ("sole", -0.9)),  # 0.61 against 0.41 + 0.33
    ([("sale", -0.2, -0.2), ("sole", -0.9, -0.9), ("sole", -1.1, -1.1)], ("sale", -0.2)),
    ([("sala", -0.5, -0.5), ("sale", -2.5, -0.1), ("sole", -0.9, -0.9)], ("sale", -2.5)),  # a word with its bonus
    ([("sale", -0.1, -0.1), ("sale", -1.5, 1.0), ("sole", -0.01, -0.01)], ("sole", -0.01)),  # which is certain
    ([("sale", -0.1, -0.1), ("sale", -0.015, -0.015), ("sole", -0.01, -0.01)], ("sole", -0.01)),
    ([("a", -1.0, -1.0), ("b", -1.0, -1.0), ("c", -1.0, -1.0)], ("a", -1.0))])
def test_most_voted(votes, expected):
    texts, scores, values = zip(*votes)
    assert policy.most_voted(list(map(Candidate, texts, scores)), values, RULES) == expected


@pytest.mark.parametrize("height, width, fraction, expected", [
    (64, 256, 0.1, (6, 13)), (64, 256, -0.06, (-4, -8)), (64, 400, 0.1, (6, 13)),
    (32, 1024, -0.06, (-2, -4)),  # of a long line, no letter is cut off
    (32, 16, -0.06, (-2, 0)), (1, 1, 0.1, (0, 0))])
def test_the_border_of_zoomed_images(height, width, fraction, expected):
    assert policy.zoom_border(height, width, fraction) == expected


@pytest.mark.parametrize("zoomed_out, zoomed_in, expected", [
    (("sole", -0.9), ("sole", -1.1), ("sole", -0.9, True)), (("sole", -0.9), ("sale", -0.1), ("sale", -0.1, False)),
    (("sole", -9.0), ("sile", -9.0), ("sale", -0.5, True))])
def test_a_doubtful_text_is_put_to_the_vote(zoomed_out, zoomed_in, expected):
    """Only where it is doubtful. The second image is zoomed in and inverted, and neither is inverted once more."""
    searched = []
    kinds = {255: "plain", 0: "inverted", 300: "zoomed out", -145: "zoomed in, inverted"}  # by the last value

    def search(images, details):
        searched.extend(kinds[image[-1, -1, -1]] for image in images)
        found = {"zoomed out": zoomed_out, "zoomed in, inverted": zoomed_in}
        return [Reading(*found.get(kinds[image[-1, -1, -1]], ("sale", -0.5 if image[0, 0, 0] else -0.1)))
                for image in images], []
    inference = types.SimpleNamespace(search=search, num_preferred_words=0, pixel_range=PIXELS, wide_width=0,
                                      zoom=lambda images, rows, columns: images + (45 if rows > 0 else 145))
    images = np.linspace([0, 1], 255, 8 * 8 * 3, axis=1).reshape([2, 8, 8, 3])
    rules = RULES._replace(also_inverted=True)
    plain = policy.read_batch(inference, rules, images)
    assert [(one.score, one.doubtful) for one in plain] == [(-0.1, False), (-0.5, True)]
    once, searched[:] = list(searched), []
    assert once == ["plain"] * 2 + ["inverted"] * 2
    readings = policy.read_batch(inference, rules._replace(also_zoomed=True), images)
    assert readings[0] == plain[0]
    assert (readings[1].text, readings[1].score, readings[1].doubtful) == expected
    assert searched == once + ["zoomed out", "zoomed in, inverted"]


@pytest.mark.parametrize("height, width, doubtful, expected", [
    (600, 900, True, True), (900, 600, True, True), (150, 599, True, True), (600, 900, False, False),
    (149, 300, True, False), (300, 149, True, False), (150, 600, True, False), (32, 100, True, False)])
def test_a_whole_photo_gets_a_hint(height, width, doubtful, expected):
    assert policy.hint(height, width, doubtful) == (policy.WHOLE_PHOTO if expected else None)


@pytest.mark.parametrize("height, width, doubtful, expected", [
    (7, 40, True, "only 7 pixels high"), (40, 7, True, "only 7 pixels wide"), (3, 3, True, "only 3 pixels high"),
    (8, 40, True, None), (7, 40, False, None)])
def test_an_image_of_few_pixels_gets_a_hint(height, width, doubtful, expected):
    hint = policy.hint(height, width, doubtful)
    assert expected in hint if expected else hint is None


@pytest.mark.parametrize("text, expected", [("", False), ("a1", True), ("ab1", False), ("1b1", True), ("2026", True)])
def test_is_number(text, expected):
    assert bool(policy.is_number(sum(map(str.isdigit, text)), len(text), RULES)) is expected


def test_a_long_word_is_worth_more():
    np.testing.assert_allclose(policy.word_value(np.array([-2.0, -2.0]), np.array([2.0, 5.0]), RULES), [-0.8, 1.0])
