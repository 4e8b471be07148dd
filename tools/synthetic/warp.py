"""Maps that move the ink of a word, and the points of its curves with it."""
from typing import Callable, Tuple

import numpy as np
from PIL import Image

Picture = Image.Image
Moved = Tuple[Picture, np.ndarray]  # the image and the points

_PAD = 2  # pixels that are kept around the points, and beyond them
_SURROUNDINGS = 0.5  # of the height of a text line, in which there may be other words
_CELL = 20  # pixels: the edge of the cells in which a curve is taken as straight


def project(image: Picture, points: np.ndarray, matrix: np.ndarray) -> Moved:
    """Moves ink and points by a projective map.

    Args:
      image: the ink.
      points: [2 * n, 2], (x, y) in pixels.
      matrix: [3, 3], for homogeneous coordinates.

    Returns:
      The ink, in an image that is just large enough, and the points in it.
    """
    moved = np.column_stack([points, np.ones(len(points))]).dot(matrix.T)
    moved = moved[:, :2] / moved[:, 2:]
    shift, size = _frame(moved)
    # Pillow asks where an output pixel comes from.
    inverse = _inverse(np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]).dot(matrix))
    return image.transform(size, Image.PERSPECTIVE, inverse[:8], Image.BILINEAR), moved + shift


def _inverse(matrix):
    """The inverse of a 3 x 3 matrix as a list, scaled so that it ends in 1. It takes a tenth of numpy's time."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    adjugate = (e * i - f * h, c * h - b * i, b * f - c * e,
                f * g - d * i, a * i - c * g, c * d - a * f,
                d * h - e * g, b * g - a * h, a * e - b * d)
    return [value / adjugate[8] for value in adjugate]


def bend(image: Picture, points: np.ndarray, *, forward: Callable[[np.ndarray], np.ndarray],
         inverse: Callable[[np.ndarray], np.ndarray]) -> Moved:
    """Moves ink and points by a smooth map.

    Args:
      image: the ink.
      points: [2 * n, 2], (x, y) in pixels.
      forward: the map, from [..., 2] to [..., 2].
      inverse: the inverse map.

    Returns:
      The ink, in an image that is just large enough, and the points in it.
    """
    moved = forward(points)
    shift, size = _frame(moved)
    columns, rows = [np.append(np.arange(0, edge, _CELL), edge) for edge in size]
    corners = inverse(np.stack(np.meshgrid(columns, rows), axis=-1) - shift).tolist()
    mesh = []
    for row in range(len(rows) - 1):
        above, below = corners[row], corners[row + 1]
        for column in range(len(columns) - 1):
            box = columns[column], rows[row], columns[column + 1], rows[row + 1]
            mesh.append((tuple(map(int, box)), above[column] + below[column] +
                         below[column + 1] + above[column + 1]))
    return image.transform(size, Image.MESH, mesh, Image.BILINEAR), moved + shift


def _frame(points):
    """(shift that brings points into a frame, its (width, height)), a little around them."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _PAD + int(_SURROUNDINGS * thickness(points))
    size = np.ceil(high - low).astype(int) + 2 * margin
    return margin - low, tuple(size.tolist())


def extent(points: np.ndarray) -> Tuple[np.ndarray, float, float]:
    """Measures the box around points.

    Args:
      points: [n, 2], (x, y) in pixels.

    Returns:
      Its centre [2], its width and its height in pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, high[0] - low[0], high[1] - low[1]


def thickness(points: np.ndarray) -> float:
    """Computes the height of a text line, whichever way it runs.

    Args:
      points: [2 * n, 2], (x, y) in pixels.

    Returns:
      The mean distance from the top to the bottom in pixels.
    """
    across = points[len(points) // 2:] - points[:len(points) // 2]
    return np.sqrt((across * across).sum(axis=1)).mean()
