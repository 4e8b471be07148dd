"""Points spread along curves, against numpy."""
import numpy as np
import pytest

from aster.data.keypoints import control_points, divide_curve


def expected_points(curve, num_points):
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    keep = np.concatenate([[True], np.diff(lengths) > 0])  # np.interp wants rising positions
    targets = np.linspace(0, lengths[-1], num_points)
    return np.stack([np.interp(targets, lengths[keep], curve[keep, axis]) for axis in (0, 1)], 1)


@pytest.mark.parametrize("num_points", [1, 2, 3, 10, 101])
@pytest.mark.parametrize("curve", [
    [[0, 0], [10, 0]],
    [[0, 0], [1, 0], [1, 3], [5, 3]],
    [[2, 1], [2, 1], [4, 1], [4, 1], [8, 1], [8, 1]],  # repeated points
    [[5, 5], [0, 0], [5, 5]],  # back to where it began
    [[3, 4]],
    [[3, 4], [3, 4], [3, 4]],  # of zero length
    [[1e-6, 0], [2e-6, 0]],
    [[1e30, 0], [-1e30, 1e30]],
    np.random.RandomState(1).randn(50, 2).cumsum(0) * 10,
])
def test_divide_curve(curve, num_points):
    curve = np.array(curve, np.float32)
    points = divide_curve(curve, num_points)
    assert points.shape == (num_points, 2) and points.dtype == np.float32
    expected = expected_points(curve.astype(np.float64), num_points)
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-6 * np.abs(curve).max())
    np.testing.assert_array_equal(points[0], curve[0])
    if num_points > 1:
        np.testing.assert_array_equal(points[-1], curve[-1])


@pytest.mark.parametrize("num_points", [2, 5, 20])
def test_divide_curve_puts_points_at_even_distances(num_points):
    """The definition itself, along a curve of short straight pieces."""
    angles = np.linspace(0, np.pi, 4001)
    points = divide_curve(np.stack([100 * np.cos(angles), 100 * np.sin(angles)], 1), num_points)
    expected = np.linspace(0, np.pi, num_points)
    np.testing.assert_allclose(points, 100 * np.stack([np.cos(expected), np.sin(expected)], 1), atol=1e-3)


def test_divide_curve_takes_lists():
    assert divide_curve([[0, 0], [4, 0], [4, 4]], 3).tolist() == [[0, 0], [4, 0], [4, 4]]
    assert divide_curve([[1, 1], [1, 1], [1, 1]], 3).tolist() == [[1, 1]] * 3


@pytest.mark.filterwarnings("ignore:invalid value")
def test_divide_curve_survives_what_is_not_finite():
    for curve in [[[np.nan, 0], [1, 1], [2, 2]], [[0, 0], [np.inf, 1], [2, 2]]]:
        assert divide_curve(curve, 4).shape == (4, 2)


@pytest.mark.parametrize("shape", [[0, 2], [3, 3], [4], [2, 0, 2], [1, 1, 3, 2], []])
def test_divide_curve_says_what_it_expects(shape):
    with pytest.raises(ValueError, match=r"expects a curve of shape \[n, 2\]"):
        divide_curve(np.zeros(shape), 3)


def test_divide_curve_refuses_no_points():
    with pytest.raises(ValueError, match="1 or more"):
        divide_curve([[0, 0]], 0)


def test_control_points_are_fractions_of_width_and_height():
    keypoints = np.array([[0, 0], [20, 0], [0, 8], [10, 10]], np.float32)
    points, mask = control_points(keypoints, (10, 20), 6)
    assert mask == 1 and points.dtype == np.float32
    np.testing.assert_allclose(points, [[0, 0], [0.5, 0], [1, 0], [0, 0.8], [0.25, 0.9], [0.5, 1]], atol=1e-6)


def test_control_points_without_key_points():
    points, mask = control_points(None, (10, 20), 6)
    assert mask == 0 and points.tolist() == [[0, 0]] * 6


def test_no_control_points_are_wanted():
    points, _ = control_points(np.zeros([4, 2], np.float32), (10, 20), 0)
    assert points.shape == (0, 2)
