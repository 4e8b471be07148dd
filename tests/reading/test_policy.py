"""The rules by which one of several texts is chosen."""
import collections

import numpy as np
import pytest
from google.protobuf import text_format

from aster.protos import model_pb2
from aster.reading import policy

Candidate = collections.namedtuple("Candidate", "text score")
RULES = policy.ReadingPolicy()


def test_the_defaults_are_those_of_the_configuration():
    assert policy.make_policy(model_pb2.MultiPredictorsRecognitionModel()) == pytest.approx(RULES)


@pytest.mark.parametrize("text, field, value", [
    ("reading { certain_probability: 0.5 }", "certain_probability", 0.5),
    ("reading { tall_ratio: 3 }", "tall_ratio", 3),
    ("reading { number_share: 0.25 }", "number_share", 0.25),
    ("reading { also_inverted: true }", "also_inverted", True),
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


def test_is_doubtful():
    scores = np.log([0.97, 0.9799, 0.9801, 1.0])
    assert policy.is_doubtful(scores, RULES).tolist() == [True, True, False, False]
    assert not policy.is_doubtful(np.log(0.6), RULES._replace(certain_probability=0.5))


@pytest.mark.parametrize("text, expected", [("", False), ("a1", True), ("ab1", False), ("1b1", True), ("2026", True)])
def test_is_number(text, expected):
    assert bool(policy.is_number(sum(map(str.isdigit, text)), len(text), RULES)) is expected


def test_a_long_word_is_worth_more():
    np.testing.assert_allclose(policy.word_value(np.array([-2.0, -2.0]), np.array([2.0, 5.0]), RULES), [-0.8, 1.0])
