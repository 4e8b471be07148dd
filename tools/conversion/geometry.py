"""Boxes to crop, and key points: the curves along the top and the bottom of a word."""
import argparse
from typing import Sequence, Tuple, Union

import numpy as np

CURVE_POINTS = 64  # of each of the two curves of SynthText's words, as published

Box = Tuple[int, int, int, int]  # x_min, y_min, x_max, y_max in pixels


def crop_margin(parser: argparse.ArgumentParser, default: float) -> None:
    """Adds the option --crop_margin.

    Args:
      parser: what make_parser gave.
      default: the margin of the published converter, as a share of the height of a word.
    """
    parser.add_argument("--crop_margin", type=float, default=default, metavar="SHARE",
                        help="margin around a word, as a share of its height (default: %(default)s, as published)")


def box_with_margin(sides: Sequence[float], *, margin: float, size: Tuple[int, int]) -> Box:
    """Computes the box to crop, as published: rounded, and clipped to [0, size - 1].

    Args:
      sides: x_min, y_min, x_max, y_max of the word in pixels.
      margin: what is added on each side, as a share of the height.
      size: (width, height) of the photo in pixels.

    Returns:
      The box.

    Raises:
      ValueError: the sides are not numbers, or nothing of the box is in the photo.
    """
    if not np.isfinite(np.array(sides)).all():
        raise ValueError("its box is not made of numbers")
    x_min, y_min, x_max, y_max = sides
    margin *= y_max - y_min
    box = (int(round(max(0, x_min - margin))), int(round(max(0, y_min - margin))),
           int(round(min(size[0] - 1, x_max + margin))), int(round(min(size[1] - 1, y_max + margin))))
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("its box lies outside of the image or has no area")
    return box


def quadrilateral(numbers: Sequence[Union[str, float]]) -> np.ndarray:
    """Parses the corners of a word.

    Args:
      numbers: x and y of four corners, clockwise from the top left.

    Returns:
      float [4, 2].

    Raises:
      ValueError: there are not eight numbers.
    """
    if len(numbers) != 8:
        raise ValueError(f"expected eight coordinates, got {len(numbers)}")
    corners = np.array([float(number) for number in numbers]).reshape(4, 2)
    if not np.isfinite(corners).all():
        raise ValueError("its coordinates are not all numbers")
    return corners


def corner_curves(corners: np.ndarray) -> np.ndarray:
    """Makes key points of a quadrilateral.

    Args:
      corners: float [4, 2], clockwise from the top left.

    Returns:
      float32 [4, 2]: the upper side, then the lower side, both from left to right.
    """
    return np.asarray(corners, np.float32)[[0, 1, 3, 2]]


def text_curves(tops: np.ndarray, bottoms: np.ndarray) -> np.ndarray:
    """Fits the key points of a word: a parabola along its top and one along its bottom.

    Each curve goes from its leftmost point to its rightmost point. Through one or two points it is a straight line.

    Args:
      tops: float [n, 2], (x, y) of points of the top in pixels.
      bottoms: float [m, 2], of the bottom.

    Returns:
      float [2 * CURVE_POINTS, 2]: the top curve, then the bottom curve.

    Raises:
      ValueError: the points stand above each other.
    """
    return np.concatenate([_fit(tops), _fit(bottoms)])


def _fit(points):
    x, y = points[:, 0], points[:, 1]
    if np.ptp(x) == 0:
        raise ValueError("its characters stand above each other, so that no curve fits them")
    centre, scale = x.mean(), np.ptp(x)  # far from the origin a fit would lose digits
    coefficients = np.polyfit((x - centre) / scale, y, 2 if len(points) > 2 else 1)
    xs = np.linspace(x.min(), x.max(), CURVE_POINTS)
    return np.stack([xs, np.polyval(coefficients, (xs - centre) / scale)], 1)
