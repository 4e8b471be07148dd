"""Means over the workers of a cluster that has no parameter servers, by TensorFlow's collective operations."""
import itertools
import zlib
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from aster.compat import tf

_BUFFER_BYTES = 2 ** 25  # one message for many small gradients; a few, so that the first is on its way early
_GROUP = 1  # the number of the group that all workers make
_NUMBERS = itertools.count(1)  # of reductions; TensorFlow's server remembers them, also those of another graph


class Collectives:
    """The reductions in the graph of a worker. All workers build the same graph, each for its own part of the data.

    Reductions are numbered as they are built, and each waits for the one before: NCCL would wait forever if two workers
    made them in different orders. What a worker has to say to the others, its flag, travels with the gradients.

    Attributes:
      num_workers: how many workers there are.
      flag: a scalar to feed, what this worker has to say with a step; 0 unless it is fed.
      flags: float32 [num_workers], what all workers said with this step.
      step: [(what goes in, what comes out)] of the reductions of a step, in their order.
    """

    def __init__(self, num_workers: int, index: int, device: str) -> None:
        """Prepares the reductions of the current graph.

        Args:
          num_workers: how many workers there are.
          index: which of them this one is, from 0.
          device: where they are made, such as "/cpu:0"; the same kind of device in each worker.
        """
        self.num_workers, self._index, self._device = num_workers, index, device
        self.step: List[Tuple[Any, Any]] = []
        with tf.device(device):
            self.flag = tf.placeholder_with_default(tf.constant(0.0), [], "flag_of_worker")
        self.flags: Any = None

    def mean(self, value: Any) -> Any:
        """Builds the mean of a tensor over all workers, as part of a step. Gradients flow through it to all workers.

        Args:
          value: float32, of a known shape.

        Returns:
          A tensor of the same shape.
        """
        def reduce_mean(own: Any) -> Any:
            return self._sum(own, self.step) / self.num_workers

        @tf.custom_gradient
        def over_workers(own: Any) -> Any:
            return reduce_mean(own), reduce_mean
        return over_workers(value)

    def step_means(self, values: Sequence[Any]) -> List[Any]:
        """Builds the means that end a step, in few messages. `flags` comes with them.

        Args:
          values: float32 tensors of known shapes, in the order in which they are computed.

        Returns:
          Tensors of the same shapes.
        """
        with tf.device(self._device):
            own = self.flag * tf.one_hot(self._index, self.num_workers)
            *sums, self.flags = self._sum_all(list(values) + [own], self.step)
            return [value / self.num_workers for value in sums]

    def say(self, session: Any, flag: float) -> None:
        """Takes part in the step that the others make now, but with nothing except a flag. Their step is worthless.

        Args:
          session: of the graph.
          flag: what to say.
        """
        nothing = {value: np.zeros(value.shape.as_list(), np.float32) for value, _ in self.step}
        last = self.step[-1][0]  # it ends with the flags
        nothing[last][self._index - self.num_workers] = flag
        session.run([total.op for _, total in self.step], nothing)

    def share(self, variables: Sequence[Any]) -> Any:
        """Builds an op that gives all workers the first worker's values of variables.

        Args:
          variables: numbers, of known shapes.

        Returns:
          The op.

        Raises:
          ValueError: a variable has no numbers.
        """
        for variable in variables:
            if not (variable.dtype.is_floating or variable.dtype.is_integer):
                raise ValueError(f"the variable {variable.op.name} is of type {variable.dtype.base_dtype.name}, which "
                                 "--strategy all_reduce can't give to other workers; expected numbers")
        by_type: Dict[Any, List[Any]] = {}
        for variable in variables:
            by_type.setdefault(variable.dtype.base_dtype, []).append(variable)
        reductions: List[Tuple[Any, Any]] = []
        assignments = []
        for same in by_type.values():
            own = [tf.identity(variable) if self._index == 0 else tf.zeros(variable.shape, variable.dtype.base_dtype)
                   for variable in same]
            assignments += [tf.assign(variable, value)
                            for variable, value in zip(same, self._sum_all(own, reductions))]
        return tf.group(*assignments)

    def gather_number(self, text: str) -> Any:
        """Builds int64 [num_workers]: a number for the text of each worker, the same for equal texts."""
        numbers = [zlib.crc32(text.encode("utf-8")) * (i == self._index) for i in range(self.num_workers)]
        return self._sum(tf.constant(numbers, tf.int64), [])

    def _sum_all(self, values: Sequence[Any], reductions: List[Tuple[Any, Any]]) -> List[Any]:
        sums = []
        for same in messages(values):
            total = self._sum(tf.concat([tf.reshape(value, [-1]) for value in same], 0), reductions)
            parts = tf.split(total, [value.shape.num_elements() for value in same])
            sums += [tf.reshape(part, value.shape) for part, value in zip(parts, same)]
        return sums

    def _sum(self, value: Any, reductions: List[Tuple[Any, Any]]) -> Any:
        with tf.device(self._device), tf.control_dependencies([total for _, total in reductions[-1:]]):
            total = tf.raw_ops.CollectiveReduce(
                input=value, group_size=self.num_workers, group_key=_GROUP, instance_key=next(_NUMBERS),
                merge_op="Add", final_op="Id", subdiv_offsets=[0],
                communication_hint="nccl" if "gpu" in self._device.lower() else "ring")
        reductions.append((value, total))
        return total


def messages(values: Sequence[Any]) -> Iterator[List[Any]]:
    """Puts tensors together that are sent together.

    Args:
      values: tensors of known shapes.

    Yields:
      Parts of the list, in its order, of about as many bytes as a message has.
    """
    part: List[Any] = []
    size = 0
    for value in values:
        num_bytes = value.shape.num_elements() * value.dtype.size
        if part and size + num_bytes > _BUFFER_BYTES:
            yield part
            part, size = [], 0
        part.append(value)
        size += num_bytes
    if part:
        yield part
