"""A model or a batch that can't fit in memory: a sentence before the first step, that names what is large."""
import pytest
from experiment import make_experiment

from aster.compat import tf
from aster.config import read_config
from aster.training.loop import train
from aster.training.memory import check_memory, memory_size


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
