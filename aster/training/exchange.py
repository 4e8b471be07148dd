"""Parameters and gradients between the GPUs of one process, by NCCL: TensorFlow's collective operations.

The parameters live on the first GPU. In each step they are broadcast to the others, and the gradients of all GPUs are
summed. So the GPUs send to each other in a ring, and not all of them to the first one.
"""
import contextlib
import itertools
import logging
from typing import Any, List, Sequence

import numpy as np

from aster.compat import HAS_ALL_REDUCE, session_config, tf
from aster.training.collectives import messages

_log = logging.getLogger(__name__)
_GROUP = 1  # the number of the group that the devices make
_NUMBERS = itertools.count(1)  # of the messages; TensorFlow knows them by it
_MILLISECONDS_TO_TRY = 60000


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
    """Says why TensorFlow 2 can't broadcast and sum between devices. It tries, for a minute; "" means that it can."""
    with tf.Graph().as_default() as graph:
        with tf.device(devices[0]):
            numbers = tf.random_uniform([3])
        results = numbers, sums([[numbers]] + copies([numbers], devices), devices)[0]
        num_cpus = 1 + sum("cpu" in device for device in devices)
        with contextlib.closing(tf.Session(graph=graph, config=session_config(num_cpus))) as session:
            try:
                one, total = session.run(results, options=tf.RunOptions(timeout_in_ms=_MILLISECONDS_TO_TRY))
            except tf.errors.OpError as error:
                return error.message.partition("\n")[0]
    return "" if np.allclose(total, len(devices) * one) else "it gave other values"


def copies(values: Sequence[Any], devices: Sequence[str]) -> List[List[Any]]:
    """Builds the broadcast of values from the first device to the others.

    Args:
      values: variables or tensors of the first device, float32, of known shapes.
      devices: two or more.

    Returns:
      For each device but the first, a list of tensors on it.
    """
    results: List[List[Any]] = [[] for _ in devices[1:]]
    last: List[Any] = []
    for same in messages(values):
        with tf.control_dependencies(last):
            with tf.device(devices[0]):
                message = _message(same)
                key = _key(devices)
                last = [tf.raw_ops.CollectiveBcastSend(input=message, shape=message.shape, **key)]
            for device in devices[1:]:
                with tf.device(device):
                    last.append(tf.raw_ops.CollectiveBcastRecv(T=tf.float32, shape=message.shape, **key))
        # nobody receives unless all do: whoever runs one of the results runs the whole broadcast
        for device, received, result in zip(devices[1:], last[1:], results):
            with tf.device(device), tf.control_dependencies(last):
                result += _parts(tf.identity(received), same)
    return results


def sums(values: Sequence[Sequence[Any]], devices: Sequence[str]) -> List[Any]:
    """Builds the sums over devices.

    Args:
      values: for each device, float32 tensors of the same known shapes, in the order in which they are computed.
      devices: two or more.

    Returns:
      A list of the sums, tensors on the first device.
    """
    results: List[Any] = []
    last: List[Any] = []
    for same in zip(*map(messages, values)):
        key = _key(devices)
        totals = []
        for device, own in zip(devices, same):
            with tf.device(device), tf.control_dependencies(last):
                totals.append(tf.raw_ops.CollectiveReduce(input=_message(own), merge_op="Add", final_op="Id",
                                                          subdiv_offsets=[0], **key))
        last = totals
        with tf.device(devices[0]), tf.control_dependencies(totals):
            results += _parts(tf.identity(totals[0]), same[0])
    return results


def _key(devices):
    """What the operations of one message have in common."""
    return dict(group_size=len(devices), group_key=_GROUP, instance_key=next(_NUMBERS),
                communication_hint="nccl" if "gpu" in devices[0] else "ring")


def _message(values):
    return tf.concat([tf.reshape(value, [-1]) for value in values], 0)


def _parts(message, values):
    """A message -> tensors of the shapes of the values that it was made of."""
    return [tf.reshape(part, value.shape)
            for part, value in zip(tf.split(message, [value.shape.num_elements() for value in values]), values)]
