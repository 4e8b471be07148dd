"""Records that an evaluation must outlive, what it must not leave in memory, and the protocols by which it compares."""
import gc
import glob
import json
import logging
import os

import pytest
from experiment import WORDS, draw_word, make_experiment, run

from aster import checkpoint
from aster import eval as eval_command
from aster.compat import tf
from aster.config import read_config
from aster.data.example import Sample, serialize
from aster.evaluation import evaluator
from aster.training.loop import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained experiment, two of whose three records have a text of a million characters."""
    path = make_experiment(tmp_path_factory.mktemp("experiment"), num_steps=1, eval="num_visualizations: 3")
    train(read_config(path), path, clone_on_cpu=True)
    with tf.python_io.TFRecordWriter(os.path.join(path, "data", "words.tfrecord")) as writer:
        for text in ("a" * 10 ** 6, "tea", "\u4e00$\n" * 333333):
            writer.write(serialize(Sample(draw_word("tea"), text, (), filename="image.jpg")))
    return path


def evaluate(folder):
    return evaluator.evaluate(read_config(folder), folder, checkpoint.find_checkpoint(os.path.join(folder, "log")))


@pytest.fixture
def pictures(monkeypatch):
    """The pictures that are drawn."""
    drawn, draw = [], evaluator.draw_reading

    def draw_reading(reading, truth, **options):
        drawn.append(draw(reading, truth, **options))
        return drawn[-1]
    monkeypatch.setattr(evaluator, "draw_reading", draw_reading)
    return drawn


def test_a_text_of_a_million_characters_does_not_end_an_evaluation(folder, caplog, pictures):
    with caplog.at_level(logging.ERROR):
        assert evaluate(folder)["count"] == 3
    assert len(pictures) == 3 and not caplog.records


def test_a_record_that_cannot_be_drawn_is_named(folder, caplog, monkeypatch, pictures):
    def draw(reading, truth, **options):
        if truth == "tea":
            raise ValueError("too many\ncharacters")
        return real(reading, truth, **options)
    real = evaluator.draw_reading
    monkeypatch.setattr(evaluator, "draw_reading", draw)
    with caplog.at_level(logging.ERROR):
        assert evaluate(folder)["count"] == 3
    assert len(pictures) == 2
    assert "record 'image.jpg' with the text 'tea': too many" in caplog.text


def test_an_evaluation_leaves_no_graph_in_memory(folder):
    """Its parameters are in it. They would pile up in a training that evaluates each checkpoint."""
    def num_graphs():
        return sum(isinstance(thing, tf.Graph) for thing in gc.get_objects())
    gc.collect()
    before = num_graphs()
    gc.disable()  # Python looks for cycles at a moment of its own
    try:
        for _ in range(3):
            evaluate(folder)
        assert num_graphs() <= before
    finally:
        gc.enable()


# Protocols

TRUTHS = ["Ab!", "caf\u00e9", "---", "STRASSE", "stra\u00dfe", "a b"]
TEXTS = ["ab", "caf", "x", "strasse", "strasse", "ab"]  # as read


class FakeRecognizer(evaluator.Recognizer):
    """Reads the images as TEXTS, whatever they show."""

    def recognize_preprocessed(self, images, details=False):
        readings = super().recognize_preprocessed(images, details)
        return [reading._replace(text=text) for reading, text in zip(readings, TEXTS)]


@pytest.fixture
def evaluate_truths(tmp_path, monkeypatch, capsys):
    """evaluate_truths(*arguments, truths=TRUTHS) -> (result, lines of stdout), or what the command ends with."""
    folder = make_experiment(tmp_path, num_steps=1)
    train(read_config(folder), folder, clone_on_cpu=True)
    monkeypatch.setattr(evaluator, "Recognizer", FakeRecognizer)

    def evaluate_them(*arguments, truths=TRUTHS, lexicon=()):
        with tf.python_io.TFRecordWriter(os.path.join(folder, "data", "words.tfrecord")) as writer:
            for truth in truths:
                writer.write(serialize(Sample(draw_word("x"), truth, lexicon)))
        capsys.readouterr()
        message = run(eval_command, "--exp_dir", folder, "--norepeat", "--json", tmp_path / "f.json", *arguments)
        if message:
            return message
        return json.loads((tmp_path / "f.json").read_text()), capsys.readouterr().out.splitlines()
    evaluate_them.log = os.path.join(folder, "log", "eval")
    return evaluate_them


def test_all_protocols_at_once(evaluate_truths):
    result, lines = evaluate_truths("--protocol", "benchmark", "exact", "--protocol", "case_insensitive")
    assert [(name, numbers["count"], round(numbers["word_accuracy"] * numbers["count"]), numbers["empty_truths"])
            for name, numbers in result["protocols"].items()] == [
                ("benchmark", 5, 3, 1), ("exact", 6, 0, 0), ("case_insensitive", 6, 1, 0)]
    assert result["protocol"] == "benchmark" and result["word_accuracy"] == 0.6
    assert result["character_error_rate"] == (0 + 1 + 0 + 2 + 0) / (2 + 4 + 7 + 6 + 2)
    assert "word accuracy 60.00 % (benchmark), character error rate 0.1429, " in lines[0]
    assert lines[0].endswith(", 1 empty truths left out, 5 words, 0 skipped")
    assert "word accuracy 0.00 % (exact)" in lines[1] and "16.67 % (case_insensitive)" in lines[2]
    names = {value.tag for path in glob.glob(os.path.join(glob.escape(evaluate_truths.log), "*"))
             for event in tf.train.summary_iterator(path) for value in event.summary.value}
    assert {"eval/word_accuracy", "eval/normalized_edit_distance", "eval/exact/word_accuracy"} <= names
    assert "eval/benchmark/word_accuracy" not in names


def test_a_text_filter_does_not_take_letters_from_the_truth(evaluate_truths):
    """It would turn caf\u00e9 into caf, which is what was read."""
    steps = ("string_filtering { include_charset { built_in_set: LOWERCASE } }",
             "resize_image { target_height: 64 target_width: 256 }")
    steps = " ".join(f"data_preprocessing_steps {{ {step} }}" for step in steps)
    result, _ = evaluate_truths("--set", f"eval_config {{ {steps} }}", truths=TRUTHS[:2])
    assert (result["protocol"], result["count"], result["word_accuracy"]) == ("benchmark", 2, 0.5)


def test_nothing_to_compare_is_an_error(evaluate_truths):
    assert "data/words.tfrecord: none of the 2 texts has what the protocol benchmark compares" in evaluate_truths(
        truths=["---", "!"])
    result, lines = evaluate_truths("--protocol", "benchmark", "exact", truths=["---", "!"])
    assert result["word_accuracy"] is None
    assert "nothing to compare (benchmark)" in lines[0] and "2 empty truths" in lines[0]


def test_texts_of_lexicons_are_counted(evaluate_truths):
    option = "--set", "eval_config { eval_with_lexicon: true }"
    result, (line,) = evaluate_truths(*option, truths=["caf\u00e9", "caf\u00e9"], lexicon=("tea", "caf\u00e9"))
    assert result["texts_from_lexicons"] == 2 and result["with_lexicon"] is True and "2 texts taken" in line
    result, (line,) = evaluate_truths(*option, truths=WORDS)
    assert result["texts_from_lexicons"] == 0 and result["with_lexicon"] is False and "lexicon" not in line
