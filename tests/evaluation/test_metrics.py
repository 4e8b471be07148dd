import pytest

from aster.evaluation.metrics import RecognitionMetrics, comparable
from aster.reading.nearest_word import nearest_word


@pytest.mark.parametrize("text, ascii_only, expected", [
    ("It's 5!", True, "its5"), ("CAF\u00c9", True, "caf"), ("CAF\u00c9", False, "caf\u00e9"),
    ("Cafe\u0301", False, "caf\u00e9"), ("\u4e2d\u6587,", False, "\u4e2d\u6587"), ("", True, ""),
    ("\u0938\u094d\u0924\u0947", False, "\u0938\u094d\u0924\u0947")])  # marks belong to their letters
def test_comparable(text, ascii_only, expected):
    assert comparable(text, ascii_only) == expected


def test_metrics():
    metrics = RecognitionMetrics()
    assert metrics.summary() == {"count": 0, "word_accuracy": None, "normalized_edit_distance": None}
    assert metrics.update("Hello!", "hello")
    assert not metrics.update("wurlds", "world")
    assert not metrics.update("ab", "...")  # an empty truth
    assert metrics.update("", "?")
    summary = metrics.summary()
    assert summary["count"] == 4 and summary["word_accuracy"] == 0.5
    assert summary["normalized_edit_distance"] == pytest.approx((0 + 2 / 5.0 + 2 + 0) / 4)


@pytest.mark.parametrize("text, lexicon, expected", [
    ("helo", ["world", "Hello", "help"], "Hello"), ("HELP", ["hello", "Help"], "Help"), ("x", [], "x"),
    ("ab", ["ac", "bb"], "ac")])
def test_nearest_word(text, lexicon, expected):
    assert nearest_word(text, lexicon) == expected
