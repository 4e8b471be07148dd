"""The preprocessing steps that distort images at random, as cameras and photographers do (protos/preprocessor.proto).

Each is a function (message, image) -> image. Recent recognisers train with such steps, e.g. PARSeq (Bautista and
Atienza 2022, section 4.2), whose ranges are of the same order as the defaults here.
"""
import functools
import math

import numpy as np

from aster.c_ops import ops
from aster.compat import stateless_normal, tf
from aster.data.step_image import between, on_unit_range, run_one, sometimes

_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)  # (x, y) as fractions of width and height
_NUM_QUALITIES = 10  # the quality of JPEG is an attribute of its op, so that there is one op for each


def _random_warp(config, image):
    """Rotates, shears and changes the perspective in one resampling. The result is as large as it needs to be."""
    draws = image.random([11])
    shape = tf.shape(image.pixels)
    size = tf.cast(tf.stack([shape[1], shape[0]]), tf.float32)  # width and height
    corners = _CORNERS * size
    moved = _moved_corners(config, corners, size, draws[1:])
    moved -= tf.reduce_min(moved, 0)
    new_size = tf.maximum(tf.ceil(tf.reduce_max(moved, 0) - 1e-3), 2.0)
    # the sampler needs two pixels in each direction
    is_warped = tf.logical_and(draws[0] < config.probability, tf.reduce_min(size) >= 2.0)
    to_old = _homography(moved, corners)
    pixels = tf.cond(is_warped, lambda: _sample(image.pixels, to_old, size, new_size), lambda: image.pixels)
    pixels.set_shape([None, None, image.pixels.shape[-1]])
    points = image.points
    if points is not None:
        to_new = tf.matrix_inverse(to_old)
        points = tf.cond(is_warped, lambda: _map_points(to_new, image.points * size) / new_size, lambda: image.points)
        points.set_shape(image.points.shape)
    return image._replace(pixels=pixels, points=points)


def _moved_corners(config, corners, size, draws):
    """Where a step moves the corners [4, 2] of an image to, in pixels, by random numbers [10]."""
    amounts = between(draws, -1.0, 1.0)
    angle = amounts[0] * math.radians(config.max_rotation)
    slant = tf.tan(amounts[1] * math.radians(config.max_shear))
    centered = corners - 0.5 * size
    x, y = centered[:, 0] + slant * centered[:, 1], centered[:, 1]
    rotated = tf.stack([tf.cos(angle) * x - tf.sin(angle) * y, tf.sin(angle) * x + tf.cos(angle) * y], 1)
    return rotated + config.max_perspective * tf.reshape(amounts[2:], [4, 2]) * size


def _homography(source, target):
    """The matrix [3, 3] of the projective map that takes four points [4, 2] to four others.

    It solves the eight linear equations of its eight unknowns (Hartley and Zisserman 2004, section 4.1).
    """
    source, target = tf.cast(source, tf.float64), tf.cast(target, tf.float64)
    ones, zeros = tf.ones([4, 1], tf.float64), tf.zeros([4, 3], tf.float64)
    rows = tf.concat([source, ones], 1)
    equations = tf.concat([tf.concat([rows, zeros, -source * target[:, :1]], 1),
                           tf.concat([zeros, rows, -source * target[:, 1:]], 1)], 0)
    unknowns = tf.matrix_solve(equations, tf.reshape(tf.transpose(target), [8, 1]))
    return tf.cast(tf.reshape(tf.concat([unknowns, ones[:1]], 0), [3, 3]), tf.float32)


def _map_points(matrix, points):
    """Applies a projective map [3, 3] to points [P, 2]."""
    mapped = tf.matmul(tf.concat([points, tf.ones_like(points[:, :1])], 1), matrix, transpose_b=True)
    return mapped[:, :2] / mapped[:, 2:]


