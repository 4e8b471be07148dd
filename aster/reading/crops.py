"""Words cut out of a photo, as a text detector finds them."""
from typing import Any

import numpy as np
from PIL import Image

from aster.data.image import MAX_PIXELS, load_image


def crop(image: Any, quadrilateral: Any) -> np.ndarray:
    """Cuts a word out of a photo and makes its quadrilateral a rectangle.

    Args:
      image: what `Recognizer.recognize` takes: a path, the bytes of a file, an array, or an image of Pillow.
      quadrilateral: [4, 2], the corners (x, y) in pixels, in the order in which detectors give them: top left, top
        right, bottom right and bottom left of the text. They may lie outside of the image, whose border is continued
        there.

    Returns:
      uint8 [H, W, 3]. W and H are the lengths of the longer ones of opposite sides.

    Raises:
      ValueError: the image can't be decoded, or the corners are no quadrilateral of which each side is a pixel or more.
      OSError: a file can't be read.
    """
    try:
        corners = np.asarray(quadrilateral, np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise ValueError(f"a quadrilateral has four corners (x, y), not {quadrilateral!r}")
    sides = np.linalg.norm(np.roll(corners, -1, 0) - corners, axis=1)  # top, right, bottom, left
    width, height = (int(round(max(sides[i], sides[i + 2]))) for i in (0, 1))
    if sides.min() < 1 or not _is_convex(corners):
        raise ValueError(f"the corners {corners.tolist()} are no convex quadrilateral in clockwise order, or one of "
                         "its sides is shorter than a pixel")
    if width * height > MAX_PIXELS:
        raise ValueError(f"the quadrilateral has {width} x {height} pixels; expected {MAX_PIXELS} or less in all")
    pixels = load_image(image)
    size = np.array(pixels.shape[1::-1])
    if np.abs(corners - np.clip(corners, 0, size)).max() > 2 * size.max():
        raise ValueError(f"the corners {corners.tolist()} are far outside of an image of {size[0]} x {size[1]} pixels")
    # the part of the image around the corners, and two pixels more for the interpolation
    low, high = np.floor(corners.min(0)).astype(int) - 2, np.ceil(corners.max(0)).astype(int) + 2
    columns, rows = (np.clip(np.arange(low[i], high[i]), 0, size[i] - 1) for i in (0, 1))
    coefficients = _homography(np.array([[0, 0], [width, 0], [width, height], [0, height]]), corners - low)
    constants: Any = Image  # which type stubs of some versions lack
    rectangle = Image.fromarray(pixels[rows][:, columns]).transform(
        (width, height), constants.PERSPECTIVE, coefficients, constants.BICUBIC)
    return np.asarray(rectangle)


def _is_convex(corners):
    """Whether the corners turn clockwise all the way; the other way round, the text would be mirrored."""
    edges = np.roll(corners, -1, 0) - corners
    following = np.roll(edges, -1, 0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    return bool((turns > 0).all())


def _homography(source, target):
    """The eight coefficients by which Pillow maps points of the result to points of the image (Hartley and Zisserman
    2004, section 4.1)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64)).tolist()
