"""Thin-plate splines (Bookstein 1989; ASTER section 3.1.2). All constants are computed once, in numpy.

Points are (x, y) as fractions of width and height. Of K control points the first K/2 run along the top edge from left
to right, the last K/2 along the bottom edge.
"""
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from aster.c_ops import ops
from aster.compat import tf
from aster.model import published_math


def target_control_points(num_points: int, margins: Tuple[float, float]) -> np.ndarray:
    """Places the control points on the rectified image.

    Args:
      num_points: K, even and at least 4.
      margins: (x, y), distances from the image's edges.

    Returns:
      float64 [K, 2].

    Raises:
      ValueError: there can't be so many points.
    """
    return _edges(num_points, margins[0], margins[1], 1.0 - margins[1])


def initial_control_points(pattern: str, num_points: int, margins: Tuple[float, float]) -> np.ndarray:
    """Places the control points from which the localization network starts to learn.

    Args:
      pattern: identity, slope or sine.
      num_points: K, even and at least 4.
      margins: (x, y), distances from the image's edges.

    Returns:
      float64 [K, 2].

    Raises:
      ValueError: there is no such pattern, or there can't be so many points.
    """
    x_margin, y_margin = margins
    x = np.linspace(x_margin, 1.0 - x_margin, num_points // 2)
    if pattern == "identity":
        return target_control_points(num_points, margins)
    if pattern == "slope":
        return _edges(num_points, x_margin, np.linspace(y_margin, 0.3, num_points // 2),
                      np.linspace(0.7, 1.0 - y_margin, num_points // 2))
    if pattern == "sine":
        wave = 0.2 * np.sin(2.0 * np.pi * x)
        return _edges(num_points, x_margin, 0.25 + wave, 0.75 + wave)
    raise ValueError(f"init_bias_pattern is {pattern!r}, expected identity, slope or sine")


def _edges(num_points, x_margin, top, bottom):
    """Points along two edges whose y are `top` and `bottom`, numbers or [K / 2]."""
    if num_points < 4 or num_points % 2:
        raise ValueError(f"num_control_points is {num_points}, expected an even number of 4 or more")
    x = np.linspace(x_margin, 1.0 - x_margin, num_points // 2)
    return np.concatenate([np.stack([x, np.broadcast_to(y, x.shape)], 1) for y in (top, bottom)])


class Spline(NamedTuple):
    """The constants of a spline with K control points on an image of P pixels.

    Attributes:
      inverse: float32 [K + 3, K], maps source points to coefficients.
      lift: float32 [P, K + 3], maps coefficients to the pixels of the rectified image, row by row.
    """
    inverse: np.ndarray
    lift: np.ndarray


def make_spline(control_points: np.ndarray, height: int, width: int) -> Spline:
    """Computes the constants of a spline.

    Args:
      control_points: float64 [K, 2], on the rectified image.
      height: the height of the rectified image, in pixels.
      width: the width of the rectified image, in pixels.

    Returns:
      Spline.
    """
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
    distance = published_math.sqrt(np.square(offsets).sum(2))
    lift = np.concatenate([np.ones([len(pixels), 1]), pixels,
                           distance * distance * published_math.log(distance + np.float32(1e-6))], 1)
    return Spline(inverse.astype(np.float32), lift.astype(np.float32))


def join(splines: Sequence[Spline]) -> Spline:
    """Joins the splines of several image sizes that have the same control points. Its pixels are all of theirs."""
    return Spline(splines[0].inverse, np.concatenate([spline.lift for spline in splines]))


def sampling_grid(source_points: tf.Tensor, spline: Spline, *, fused: bool = False,
                  pixels: Optional[Tuple[Any, Any]] = None) -> tf.Tensor:
    """Tells where each pixel of the rectified image is read in the input image.

    The coefficients of a spline are large and cancel, so that the order in which float32 products are added shows in
    the result, by up to 1e-5. ASTER's op adds in the order of the published system, to the last bit.

    Args:
      source_points: [B, K, 2], control points on the input image.
      spline: the constants of the rectified image's spline.
      fused: True: by ASTER's op. False: by one matrix product, without the coefficients.
      pixels: (first, count), which of the spline's pixels are wanted; numbers or scalar tensors. None: all.

    Returns:
      [B, P, 2], for the pixels row by row.
    """
    def wanted(columns):  # [..., pixels of the spline]
        return columns if pixels is None else tf.slice(columns, [0, pixels[0]], [-1, pixels[1]])
    if fused:
        return ops.spline_grid(source_points, spline.inverse.T, wanted(spline.lift.T))
    num_points, num_pixels = spline.inverse.shape[1], len(spline.lift) if pixels is None else pixels[1]
    grid_of_points = spline.lift.astype(np.float64).dot(spline.inverse).astype(np.float32)
    rows = tf.reshape(tf.transpose(source_points, [0, 2, 1]), [-1, num_points])  # the x and y of each image
    grid = tf.matmul(rows, wanted(tf.constant(grid_of_points.T)))
    return tf.transpose(tf.reshape(grid, [-1, 2, num_pixels]), [0, 2, 1])
