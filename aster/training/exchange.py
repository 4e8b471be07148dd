"""Parameters and gradients between the GPUs of one process, by NCCL: TensorFlow's collective operations.

The parameters live on the first GPU. In each step the others get copies of them, and the gradients of all GPUs are
summed. So the GPUs send to each other in a ring, and not all of them to the first one.
"""
import contextlib
import itertools
import logging
from typing import Any, List, Sequence

from aster.compat import HAS_ALL_REDUCE, session_config, tf
from aster.errors import cause
from aster.training.collectives import messages

_log = logging.getLogger(__name__)
_GROUP = 1  # the number of the group that the devices make
_NUMBERS = itertools.count(1)  # of the messages; TensorFlow knows them by it
_MILLISECONDS_TO_TRY, _NUMBERS_TO_TRY = 60000, 2 ** 20


def can_exchange(devices: Sequence[str]) -> bool:
    """Tells whether clones get copies of the parameters and sum their gradients by `copies` and `sums`.

    Args:
      devices: the device of each clone.

    Returns:
      Whether there are several, all of them are GPUs, and TensorFlow can do it. GPUs that can't are logged.
    """
    if not HAS_ALL_REDUCE or len(devices) < 2 or not all(device.startswith("/gpu") for device in devices):
        return False
    problem = exchange_problem(devices)
    if problem:
        _log.warning("each GPU exchanges parameters and gradients with %s alone, so steps take longer: TensorFlow "
                     "can't exchange them between %s by NCCL (%s)", devices[0], ", ".join(devices), problem)
    return not problem


def exchange_problem(devices: Sequence[str]) -> str:
    """Says why TensorFlow 2 can't exchange values between devices. It tries, and "" means that it can.

    After a minute it gives up, unless TensorFlow itself waits in NCCL, which nothing can end.
    """
    try:
        with tf.Graph().as_default() as graph:
            with tf.device(devices[0]):  # not a constant, since TensorFlow computes ahead with these
                numbers = tf.placeholder_with_default(tf.fill([_NUMBERS_TO_TRY], 3.0), [_NUMBERS_TO_TRY])
            results = sums([[numbers]] + copies([numbers], devices), devices)
            num_cpus = 1 + sum("cpu" in device for device in devices)
            with contextlib.closing(tf.Session(graph=graph, config=session_config(num_cpus))) as session:
                total, = session.run(results, options=tf.RunOptions(timeout_in_ms=_MILLISECONDS_TO_TRY))
    except (tf.errors.OpError, ValueError) as error:
        return cause(error)
    return "" if (total == 3.0 * len(devices)).all() else "it gave other values"


def copies(values: Sequence[Any], devices: Sequence[str], after: Sequence[Any] = ()) -> List[List[Any]]:
    """Builds the copies of values of the first device on the others.

    They are sums, too, to which the other devices give zeros. TensorFlow's broadcast would not do: a GPU may receive
    while the operations that were started before still use the memory.

    Args:
      values: variables or tensors of the first device, float32, of known shapes.
      devices: two or more.
      after: tensors that must be there first.

    Returns:
      For each device but the first, a list of tensors on it.
    """
    nothing = []
    for device in devices[1:]:
        with tf.device(device):
            nothing.append([tf.zeros(value.shape) for value in values])
    return _sums_on_all([values] + nothing, devices, after)[1:]


def sums(values: Sequence[Sequence[Any]], devices: Sequence[str]) -> List[Any]:
    """Builds the sums over devices.

    Args:
      values: for each device, float32 tensors of the same known shapes, in the order in which they are computed.
      devices: two or more.

    Returns:
      A list of the sums, tensors on the first device.
    """
    return _sums_on_all(values, devices)[0]


def _sums_on_all(values, devices, after=()):
    """-> for each device, a list of the sums, tensors on it."""
    results: List[List[Any]] = [[] for _ in devices]
    last = list(after)
    for same in zip(*map(messages, values)):
        key = dict(group_size=len(devices), group_key=_GROUP, instance_key=next(_NUMBERS), merge_op="Add",
                   final_op="Id", subdiv_offsets=[0], communication_hint="nccl" if "gpu" in devices[0] else "ring")
        totals = []
        for device, own in zip(devices, same):
            with tf.device(device), tf.control_dependencies(last):
                message = tf.concat([tf.reshape(value, [-1]) for value in own], 0)
                totals.append(tf.raw_ops.CollectiveReduce(input=message, **key))
        last = totals
        # no device gets a sum unless all take part: whoever runs one of the results runs all of the message
        for device, total, result in zip(devices, totals, results):
            with tf.device(device), tf.control_dependencies(totals):
                parts = tf.split(tf.identity(total), [value.shape.num_elements() for value in same[0]])
                result += [tf.reshape(part, value.shape) for part, value in zip(parts, same[0])]
    return results
