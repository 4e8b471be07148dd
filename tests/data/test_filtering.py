"""What string_filtering takes out of the training texts is said before training."""
import logging

import pytest
from data_helpers import reader, serialize, steps, write_records

from aster.data import checks, dataset
from aster.data.filtering import report_filtering

LOWERCASE = "string_filtering { lower_case: true include_charset { built_in_set: LOWERCASE } }"


@pytest.mark.parametrize("texts, step, level, words", [
    (["stra\u00dfe", "sch\u00f6n", "haus"], LOWERCASE, "WARNING",
     ["13.3 % of the letters", "'\u00df' (U+00DF) x 1", "'\u00f6' (U+00F6) x 1",
      "data_augmentation_options[1].string_filtering.include_charset"]),
    (["it's", "a-b", "x-1"], LOWERCASE, "INFO",
     ["100 % of the punctuation and others: '-' (U+002D) x 2, \"'\" (U+0027) x 1"]),
    (["\u00e4" + 199 * "a", "!"], LOWERCASE, "INFO",
     ["0.5 % of the letters", "punctuation and others: '!'", "1 texts are empty"]),
    (["Ab", "CD"], "string_filtering { include_charset { built_in_set: LOWERCASE } }", "WARNING",
     ["75 % of the letters", "lower_case: true"]),
    (99 * ["word"] + ["5"], "string_filtering { include_charset { text_string: 'w o r d' } }", "WARNING",
     ["100 % of the digits"]),
    (["\u0915\u093c\u0915"], "string_filtering { include_charset { text_string: '\u0915 x' } }", "WARNING",
     ["33.3 % of the letters: '\u093c' (U+093C)"]),  # a mark is a part of a letter
    (["Word", "x1"], LOWERCASE, None, []),
])
def test_what_is_taken_out(caplog, texts, step, level, words):
    caplog.set_level(logging.INFO)
    report_filtering("train_input_reader", texts, steps("rgb_to_gray { }", step))
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    for word in words:
        assert word in caplog.text


def test_the_second_filter_sees_what_the_first_one_leaves(caplog):
    caplog.set_level(logging.INFO)
    report_filtering("train_input_reader", ["ab-", "a"], steps(LOWERCASE, "string_filtering { include_charset { "
                                                                          "text_string: 'a c' } }"))
    first, second = [record.getMessage() for record in caplog.records]
    assert "options[0]" in first and "'-'" in first and "letters" not in first
    assert "options[1]" in second and "33.3 % of the letters: 'b'" in second and "'-'" not in second


def test_it_is_said_at_the_start_of_training_and_not_of_an_evaluation(tmp_path, caplog, monkeypatch):
    path = write_records(tmp_path / "a", [serialize(text) for text in ("\u00e4b", "cd", "ef")])
    monkeypatch.setattr(checks, "_MAX_TEXTS", 2)
    dataset.check_inputs([reader(path)], steps(LOWERCASE), is_training=False)
    assert not caplog.text
    dataset.check_inputs([reader(path)], steps(LOWERCASE))
    assert "takes out of the first 2 texts, a sample, 25 % of the letters: '\u00e4' (U+00E4) x 1" in caplog.text
