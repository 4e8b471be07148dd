"""Records that an evaluation must outlive, and what it must not leave in memory."""
import gc
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
