"""Thin-plate splines and the sampler against plain numpy."""
import functools

import numpy as np
import pytest

from aster.c_ops import ops
from aster.compat import tf
from aster.model import layers, tps
from aster.model.localization import LocalizationNet
from aster.model.rectifier import Rectifier
from aster.model.sampler import bilinear_sample


def solve_and_evaluate(source, target, points):
    """The spline that takes `target` to `source`, by solving its equations in float64, at `points`."""
    def u(r):
        return np.where(r == 0, 0, r ** 2 * np.log(np.where(r == 0, 1, r)))
    k = len(target)
    distance = np.linalg.norm(target[:, None] - target[None], axis=2)
    p = np.concatenate([np.ones([k, 1]), target], 1)
    system = np.zeros([k + 3, k + 3])
    system[:k, :k], system[:k, k:], system[k:, :k] = u(distance), p, p.T
    solution = np.linalg.solve(system, np.concatenate([source, np.zeros([3, 2])]))
    distance = np.linalg.norm(points[:, None] - target[None], axis=2)
    return u(distance).dot(solution[:k]) + np.concatenate([np.ones([len(points), 1]), points], 1).dot(solution[k:])


@pytest.mark.parametrize("num_points, size", [(4, (4, 6)), (10, (8, 25)), (20, (32, 100)), (12, (3, 5))])
def test_sampling_grid_against_a_solver(session, num_points, size):
    target = tps.target_control_points(num_points, (0.05, 0.1))
    source = (target + np.random.RandomState(0).uniform(-0.1, 0.1, [3] + list(target.shape))).astype(np.float32)
    grid = session.run(tps.sampling_grid(tf.constant(source), tps.make_spline(target, *size)))
    x, y = np.meshgrid((np.arange(size[1]) + 0.5) / size[1], (np.arange(size[0]) + 0.5) / size[0])
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    for i in range(3):
        np.testing.assert_allclose(grid[i], solve_and_evaluate(source[i].astype(np.float64), target, pixels), atol=2e-5)


@pytest.mark.parametrize("num_points, size", [(4, (3, 5)), (6, (1, 1)), (10, (8, 25)), (18, (5, 13)), (20, (32, 100))])
def test_the_order_of_the_published_sums(session, num_points, size):
    """The op adds in that order, to the last bit. Standard operations come close."""
    def product(matrix, vector, terms):
        out = []
        for row, products in enumerate(matrix * vector):
            if row < len(matrix) // 4 * 4:
                whole = terms // 4 * 4
                lanes = [functools.reduce(np.add, products[lane:whole:4]) for lane in range(4)]
                products = [(lanes[0] + lanes[1]) + (lanes[2] + lanes[3])] + list(products[whole:])
            out.append(functools.reduce(np.add, products))
        return np.float32(out)
    target = tps.target_control_points(num_points, (0.05, 0.1))
    source = (target + np.random.RandomState(0).uniform(-0.1, 0.1, [3] + list(target.shape))).astype(np.float32)
    spline = tps.make_spline(target, *size)
    expected = [[product(spline.lift, product(spline.inverse, column, num_points + 3), num_points + 3)
                 for column in points.T] for points in source]
    plain, fused = session.run([tps.sampling_grid(tf.constant(source), spline, fused=fused) for fused in (False, True)])
    np.testing.assert_array_equal(fused, np.transpose(expected, [0, 2, 1]))
    np.testing.assert_allclose(plain, fused, rtol=0, atol=5e-6)


def test_the_fused_grid_says_what_does_not_fit(session):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected points"):
        session.run(ops.spline_grid(np.zeros([1, 4, 2], "f"), np.zeros([5, 8], "f"), np.zeros([8, 3], "f")))
    empty = ops.spline_grid(np.zeros([0, 4, 2], "f"), np.zeros([4, 7], "f"), np.zeros([7, 3], "f"))
    assert session.run(empty).shape == (0, 3, 2)


