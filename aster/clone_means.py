"""Means over all clones of a model, so that clones which share a batch make the step that one clone makes of it.

A clone is built before the next one, so that its means can't take in those of the others yet. `mean_over_clones` marks
the place of each mean, and `connect` joins them when all clones are there. Clones of other processes build graphs of
their own; a function that the caller gives takes the mean over the processes.
"""
from typing import Any, Callable, List, Optional, Tuple

from aster.compat import tf

_NUM_CLONES, _SYNC_BATCH_NORM, _MEANS = "aster_num_clones", "aster_sync_batch_norm", "aster_means_over_clones"


def begin(num_clones: int, sync_batch_norm: bool = False) -> None:
    """Says that clones will be built in the current graph, which have equal shares of each batch.

    Args:
      num_clones: how many, those of other processes included; 2 or more. `connect` must follow them.
      sync_batch_norm: whether batch normalization takes its statistics over all of them.
    """
    tf.add_to_collection(_NUM_CLONES, num_clones)
    if sync_batch_norm:
        tf.add_to_collection(_SYNC_BATCH_NORM, True)


def num_clones() -> int:
    """Returns how many clones share each batch in the current graph."""
    return tf.get_collection(_NUM_CLONES)[-1] if tf.get_collection(_NUM_CLONES) else 1


def syncs_batch_norm() -> bool:
    """Returns whether batch normalization takes its statistics over all clones of the current graph."""
    return bool(tf.get_collection(_SYNC_BATCH_NORM))


def mean_over_clones(value: tf.Tensor) -> tf.Tensor:
    """Marks a value of one clone, whose mean over all clones is meant.

    Args:
      value: any float tensor. Each clone marks the same ones, in the same order.

    Returns:
      A tensor of the same shape, which is the mean after `connect`; the value itself if there is one clone.
    """
    if num_clones() == 1:
        return value
    marked = tf.identity(value)
    tf.add_to_collection(_MEANS, marked)
    return marked


def connect(count: int, mean_over_processes: Optional[Callable[[Any], Any]] = None) -> None:
    """Joins what the clones have marked. Gradients that are built afterwards flow between the clones.

    Args:
      count: how many clones are in this graph.
      mean_over_processes: a function of the mean of these clones that gives that of all processes. None: there is one.

    Raises:
      ValueError: the clones have not marked the same number of values.
    """
    marked = tf.get_collection(_MEANS)
    if len(marked) % count:
        raise ValueError(f"{count} clones share {len(marked)} means, which is not the same number for each; a part of "
                         "the model builds another graph in one of them")
    per_clone = len(marked) // count
    for i in range(per_clone):
        _join(marked[i::per_clone], mean_over_processes)


def _join(same: List[Any], mean_over_processes: Optional[Callable[[Any], Any]]) -> None:
    # TensorFlow has no public name for this, but its own loops are closed by it, in all versions
    mean = tf.add_n([marked.op.inputs[0] for marked in same]) / float(len(same))
    if mean_over_processes:
        mean = mean_over_processes(mean)
    for marked in same:
        marked.op._update_input(0, mean)


def batch_norm_of_all_clones(images: tf.Tensor, scale: Any, offset: Any, *, epsilon: float
                             ) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalizes as tf.nn.fused_batch_norm does in training, by the statistics of the batch of all clones.

    Args:
      images: [B, H, W, C], a clone's share of the batch.
      scale: [C].
      offset: [C].
      epsilon: is added to the variance.

    Returns:
      [B, H, W, C]; and [C] each, the mean and the unbiased variance of the whole batch.
    """
    mean = mean_over_clones(tf.reduce_mean(images, [0, 1, 2]))
    variance = mean_over_clones(tf.reduce_mean(tf.squared_difference(images, mean), [0, 1, 2]))
    count = tf.cast(num_clones() * tf.size(images[..., 0]), tf.float32)
    outputs = tf.nn.batch_normalization(images, mean, variance, offset, scale, epsilon)
    return outputs, mean, variance * count / tf.maximum(count - 1.0, 1.0)
