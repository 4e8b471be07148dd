"""Samples -> batches whose images have one width, of one reader or of several."""
import functools
from typing import Any, Sequence

from aster.compat import group_by_window, tf


def batches_of_one_width(samples: Any, batch_size: int, full_only: bool) -> Any:
    """Makes batches of images of one size.

    Args:
      samples: a Dataset of tuples, whose first tensor is the image, [H, W, C].
      batch_size: B.
      full_only: True: samples wait until there are B of their width; those that are left at the end are dropped. False:
        all samples are in a batch, in their order; where images differ in width, each has a batch of its own.

    Returns:
      A Dataset of tuples of tensors [B, ...].

    Raises:
      ValueError: images differ in height, or in the number of channels.
    """
    height, width, channels = samples.output_shapes[0].as_list()
    if batch_size > 1 and None in (height, channels):
        raise ValueError("the preprocessing steps leave images of different heights, which can't be in one batch; add "
                         "a resize_image or resize_image_keeping_aspect step")
    if width:
        batches = samples.batch(batch_size)
    elif full_only:
        batches = samples.apply(group_by_window(lambda image, *_: tf.cast(tf.shape(image)[1], tf.int64),
                                                lambda _, window: window.batch(batch_size), batch_size))
    else:
        batches = samples.batch(1)  # grouping by width would change the order of the records
    if full_only:
        batches = batches.filter(lambda *tensors: tf.equal(tf.shape(tensors[0])[0], batch_size))
    return batches


def join_readers(shares: Sequence[Any], batch_size: int, full_only: bool) -> Any:
    """Joins the batches of several readers.

    Args:
      shares: for each reader, the Dataset of its share of the batches.
      batch_size: the size of all shares together.
      full_only: as in `batches_of_one_width`.

    Returns:
      A Dataset of batches. Where all images have one width, each batch has the share of every reader. Otherwise, each
      has one width, and the readers have their shares on average.
    """
    parts = tf.data.Dataset.zip(tuple(shares))
    if len(shares) == 1 or all(share.output_shapes[0].as_list()[2] for share in shares):
        return parts.map(lambda *batches: tuple(tf.concat(tensors, 0) for tensors in zip(*batches)))
    # One reader may have more long images than another, so that shares of one width don't come in pairs.
    samples = parts.flat_map(lambda *batches: functools.reduce(
        lambda joined, batch: joined.concatenate(batch), map(tf.data.Dataset.from_tensor_slices, batches)))
    return batches_of_one_width(samples, batch_size, full_only)