def _sample(pixels, to_old, size, new_size):
    """Reads an image at the places that the pixels of the new one come from. Beyond its border it goes on as there."""
    centers = tf.reshape(tf.stack(tf.meshgrid(tf.range(new_size[0]), tf.range(new_size[1])), 2) + 0.5, [-1, 2])
    places = _map_points(to_old, centers) - 0.5
    # the sampler reads up to the last pixel but one, so that one more row and column give it all
    padded = tf.pad(pixels, [[0, 1], [0, 1], [0, 0]], "SYMMETRIC")
    samples = ops.bilinear_sample(padded[tf.newaxis], (places / (size + 1.0))[tf.newaxis])
    shape = tf.cast(tf.stack([new_size[1], new_size[0]]), tf.int32)
    return tf.reshape(samples, tf.concat([shape, tf.shape(pixels)[2:]], 0))


def _random_blur(config, image):
    """Convolves with a Gaussian, first down the columns, then along the rows."""
    draws = image.random([2])
    sigma = tf.maximum(draws[1] * config.max_sigma, 1e-3)
    radius = int(math.ceil(3.0 * config.max_sigma))
    kernel = tf.exp(-0.5 * tf.square(tf.range(-radius, radius + 1.0) / sigma))
    kernel /= tf.reduce_sum(kernel)

    def blurred():
        pixels = image.pixels
        for axis, shape in enumerate(([-1, 1, 1, 1], [1, -1, 1, 1])):
            length = tf.shape(pixels)[axis]
            with_border = tf.gather(pixels, tf.clip_by_value(tf.range(-radius, length + radius), 0, length - 1),
                                    axis=axis)
            channels = tf.tile(tf.reshape(kernel, shape), [1, 1, int(pixels.shape[-1]), 1])
            pixels = tf.nn.depthwise_conv2d(with_border[tf.newaxis], channels, [1, 1, 1, 1], "VALID")[0]
        return pixels
    return image._replace(pixels=sometimes(blurred, image.pixels, config.probability, draws[0]))


def _random_noise(config, image):
    draws = image.random([2])

    def noisy(x):
        noise = stateless_normal(tf.shape(x), _noise_seed(draws))
        return sometimes(lambda: x + draws[1] * config.max_stddev * noise, x, config.probability, draws[0])
    return on_unit_range(image, noisy)


def _noise_seed(draws):
    """A seed, int64 [2], from numbers from 0 to below 1: noise needs more numbers than a step may draw."""
    return tf.cast(draws * 2.0 ** 31, tf.int64)


def _random_jpeg(config, image):
    """Compresses to JPEG and decodes again."""
    low, high = config.min_quality, config.max_quality
    if low > high:
        raise ValueError(f"min_quality is {low}, expected max_quality, {high}, or less")
    channels = int(image.pixels.shape[-1])
    draws = image.random([2])

    def compressed(x):
        values = tf.cast(tf.round(tf.clip_by_value(x, 0.0, 1.0) * 255.0), tf.uint8)
        branches = [functools.partial(tf.image.encode_jpeg, values, quality=quality)
                    for quality in sorted(set(np.linspace(low, high, _NUM_QUALITIES).astype(int).tolist()))]
        return tf.cast(tf.image.decode_jpeg(run_one(branches, draws[1]), channels), tf.float32) / 255.0
    return on_unit_range(image, lambda x: sometimes(lambda: compressed(x), x, config.probability, draws[0]))


def _random_downscale(config, image):
    """Makes the image smaller, by one of four methods, and as large as before again."""
    draws = image.random([3])
    shape = tf.shape(image.pixels)[:2]
    small = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float32) * between(draws[1], config.min_factor, 1.0)),
                               tf.int32), 1)
    methods = [getattr(tf.image.ResizeMethod, name) for name in ("AREA", "BICUBIC", "BILINEAR", "NEAREST_NEIGHBOR")]

    def downscaled():
        reduced = run_one([functools.partial(tf.image.resize_images, image.pixels, small, method)
                           for method in methods], draws[2])
        return tf.image.resize_images(reduced, shape)
    return image._replace(pixels=sometimes(downscaled, image.pixels, config.probability, draws[0]))


def _random_invert(config, image):
    return on_unit_range(image, lambda x: sometimes(lambda: 1.0 - x, x, config.probability, image.random([])))


DISTORTION_STEPS = {
    "random_warp": _random_warp,
    "random_blur": _random_blur,
    "random_noise": _random_noise,
    "random_jpeg": _random_jpeg,
    "random_downscale": _random_downscale,
    "random_invert": _random_invert,
}
