"""Chunks of records -> their pixels and texts, in the graph.

An op decodes what is as usual: JPEG and PNG images of 8 bits, and ASCII texts.
Python decodes and judges the rest, as it knows all formats and names each
failure. So the lock of Python, which only one thread can hold, is rarely held.
"""
from typing import Any, NamedTuple

from aster.c_ops import ops
from aster.compat import tf
from aster.data.image import LARGE_PIXELS


class DecodedRecords(NamedTuple):
    """A chunk of m decoded records, an array or tensor for each column. Images differ in size, so pixels are bytes."""
    pixels: Any  # string [m], the bytes of a uint8 [H, W, 3] each
    sizes: Any  # int32 [m, 2], H and W
    texts: Any  # string [m], UTF-8, as the steps leave them
    lexicons: Any  # string [m], words joined by tab
    filenames: Any  # string [m]
    control_points: Any  # float32 [m, K, 2], (x, y) as fractions of width and height
    keypoint_mask: Any  # float32 [m], 1 where the record has key points, otherwise 0
    numbers: Any  # int64 [m], the place of the record in the sequence of all records of all epochs


def decode_chunk(source: Any, payloads: tf.Tensor, places: tf.Tensor, numbers: tf.Tensor) -> DecodedRecords:
    """Decodes a chunk of records, and judges which of them are used.

    Args:
      source: the Source that they come from.
      payloads: string [n], as `Source.chunks` yields them.
      places: string [n], likewise.
      numbers: int64 [n], likewise.

    Returns:
      The DecodedRecords of those that are used, in their order.
    """
    num_points = source.num_control_points
    *columns, states = ops.decode_records(payloads, source.text_table(), num_control_points=num_points,
                                          max_pixels=LARGE_PIXELS)
    from_op = DecodedRecords(*(columns + [numbers]))
    is_done = tf.equal(states, ops.RECORD_DONE)
    done, left = tf.where(is_done)[:, 0], tf.where(tf.logical_not(is_done))[:, 0]
    types = DecodedRecords(pixels=tf.string, sizes=tf.int32, texts=tf.string, lexicons=tf.string, filenames=tf.string,
                           control_points=tf.float32, keypoint_mask=tf.float32, numbers=tf.int64)
    indices, *columns = tf.py_func(source.finish, [tf.gather(payloads, left), tf.gather(places, left), numbers, states,
                                                   from_op.sizes], [tf.int64] + list(types))
    indices.set_shape([None])
    from_python = DecodedRecords(*columns)
    has_pixels = tf.equal(tf.gather(states, indices), ops.RECORD_TEXT_IS_LEFT)
    from_python = from_python._replace(pixels=tf.where(has_pixels, tf.gather(from_op.pixels, indices),
                                                        from_python.pixels))
    all_indices = tf.cast(tf.concat([done, indices], 0), tf.int32)
    order = tf.nn.top_k(-all_indices, tf.size(all_indices)).indices
    shapes = DecodedRecords(*[[None]] * len(types))._replace(sizes=[None, 2], control_points=[None, num_points, 2])
    merged = [tf.gather(tf.concat([tf.gather(op_column, done), python_column], 0), order)
              for op_column, python_column in zip(from_op, from_python)]
    for column, shape in zip(merged, shapes):
        column.set_shape(shape)
    return DecodedRecords(*merged)
