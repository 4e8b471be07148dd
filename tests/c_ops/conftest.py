"""The session of the tests of ops."""
import pytest

from aster.compat import tf


@pytest.fixture
def session():
    """A session in a graph of its own, which is the default one. It runs every operation where it is placed:
    TensorFlow would compute what depends on constants only ahead, and on the CPU also where there is a GPU."""
    config = tf.ConfigProto()
    config.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
    with tf.Graph().as_default(), tf.Session(config=config) as opened:
        yield opened
