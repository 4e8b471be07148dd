import os

import pytest

os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # GPUs compute in float32, so that small tolerances hold there
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several processes share a GPU

from aster.compat import tf


@pytest.fixture
def session():
    """A session in a graph of its own, which is the default one."""
    with tf.Graph().as_default(), tf.Session() as opened:
        yield opened
