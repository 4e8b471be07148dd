import pytest

from aster.compat import tf


@pytest.fixture
def session():
    """A session in a graph of its own, which is the default one."""
    with tf.Graph().as_default(), tf.Session() as opened:
        yield opened
