"""Thin-plate splines (Bookstein 1989; ASTER section 3.1.2). All constants are made once, in numpy.

Points are (x, y) as fractions of width and height; of K control points the first K/2 run along the top
edge from left to right, the last K/2 along the bottom edge.
"""
import numpy as np

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
    raise ValueError("init_bias_pattern must be identity, slope or sine, not %r" % pattern)


def _edges(num_points, margin_x, top, bottom):
    x = np.linspace(margin_x, 1.0 - margin_x, num_points // 2)
    return np.concatenate([np.stack([x, np.broadcast_to(y, x.shape)], 1) for y in (top, bottom)])


def grid_matrix(control_points, height, width):
    """The linear map from source control points to sampling points: float64 [height * width, K].

    The spline's coefficients are linear in the source points, and a sampling point is linear in the
    coefficients, so the product of both matrices is one constant.
    """
    num_points = len(control_points)
    system = np.zeros([num_points + 3, num_points + 3])
    distance = np.linalg.norm(control_points[:, None] - control_points[None], axis=2)
    system[:num_points, 0] = 1.0
    system[:num_points, 1:3] = control_points
    system[:num_points, 3:] = distance ** 2 * np.log(np.where(distance == 0.0, 1.0, distance))
    system[num_points:num_points + 2, 3:] = control_points.T
    system[num_points + 2, 3:] = 1.0

    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    distance = np.linalg.norm(pixels[:, None] - control_points[None], axis=2)
    lift = np.concatenate([np.ones([len(pixels), 1]), pixels,
                           distance ** 2 * np.log(distance + 1e-6)], 1)
    return lift.dot(np.linalg.inv(system)[:, :num_points])


def sampling_grid(source_points, matrix):
    """source_points [B, K, 2], matrix [P, K] from `grid_matrix` -> sampling points [B, P, 2]."""
    # one product over [K, 2 * B]: 1.4 has no broadcasting batch product
    num_points = matrix.shape[1]
    columns = tf.reshape(tf.transpose(source_points, [1, 0, 2]), [num_points, -1])
    grid = tf.matmul(tf.constant(matrix.astype(np.float32)), columns)
    return tf.transpose(tf.reshape(grid, [matrix.shape[0], -1, 2]), [1, 0, 2])
