"""A model or a batch that can't fit in memory: a sentence before the first step, that names what is large."""
import pytest
from experiment import make_experiment

from aster import memory
from aster.compat import tf
from aster.config import read_config
from aster.memory import check_memory, memory_size
from aster.reading.recognizer import Recognizer
from aster.training.loop import train


def test_variables_count_together_and_tensors_one_by_one():
    with tf.Graph().as_default() as graph:
        variables = [tf.get_variable(name, [100, 1000]) for name in "abc"]  # 400,000 bytes each
        product = tf.matmul(variables[0], tf.transpose(variables[1]), name="product")
        tf.matmul(tf.placeholder(tf.float32, [None, 100]), product)
        check_memory(graph, variables, limit=1200000)
        with pytest.raises(ValueError, match="variables would take 0.0 GB .* a of shape .100, 1000."):
            check_memory(graph, variables, limit=1199999)
        with pytest.raises(ValueError, match="a tensor would take 0.0 GB .* of shape"):
            check_memory(graph, [], limit=399999)


def test_the_batch_of_a_graph_for_reading_counts():
    with tf.Graph().as_default() as graph:
        tf.tile(tf.placeholder(tf.float32, [None, 1000]), [1, 2], name="tiled")
        tf.placeholder(tf.float32, [None, None, 1000000])  # of unknown size
        tf.placeholder(tf.float32)
        check_memory(graph, limit=100)
        check_memory(graph, batch_size=5, limit=40000)
        with pytest.raises(ValueError, match="a tensor of 6 images would take 0.0 GB .* tiled of shape"):
            check_memory(graph, batch_size=6, limit=40000)


def test_reading_says_what_is_too_large(tmp_path, monkeypatch):
    folder = make_experiment(tmp_path)
    train(read_config(folder), folder, clone_on_cpu=True)
    monkeypatch.setattr(memory, "memory_size", lambda: 10 ** 6)
    with pytest.raises(ValueError, match="a tensor of 32 images would take .* Choose smaller images"):
        Recognizer.from_experiment(folder)


def test_this_machine_has_memory():
    assert 2 ** 28 < memory_size() < 2 ** 50


@pytest.mark.parametrize("old, new, named", [
    ("batch_size: 4", "batch_size: 1000000", "IteratorGetNext of shape [1000000, 64, 256, 3]"),
    ("lstm_cell { num_units: 8 } } num_output", "lstm_cell { num_units: 100000 } } num_output", "lstm_cell/kernel"),
    ("lstm_cell { num_units: 8 } }\n", "lstm_cell { num_units: 100000 } }\n", "Forward/Predictor/decoder"),
])
def test_training_says_what_is_too_large(tmp_path, old, new, named):
    folder = make_experiment(tmp_path)
    path = str(tmp_path / "config" / "trainval.prototxt")
    with open(path) as stream:
        text = stream.read()
    assert old in text
    with open(path, "w") as stream:
        stream.write(text.replace(old, new))
    with pytest.raises(ValueError, match="too large for the memory of this machine") as info:
        train(read_config(folder), folder, clone_on_cpu=True)
    assert named in str(info.value)
