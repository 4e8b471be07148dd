"""Thin-plate splines (Bookstein 1989; ASTER section 3.1.2). All constants are made once, in numpy.

Points are (x, y) as fractions of width and height; of K control points the first K/2 run along the top
edge from left to right, the last K/2 along the bottom edge.
"""
import functools
import operator
from typing import NamedTuple

import numpy as np

from aster.c_ops import ops
from aster.compat import tf


def target_control_points(num_points, margin_x, margin_y):
    """float64 [K, 2]: where the control points lie on the rectified image."""
    return _edges(num_points, margin_x, margin_y, 1.0 - margin_y)


def initial_control_points(pattern, num_points, margin_x, margin_y):
    """float64 [K, 2]: where the localization network starts. `pattern` is identity, slope or sine."""
    x = np.linspace(margin_x, 1.0 - margin_x, num_points // 2)
    if pattern == "identity":
        return _edges(num_points, margin_x, margin_y, 1.0 - margin_y)
    if pattern == "slope":
        return _edges(num_points, margin_x, np.linspace(margin_y, 0.3, num_points // 2),
                      np.linspace(0.7, 1.0 - margin_y, num_points // 2))
    if pattern == "sine":
        wave = 0.2 * np.sin(2.0 * np.pi * x)
        return _edges(num_points, margin_x, 0.25 + wave, 0.75 + wave)
    raise ValueError(f"init_bias_pattern must be identity, slope or sine, not {pattern!r}")


def _edges(num_points, margin_x, top, bottom):
    x = np.linspace(margin_x, 1.0 - margin_x, num_points // 2)
    return np.concatenate([np.stack([x, np.broadcast_to(y, x.shape)], 1) for y in (top, bottom)])


class Spline(NamedTuple):
    """The constants of one spline: inverse float32 [K + 3, K] maps source points to coefficients, lift
    float32 [P, K + 3] maps coefficients to the P pixels of the rectified image, row by row."""
    inverse: np.ndarray
    lift: np.ndarray


def make_spline(control_points, height, width):
    """Spline from target control points [K, 2] on an image of this size in pixels."""
    num_points = len(control_points)
    system = np.zeros([num_points + 3, num_points + 3])
    distance = np.linalg.norm(control_points[:, None] - control_points[None], axis=2)
    system[:num_points, 0] = 1.0
    system[:num_points, 1:3] = control_points
    system[:num_points, 3:] = distance ** 2 * np.log(np.where(distance == 0.0, 1.0, distance))
    system[num_points:num_points + 2, 3:] = control_points.T
    system[num_points + 2, 3:] = 1.0
    inverse = np.linalg.inv(system)[:, :num_points]  # the right-hand side's other rows are zero

    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    pixels = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    offsets = pixels[:, None] - control_points.astype(np.float32)[None]
    distance = _sqrt(np.square(offsets).sum(2))
    lift = np.concatenate([np.ones([len(pixels), 1]), pixels,
                           distance * distance * _log(distance + np.float32(1e-6))], 1)
    return Spline(inverse.astype(np.float32), lift.astype(np.float32))


def sampling_grid(source_points, spline, fused=False):
    """source_points [B, K, 2] -> where to read each pixel of the rectified image, [B, P, 2]. `fused`: by ASTER's op."""
    if fused:
        return ops.spline_grid(source_points, spline.inverse.T, spline.lift.T)
    num_points, num_pixels = spline.inverse.shape[1], len(spline.lift)
    rows = tf.reshape(tf.transpose(source_points, [0, 2, 1]), [-1, num_points])  # the x and y of each image
    # the gradient needs one product with a constant; the exact value comes on top, without a gradient
    grid = tf.matmul(rows, tf.constant(spline.lift.dot(spline.inverse).T))
    exact = _product(spline.lift, _product(spline.inverse, rows, spline.lift.shape[1]))
    grid = grid + tf.stop_gradient(exact - grid)
    return tf.transpose(tf.reshape(grid, [-1, 2, num_pixels]), [0, 2, 1])


# The coefficients of a spline are large and cancel, so that the last bit of a float32 decides about 1e-4 of a
# pixel's value, and about which pixels a point lies between. Results equal to the published system's on
# any stack therefore need its arithmetic: the order in which its matrix product (Eigen, SSE) adds, and its
# approximations of square root and logarithm.

def _product(matrix, vectors, num_terms=None):
    """matrix [R, n], vectors [N, n] -> their products [N, R]; `num_terms` > n stands for terms that are zero."""
    num_rows, size = matrix.shape
    whole = (num_terms or size) // 4 * 4
    whole_rows = num_rows // 4 * 4
    columns = tf.transpose(vectors)

    def terms(rows, first, count):  # [count, N, rows]
        return (tf.constant(matrix[rows, first:first + count].T[:, None])
                * tf.expand_dims(columns[first:first + count], 2))

    def add(parts):
        return functools.reduce(operator.add, parts)

    def in_four_lanes(rows):
        lanes = add([terms(rows, first, 4) for first in range(0, min(whole, size // 4 * 4), 4)])
        if size < whole:  # a block cut short, by zeros
            last = size // 4 * 4
            short = terms(rows, last, size - last)
            lanes += tf.pad(short, [[0, 4 - (size - last)], [0, 0], [0, 0]])
        sums = [(lanes[0] + lanes[1]) + (lanes[2] + lanes[3])]
        return add(sums + tf.unstack(terms(rows, whole, size - whole)) if size > whole else sums)

    parts = [in_four_lanes(slice(whole_rows))]
    if whole_rows < num_rows:
        parts.append(add(tf.unstack(terms(slice(whole_rows, None), 0, size))))
    return tf.concat(parts, 1)


def _sqrt(x):
    """float32 square root from a reciprocal root of 12 bits and one Newton step."""
    bits = (1.0 / np.sqrt(np.maximum(x, 1e-30).astype(np.float64))).astype(np.float32).view(np.int32)
    y = ((bits + (1 << 10)) & ~((1 << 11) - 1)).view(np.float32)
    return (y * (np.float32(1.5) - np.float32(0.5) * x * (y * y))) * x


def _log(x):
    """float32 logarithm by the polynomial of the Cephes library."""
    coefficients = np.float32([
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1])
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.float32(0.70710678)
    exponent = (exponent - low).astype(np.float32)
    z = np.where(low, mantissa + mantissa, mantissa) - np.float32(1.0)
    square = z * z
    cube = square * z
    a, b, c = ((coefficients[i] * z + coefficients[i + 1]) * z + coefficients[i + 2] for i in (0, 3, 6))
    y = ((a * cube + b) * cube + c) * cube + exponent * np.float32(-2.12194440e-4)
    return (z - square * np.float32(0.5)) + y + exponent * np.float32(0.693359375)
