import itertools
import random
import string

import pytest

from aster import eval as eval_command
from aster.data.charset import Charset
from aster.evaluation.metrics import PROTOCOLS, RecognitionMetrics, comparable, writable_characters
from aster.reading.lexicon import spellings
from aster.reading.nearest_word import nearest_word

E_ACUTE = frozenset("\u00e9")


@pytest.mark.parametrize("text, protocol, writable, expected", [
    ("It's 5!", "benchmark", "", "its5"), ("CAF\u00c9", "benchmark", E_ACUTE, "caf"),
    ("CAF\u00c9", "letters", "", "caf\u00e9"), ("Cafe\u0301", "letters", "", "caf\u00e9"),
    ("\u4e2d\u6587,", "letters", "", "\u4e2d\u6587"), ("", "benchmark", "", ""),
    ("\u0938\u094d\u0924\u0947", "letters", "", "\u0938\u094d\u0924\u0947"),  # marks belong to their letters
    ("CAF\u00c9", "benchmark", "", "caf\u00e9"), ("WE\u00b4RE \u20ac5", "benchmark", "", "were5"),
    ("I \u2764\ufe0f NY", "benchmark", "", "iny"), ("Two words!", "case_insensitive", "", "two words!"),
    ("Two words!", "exact", "", "Two words!"), ("Cafe\u0301 ", "exact", "", "Caf\u00e9 "),
    ("\u039f\u0394\u039f\u03a3", "case_insensitive", "", "\u03bf\u03b4\u03bf\u03c3"),
    ("\u03bf\u03b4\u03bf\u03c2", "case_insensitive", "", "\u03bf\u03b4\u03bf\u03c3")])  # the sigma of an end
def test_comparable(text, protocol, writable, expected):
    assert comparable(text, protocol, frozenset(writable)) == expected


# what a model of ASCII writes for them: each letter that folding, decomposing or filtering would turn into it
@pytest.mark.parametrize("truth, text", [
    ("CAF\u00c9", "caf"), ("CAF\u00c9", "cafe"), ("\u83dc\u80b4", ""), ("stra\u00dfe", "strasse"),
    ("STRA\u1e9eE", "STRASSE"), ("\ufb01n", "fin"), ("\u0131f", "if"), ("\u0131f", "f"), ("\u017fo", "so"),
    ("\u0130s", "is"), ("q\u0303a", "qa"), ("\u0661\u0662", "12"), ("\u0661\u0662", ""), ("\uff21b", "ab"),
    ("m\u00b2", "m"), ("\u0391B", "AB"), ("n\u00b05 \u00c5", "n5"), ("na\u0308\u0323", "na")])
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_letter_that_the_model_lacks_is_never_right(protocol, truth, text):
    writable = writable_characters([Charset(string.digits + string.ascii_letters + string.punctuation)])
    for case in text, text.lower(), text.upper():
        assert RecognitionMetrics(protocol, writable).update(case, truth) is False


def test_a_letter_that_the_model_writes_in_another_case_is_no_unknown_one():
    writable = writable_characters([Charset("abc\u00e9\u0451")])
    assert comparable("A\u00c9\u0401!", "benchmark", writable) == "a"


def test_a_word_of_a_lexicon_can_have_letters_that_the_model_lacks():
    assert RecognitionMetrics().update("Caf\u00e9", "CAF\u00c9") is True
    assert RecognitionMetrics().update("Cafe", "CAF\u00c9") is False


def test_metrics():
    metrics = RecognitionMetrics()
    assert metrics.summary() == {"count": 0, "word_accuracy": None, "character_error_rate": None,
                                 "normalized_edit_distance": None, "empty_truths": 0}
    assert metrics.update("Hello!", "hello") is True
    assert metrics.update("wurlds", "world") is False
    assert metrics.update("ab", "...") is None  # an empty truth
    assert metrics.update("", "?") is None
    assert metrics.update("abcdef", "ab") is False
    summary = metrics.summary()
    assert summary["count"] == 3 and summary["word_accuracy"] == 1 / 3 and summary["empty_truths"] == 2
    assert summary["normalized_edit_distance"] == pytest.approx((0 + 2 / 5.0 + 4 / 2.0) / 3)
    assert summary["character_error_rate"] == pytest.approx((0 + 2 + 4) / (5 + 5 + 2.0))


def test_the_command_knows_the_protocols():
    assert tuple(PROTOCOLS) == eval_command._PROTOCOLS


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_images_without_text(protocol):
    metrics = RecognitionMetrics(protocol)
    assert [metrics.update(text, "") for text in ("", "ab")] == [True, False]
    summary = metrics.summary()
    assert (summary["count"], summary["word_accuracy"], summary["empty_truths"]) == (2, 0.5, 0)
    assert (summary["character_error_rate"], summary["normalized_edit_distance"]) == (2.0, 1.0)


@pytest.mark.parametrize("protocol, right", [("benchmark", 4), ("letters", 4), ("case_insensitive", 2), ("exact", 1)])
def test_protocols_differ_in_what_they_compare(protocol, right):
    metrics = RecognitionMetrics(protocol)
    for text, truth in [("Two words!", "Two words!"), ("two WORDS!", "Two words!"), ("twowords", "Two words!"),
                        ("Two words", "Two words!"), ("two", "Two words!"), ("?", "---")]:
        metrics.update(text, truth)
    assert metrics.summary()["word_accuracy"] == pytest.approx(right / metrics.count)
    assert metrics.empty_truths == (1 if protocol in ("benchmark", "letters") else 0)


def places(truth, others):
    """Lexicons with the truth first, in between and last."""
    return [others[:i] + [truth] + others[i:] for i in range(len(others) + 1)]


@pytest.mark.parametrize("text, lexicon, expected", [
    ("helo", ["world", "Hello", "help"], "Hello"), ("HELP", ["hello", "Help"], "Help"), ("x", [], "x"),
    ("ab", ["ac", "bb"], "ac"), ("Help", ["HELP", "help", "Help"], "Help")])
def test_nearest_word(text, lexicon, expected):
    assert nearest_word(text, lexicon) == expected


def test_the_place_of_the_truth_in_its_lexicon_has_no_influence():
    """Accuracy with the truth first, last and in each place between, where many words of a lexicon are equally near."""
    rng = random.Random(0)
    words = ["".join(rng.choice("abAB") for _ in range(3)) for _ in range(200)]
    right = [0] * 8
    for i, truth in enumerate(words):
        others = [word for word in words[i + 1:] + words[:i] if word != truth][:7]
        text = truth[:2] + "c"
        for place, lexicon in enumerate(places(truth, others)):
            right[place] += nearest_word(text, lexicon) == truth
    assert len(set(right)) == 1 and 0 < right[0] < 200


@pytest.mark.parametrize("words, text, word", [(["It's", "its", "ITS"], "its", "its"), (["It's", "ITS"], "its", "ITS"),
                                               (["caf\u00e9", "b-b", "bb", "B.B"], "bb", "bb")])
def test_the_place_of_a_word_in_a_lexicon_to_read_with_has_no_influence(words, text, word):
    """Several words can have one spelling in the characters of a model."""
    for order in itertools.permutations(words):
        spelled = spellings(order, Charset(string.ascii_lowercase), 10)
        assert spelled == {text: word}