@pytest.mark.parametrize("fused", [False, True])
def test_the_grid_moves_with_the_control_points(session, fused):
    """The gradient of the sampling grid, which isn't the gradient of the op that computes its value."""
    target = tps.target_control_points(6, (0.1, 0.1))
    spline = tps.make_spline(target, 3, 4)
    direction = np.random.RandomState(0).standard_normal([1, 12, 2]).astype(np.float32)
    points = tf.placeholder(tf.float32, [1, 6, 2])
    value = tf.reduce_sum(tps.sampling_grid(points, spline, fused=fused) * direction)
    gradient = session.run(tf.gradients(value, points)[0], {points: target[None]})
    for i in range(6):
        for axis in range(2):
            step = np.zeros([1, 6, 2])
            step[0, i, axis] = 0.05  # the value is linear in the points
            up, down = (session.run(value, {points: target[None] + sign * step}) for sign in (1, -1))
            np.testing.assert_allclose(gradient[0, i, axis], (up - down) / 0.1, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pattern, top, bottom", [
    ("identity", [0.1, 0.1], [0.9, 0.9]), ("slope", [0.1, 0.3], [0.7, 0.9]),
    ("sine", [0.25 + 0.2 * np.sin(0.2 * np.pi), 0.25 + 0.2 * np.sin(1.8 * np.pi)],
     [0.75 + 0.2 * np.sin(0.2 * np.pi), 0.75 + 0.2 * np.sin(1.8 * np.pi)])])
def test_initial_patterns(pattern, top, bottom):
    points = tps.initial_control_points(pattern, 4, (0.1, 0.1))
    np.testing.assert_allclose(points, np.stack([[0.1, 0.9, 0.1, 0.9], top + bottom], 1))


