"""Tells a model or a batch that can't fit in memory before TensorFlow tries."""
import functools
import operator
import os
from typing import Any, Optional, Sequence, Tuple

# The limits that Linux sets for a container, of its two versions.
_CONTAINER_LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"


def check_memory(graph: Any, variables: Sequence[Any] = (), *, batch_size: Optional[int] = None,
                 limit: Optional[int] = None) -> None:
    """Checks that a graph's variables, and the largest tensor that it computes, fit in memory.

    A graph that passes may still need too much, because many tensors are in memory at the same time.

    Args:
      graph: a tf.Graph for the CPU. Tensors whose shape is not known are left out.
      variables: all that are to be in memory, those of the optimizer too.
      batch_size: the first dimension of tensors that have all dimensions but that one; None: these are left out.
      limit: bytes of memory; None: what this machine has.

    Raises:
      ValueError: they don't fit. The message names what is largest.
    """
    limit = limit or memory_size()
    sized = [(_num_bytes(variable), variable) for variable in variables]
    tensors = [(_num_bytes(tensor, batch_size), tensor)
               for operation in graph.get_operations() for tensor in operation.outputs]
    images = f" of {batch_size} images" if batch_size else ""
    for what, total, (size, largest) in (
            ("the model's variables", sum(size for size, _ in sized), _largest(sized)),
            (f"a tensor{images}", _largest(tensors)[0], _largest(tensors))):
        if total > limit:
            raise ValueError(
                f"too large for the memory of this machine: {what} would take {total / 1e9:.1f} GB of its "
                f"{limit / 1e9:.1f} GB; the largest is {largest.op.name} of shape {largest.shape.as_list()}, "
                f"{size / 1e9:.1f} GB. Choose {'' if batch_size else 'a smaller batch_size, '}smaller images, or fewer "
                "units or channels")


def memory_size() -> int:
    """The bytes of memory that this process may use, at most."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CONTAINER_LIMITS:
        try:
            with open(path) as stream:
                sizes.append(int(stream.read()))
        except (OSError, ValueError):  # another version, or "max"
            continue
    return min(sizes)


def _largest(sized: Sequence[Tuple[int, Any]]) -> Tuple[int, Any]:
    return max(sized, key=lambda pair: pair[0], default=(0, None))


def _num_bytes(tensor: Any, batch_size: Optional[int] = None) -> int:
    """The size of a tensor or variable; 0 where its shape is not known, or its type has no fixed size."""
    if tensor.shape.ndims is None:
        return 0
    shape = tensor.shape.as_list()
    if shape[:1] == [None]:
        shape[0] = batch_size
    if None in shape:
        return 0
    return functools.reduce(operator.mul, shape, tensor.dtype.size)
