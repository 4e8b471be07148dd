"""Key points of a word's outline -> the control points that supervise the rectifier.

A record may have n points along the top edge of its text and n along the
bottom edge. The rectifier predicts K points, K/2 along each edge, at even
distances (ASTER, Shi et al. 2018). So the annotated ones are spread anew.
"""
from typing import Optional, Tuple

import numpy as np

from aster.c_ops import ops


def control_points(keypoints: Optional[np.ndarray], size: Tuple[int, int],
                   num_points: int) -> Tuple[np.ndarray, float]:
    """Computes the control points that belong to annotated key points.

    Args:
      keypoints: float32 [2n, 2], (x, y) in pixels, first along the top edge, then along the bottom edge; None where the
        record has none.
      size: (height, width) of the image in pixels.
      num_points: K, the number of control points, even; 0 where the model does not use any.

    Returns:
      float32 [K, 2], (x, y) as fractions of width and height, and the mask: 1.0. Without key points, zeros and 0.0.
    """
    if keypoints is None or not num_points:
        return np.zeros([num_points, 2], np.float32), 0.0
    half = len(keypoints) // 2
    edges = [divide_curve(edge, num_points // 2) for edge in (keypoints[:half], keypoints[half:])]
    return np.concatenate(edges) / np.array(size[::-1], np.float32), 1.0


def divide_curve(curve: np.ndarray, num_points: int) -> np.ndarray:
    """Spreads points evenly by arc length over the polyline through the points of a curve.

    Args:
      curve: [n, 2] with n >= 1, the points of the polyline.
      num_points: at least 1.

    Returns:
      float32 [num_points, 2]. The first and the last point are the curve's own; a single point is the first. A curve of
      zero length repeats its point.

    Raises:
      ValueError: the shape of the curve is another one, or `num_points` is below 1.
    """
    curve = np.array(curve, np.float64)
    if curve.ndim != 2 or len(curve) < 1 or curve.shape[1] != 2:
        raise ValueError(f"divide_curve expects a curve of shape [n, 2] with n >= 1, got {list(curve.shape)}")
    if num_points < 1:
        raise ValueError(f"divide_curve expects num_points of 1 or more, got {num_points}")
    return ops.divide_curve(curve, num_points)