def test_sampler_at_pixels_and_beyond_the_image(session):
    image = np.random.RandomState(0).uniform(size=[1, 4, 6, 2]).astype(np.float32)
    points = [(0, 0), (2, 1), (4, 2), (2.5, 1), (2, 1.5), (-3, 1), (9, 9)]
    grid = np.array([[(x / 6.0, y / 4.0) for x, y in points]], np.float32)
    values = session.run(bilinear_sample(tf.constant(image), tf.constant(grid)))[0]
    at = image[0]
    expected = [at[0, 0], at[1, 2], at[2, 4], (at[1, 2] + at[1, 3]) / 2, (at[1, 2] + at[2, 2]) / 2, at[1, 0], at[2, 4]]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_sampler_gradients(session):
    rng = np.random.RandomState(0)
    image = rng.uniform(size=[2, 5, 6, 2]).astype(np.float32)
    # away from pixel borders, where the gradient jumps
    grid = ((rng.randint(0, 3, [2, 7, 2]) + rng.uniform(0.2, 0.8, [2, 7, 2])) / [6, 5]).astype(np.float32)
    weights = rng.standard_normal([2, 7, 2]).astype(np.float32)
    images, points = tf.placeholder(tf.float32, image.shape), tf.placeholder(tf.float32, grid.shape)
    value = tf.reduce_sum(bilinear_sample(images, points) * weights)
    feed = {images: image, points: grid}
    d_image, d_grid = session.run([tf.convert_to_tensor(g) for g in tf.gradients(value, [images, points])], feed)
    for placeholder, array, gradient in ((images, image, d_image), (points, grid, d_grid)):
        for index in rng.permutation(array.size)[:12]:
            step = np.zeros(array.size, np.float32)
            step[index] = 2e-3
            step = step.reshape(array.shape)
            up, down = (session.run(value, {**feed, placeholder: array + s * step})
                        for s in (1, -1))
            np.testing.assert_allclose(gradient.ravel()[index], (up - down) / 4e-3, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize("pattern", ["identity", "slope", "sine"])
def test_bounded_control_points(session, pattern):
    """They start at the pattern, like those without a bound, and stay within their distance of the image."""
    images = tf.constant(np.random.RandomState(0).uniform(-1, 1, [3, 32, 64, 3]).astype(np.float32))
    style, points = layers.LayerStyle(layers.variance_scaling()), {}
    for distance in 0.0, 0.25:
        with tf.variable_scope(f"distance{int(100 * distance)}"):
            net = LocalizationNet(lambda x, _: [x[:, ::16, ::16]], style, (32, 64), num_control_points=6,
                                  init_bias_pattern=pattern, max_distance=distance)
            points[distance] = net(images, False)
    session.run(tf.global_variables_initializer())
    free, bounded = session.run([points[0.0], points[0.25]])
    np.testing.assert_allclose(bounded, free, atol=1e-6)
    weights, = [v for v in tf.global_variables() if v.op.name.startswith("distance25")
                and v.op.name.endswith("fully_connected_1/weights")]
    for scale in 0.1, 100.0:
        session.run(weights.assign(tf.random_normal(weights.shape, stddev=scale, seed=1)))
        bounded = session.run(points[0.25])
        assert np.abs(bounded - 0.5).max() <= 0.75 + 1e-6
    assert np.abs(bounded - 0.5).max() > 0.74


# Long images

def rectify(session, images, shape, fused=True, wide=(40, 60)):
    """Rectified images, and the static shape of the tensor."""
    points = tps.target_control_points(6, (0.05, 0.1)) + np.random.RandomState(1).uniform(-0.05, 0.05, [2, 6, 2])
    rectifier = Rectifier(lambda images, is_training: tf.constant(points, tf.float32), (8, 20), num_control_points=6,
                          margins=(0.05, 0.1), fused=fused, wide=wide)
    placeholder = tf.placeholder(tf.float32, shape)
    rectified = rectifier(placeholder, False).images
    return session.run(rectified, {placeholder: images}), rectified.shape.as_list()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("width, expected", [(39, 20), (40, 60), (100, 60)])
def test_long_images_are_rectified_to_a_width_of_their_own(session, fused, width, expected):
    """Also where the graph does not know the width. The picture is the same, sampled three times as finely."""
    images = np.random.RandomState(0).uniform(-1, 1, [2, 16, width, 3]).astype(np.float32)
    static, shape = rectify(session, images, [None, 16, width, 3], fused)
    assert static.shape == (2, 8, expected, 3) and shape[1:] == [8, expected, 3]
    dynamic, shape = rectify(session, images, [None, 16, None, 3], fused)
    assert shape[1:] == [8, None, 3]
    np.testing.assert_allclose(dynamic, static, atol=1e-6)
    plain, shape = rectify(session, images, [None, 16, None, 3], fused, wide=(0, 0))
    assert shape[1:] == [8, 20, 3]
    np.testing.assert_allclose(static[:, :, expected // 60::expected // 20], plain, atol=1e-4)


@pytest.mark.parametrize("width", [39, 40])
def test_the_gradient_where_the_width_is_not_known(session, width):
    """Of the images and of the points, as where it is known."""
    images = np.random.RandomState(0).uniform(-1, 1, [2, 16, width, 3]).astype(np.float32)
    points = np.random.RandomState(1).uniform(0.2, 0.8, [2, 6, 2]).astype(np.float32)
    gradients = []
    for fused in True, False:
        for shape in [2, 16, width, 3], [None, 16, None, 3]:
            placeholder, variable = tf.placeholder(tf.float32, shape), tf.constant(points)
            rectifier = Rectifier(lambda images, is_training, points=variable: points, (8, 20), num_control_points=6,
                                  margins=(0.05, 0.1), fused=fused, wide=(40, 60))
            loss = tf.reduce_sum(tf.square(rectifier(placeholder, True).images))
            gradients.append(session.run(tf.gradients(loss, [placeholder, variable]), {placeholder: images}))
    for of_images, of_points in gradients[1:]:
        np.testing.assert_allclose(of_images, gradients[0][0], atol=1e-2)
        np.testing.assert_allclose(of_points, gradients[0][1], rtol=1e-2, atol=1e-1)
