"""Bilinear sampling (Jaderberg et al. 2015) by standard operations; `ops.bilinear_sample` does the same in one."""
from aster.compat import tf
from aster.model import layers


def bilinear_sample(images: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """Reads images at the points of a grid; differentiable in both.

    Args:
      images: [B, H, W, C].
      grid: [B, P, 2], (x, y) as fractions of width and height. Pixel coordinates are clipped to [0, W - 2] and
        [0, H - 2], so that points outside the image read its border.

    Returns:
      [B, P, C].
    """
    height, channels = (layers.static_size(images, axis) for axis in (1, 3))
    width = tf.TensorShape(images.shape).as_list()[2] or tf.shape(images)[2]  # a model may have several
    float_width = tf.cast(width, grid.dtype)
    x = tf.clip_by_value(grid[:, :, 0] * float_width, 0.0, float_width - 2.0)
    y = tf.clip_by_value(grid[:, :, 1] * height, 0.0, height - 2.0)
    x0, y0 = tf.floor(x), tf.floor(y)
    right, down = tf.expand_dims(x - x0, 2), tf.expand_dims(y - y0, 2)
    left, up = tf.expand_dims((x0 + 1.0) - x, 2), tf.expand_dims((y0 + 1.0) - y, 2)

    pixels = tf.reshape(images, [-1, channels])  # of all images, row by row
    first_pixels = tf.expand_dims(tf.range(tf.shape(images)[0]) * (height * width), 1)
    # a point that is not a number stays so through its weights, but must read inside the image
    row, column = (tf.maximum(tf.cast(v, tf.int32), 0) for v in (y0, x0))
    corner = first_pixels + row * width + column

    def pixel(offset):
        return tf.gather(pixels, corner + offset)
    return (left * up * pixel(0) + left * down * pixel(width)
            + right * up * pixel(1) + right * down * pixel(width + 1))
