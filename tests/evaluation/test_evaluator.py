"""Records that an evaluation must outlive."""
import logging
import os

import pytest
from experiment import draw_word, make_experiment

from aster import checkpoint
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
            writer.write(serialize(Sample(draw_word("tea"), text)))
    return path


def evaluate(folder):
    return evaluator.evaluate(read_config(folder), folder, checkpoint.find_checkpoint(os.path.join(folder, "log")))


def test_a_text_of_a_million_characters_does_not_end_an_evaluation(folder, caplog, monkeypatch):
    pictures = []
    monkeypatch.setattr(evaluator, "_write_summary", lambda folder, result, drawn: pictures.extend(drawn))
    with caplog.at_level(logging.ERROR):
        assert evaluate(folder)["count"] == 3
    assert len(pictures) == 3 and not caplog.records


def test_a_record_that_cannot_be_drawn_is_named(folder, caplog, monkeypatch):
    def draw(reading, truth, **options):
        if truth == "tea":
            raise ValueError("too many\ncharacters")
        return real(reading, truth, **options)
    real = evaluator.draw_reading
    monkeypatch.setattr(evaluator, "draw_reading", draw)
    pictures = []
    monkeypatch.setattr(evaluator, "_write_summary", lambda folder, result, drawn: pictures.extend(drawn))
    with caplog.at_level(logging.ERROR):
        assert evaluate(folder)["count"] == 3
    assert len(pictures) == 2
    assert "record with the text 'tea': too many" in caplog.text
