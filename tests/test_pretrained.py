"""The model that comes with the library."""
import os

import pytest

from aster.evaluation.metrics import comparable
from aster.pretrained import ENGLISH, SAMPLES
from aster.reading.recognizer import Recognizer

REAL_WORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared", "data", "real_words")


@pytest.fixture(scope="module")
def recognizer():
    with Recognizer.from_experiment() as recognizer:
        yield recognizer


def test_it_reads_the_samples(recognizer):
    names = sorted(os.listdir(SAMPLES))
    readings = recognizer.recognize([os.path.join(SAMPLES, name) for name in names])
    right = [reading.text == os.path.splitext(name)[0].partition("_")[2].lower()
             for name, reading in zip(names, readings)]
    assert len(right) == 8 and all(right), list(zip(names, right))


def test_it_is_small_and_described():
    files = [os.path.join(folder, name) for folder, _, names in os.walk(ENGLISH) for name in names]
    assert sum(map(os.path.getsize, files)) < 25e6
    with open(os.path.join(ENGLISH, "README.md"), encoding="utf-8") as stream:
        card = stream.read()
    for said in "data", "seed", "accuracy", "can't read":
        assert said in card.lower()


@pytest.mark.skipif(not os.path.isdir(REAL_WORDS), reason="needs ../shared/data/real_words")
@pytest.mark.parametrize("name, at_least", [("iiit5k_train", 0.75), ("svt_train", 0.70), ("ic15_train_1000", 0.45)])
def test_real_photos(recognizer, name, at_least):
    """Every eighth word of each set; the targets are those of the first release."""
    with open(os.path.join(REAL_WORDS, name + ".tsv"), encoding="utf-8") as stream:
        lines = [line.rstrip("\n").split("\t") for line in stream][::8]
    readings = recognizer.recognize([os.path.join(REAL_WORDS, line[0]) for line in lines])
    right = [comparable(reading.text) == comparable(line[1]) for reading, line in zip(readings, lines)]
    assert sum(right) / len(right) >= at_least
