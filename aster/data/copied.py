"""Batches that are copied to a GPU while it computes, so that a step finds its images there."""
import contextlib
import logging
from typing import Any, Optional, Sequence

from aster.compat import CAN_COPY_AHEAD, copied_ahead, session_config, tf
from aster.errors import cause

_log = logging.getLogger(__name__)


def device_to_copy_to(devices: Sequence[str]) -> Optional[str]:
    """Chooses where `make_dataset` leaves its batches.

    Args:
      devices: the device of each clone.

    Returns:
      The device of the only clone, if that is a GPU to which TensorFlow can copy ahead; otherwise None. A GPU that
      can't is logged.
    """
    if not CAN_COPY_AHEAD or len(devices) > 1 or not devices[0].startswith("/gpu"):
        return None
    problem = copy_problem(devices[0])
    if problem:
        _log.warning("each step copies its images itself, so steps take longer: TensorFlow can't copy batches to %s "
                     "ahead (%s)", devices[0], problem)
    return None if problem else devices[0]


def copy_problem(device: str) -> str:
    """Says why TensorFlow 2 can't copy batches to a device, such as "/gpu:0", ahead. It tries; "" means that it can."""
    try:
        with tf.Graph().as_default():
            with tf.device("/cpu:0"):
                values = tf.zeros([2]), tf.constant(["a", "b"]), tf.zeros([2], tf.int64), tf.zeros([2], tf.float64)
                dataset = copied_ahead(tf.data.Dataset.from_tensor_slices(values), device)
            with tf.device(device):
                iterator = dataset.make_initializable_iterator()
                batch = iterator.get_next()
            with contextlib.closing(tf.Session(config=session_config())) as session:
                session.run(iterator.initializer)
                return "" if _texts(session, batch) == [b"a", b"b"] else "it gave other values"
    except (tf.errors.OpError, ValueError) as error:
        return cause(error)


def _texts(session: Any, batch: Any) -> Any:
    texts = []
    try:
        while True:
            texts.append(session.run(batch)[1])
    except tf.errors.OutOfRangeError:
        return texts
