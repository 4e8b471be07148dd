"""The random distortions: each does what its message says, by its seed, and moves control points with the pixels."""
import numpy as np
import pytest
from data_helpers import steps

from aster.compat import tf
from aster.data.preprocess import preprocess_image, preprocess_sample
from aster.data.step_image import StepImage

IMAGE = np.random.RandomState(0).randint(0, 256, [24, 60, 3]).astype(np.float32)
SMOOTH = np.stack([*np.meshgrid(np.linspace(0, 240, 60), np.linspace(0, 200, 24)), np.full([24, 60], 50.0)],
                  2).astype(np.float32)
STEPS = ["random_warp { max_rotation: 20 max_shear: 20 max_perspective: 0.1 probability: 1 }",
         "random_blur { probability: 1 }", "random_noise { probability: 1 }", "random_jpeg { probability: 1 }",
         "random_downscale { probability: 1 }", "random_invert { probability: 0.5 }",
         "random_adjust_brightness {}", "random_adjust_contrast {}", "random_adjust_hue {}",
         "random_adjust_saturation {}", "random_distort_color {}", "random_pixel_value_scale {}",
         "random_rgb_to_gray { probability: 0.5 }",
         "resize_image_random_method { target_height: 9 target_width: 10 }"]


def apply(session, step, image=IMAGE, seed=(1, 2), points=None):
    sample = StepImage(tf.constant(image), seed=None if seed is None else tf.constant(seed, tf.int64),
                       points=None if points is None else tf.constant(points, tf.float32))
    result = preprocess_sample(steps(step), sample)
    return session.run(result.pixels if points is None else (result.pixels, result.points))


@pytest.mark.parametrize("step", STEPS)
def test_the_seed_decides(session, step):
    seed = tf.placeholder(tf.int64, [2])
    pixels = preprocess_sample(steps(step), StepImage(tf.constant(SMOOTH), seed=seed)).pixels
    results = [session.run(pixels, {seed: [7, number]}) for number in range(12)]
    for number, result in enumerate(results):
        np.testing.assert_array_equal(session.run(pixels, {seed: [7, number]}), result)
    assert len({result.tobytes() for result in results}) > 1


def test_equal_steps_of_an_image_draw_other_numbers(session):
    step = "random_adjust_brightness { max_delta: 0.2 }"
    once, twice = (session.run(preprocess_sample(steps(*[step] * count), StepImage(
        tf.fill([2, 2, 3], 127.5), seed=tf.constant([3, 4], tf.int64))).pixels) for count in (1, 2))
    assert abs(twice - once).max() > 0.1 and abs((twice - once) - (once - 127.5)).max() > 0.1


@pytest.mark.parametrize("step", STEPS[:6])
def test_probability_0_changes_nothing(session, step):
    step = step.replace("probability: 1 ", "probability: 0 ").replace("probability: 0.5", "probability: 0")
    np.testing.assert_allclose(apply(session, step), IMAGE, atol=1e-3)


@pytest.mark.parametrize("step", [
    "random_warp { probability: 1 }", "random_blur { max_sigma: 0 probability: 1 }",
    "random_noise { max_stddev: 0 probability: 1 }", "random_downscale { min_factor: 1 probability: 1 }"])
def test_no_amount_changes_nothing(session, step):
    np.testing.assert_allclose(apply(session, step), IMAGE, atol=0.02)


@pytest.mark.parametrize("step", STEPS[:6])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (40, 1, 3), (2, 2, 3), (3, 200, 3), (8, 9, 1)])
def test_odd_sizes(session, step, shape):
    image = np.full(shape, 100.0, np.float32)
    result = apply(session, step, image)
    assert result.shape[2] == shape[2] and np.isfinite(result).all()
    if "warp" not in step:
        assert result.shape == shape
    if "noise" not in step and "invert" not in step:
        np.testing.assert_allclose(result, 100.0, atol=1.0)


def test_probability_is_a_share(session):
    seed = tf.placeholder(tf.int64, [2])
    pixels = preprocess_sample(steps("random_invert { probability: 0.3 }"),
                               StepImage(tf.fill([1, 1, 3], 10.0), seed=seed)).pixels
    inverted = [session.run(pixels, {seed: [5, number]})[0, 0, 0] > 100 for number in range(1000)]
    assert 230 < sum(inverted) < 370  # 4.8 standard deviations


def warp_of(session, step, image, points, seed):
    return apply(session, f"random_warp {{ {step} probability: 1 }}", image, seed, points)


@pytest.mark.parametrize("step", ["max_rotation: 25", "max_shear: 25", "max_perspective: 0.12",
                                  "max_rotation: 15 max_shear: 15 max_perspective: 0.1"])
@pytest.mark.parametrize("seed", range(4))
def test_points_stay_on_what_they_mark(session, step, seed):
    """Dots of one colour each, whose centres are found again in the warped image."""
    rows, columns = np.mgrid[0:60, 0:120]
    points = np.array([[0.2, 0.3], [0.8, 0.25], [0.5, 0.75]])
    image = np.stack([255 * np.exp(-((columns + 0.5 - 120 * x) ** 2 + (rows + 0.5 - 60 * y) ** 2) / 18.0)
                      for x, y in points], 2).astype(np.float32)
    warped, moved = warp_of(session, step, image, points, (seed, 11))
    height, width = warped.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    for channel, (x, y) in enumerate(moved):
        weights = warped[..., channel] / warped[..., channel].sum()
        np.testing.assert_allclose([(columns * weights).sum(), (rows * weights).sum()], [x * width, y * height],
                                   atol=0.5)


@pytest.mark.parametrize("step, limit", [("max_rotation: 30", 30), ("max_shear: 30", 30)])
def test_angles(session, step, limit):
    """A rotation turns the horizontal edge by its angle; a shear leaves it, and slants the vertical one."""
    corners = np.array([[0, 0], [1, 0], [0, 1]])
    angles = []
    for seed in range(20):
        warped, moved = warp_of(session, step, SMOOTH, corners, (seed, 1))
        (x0, y0), (x1, y1), (x2, y2) = moved * warped.shape[1::-1]
        if "shear" in step:
            assert abs(y1 - y0) < 0.01 and x1 - x0 == pytest.approx(60, abs=0.01)
            angles.append(np.degrees(np.arctan2(x2 - x0, y2 - y0)))
        else:
            assert np.hypot(x1 - x0, y1 - y0) == pytest.approx(60, abs=0.01)
            assert np.hypot(x2 - x0, y2 - y0) == pytest.approx(24, abs=0.01)
            angles.append(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
    assert max(map(abs, angles)) < limit and max(angles) > limit / 2 and min(angles) < -limit / 2


@pytest.mark.parametrize("seed", range(4))
def test_a_warp_shows_every_corner(session, seed):
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    warped, moved = warp_of(session, "max_rotation: 40 max_shear: 30 max_perspective: 0.12", SMOOTH, corners, (seed, 5))
    pixels = moved * warped.shape[1::-1]
    np.testing.assert_allclose(pixels.min(0), 0, atol=0.01)
    assert (pixels.max(0) <= np.array(warped.shape[1::-1]) + 0.01).all()
    assert (np.array(warped.shape[1::-1]) - pixels.max(0) < 1).all()  # and no more than that


def test_blur_is_gaussian(session):
    dot = np.zeros([41, 41, 3], np.float32)
    dot[20, 20] = 255
    offsets = np.arange(-20, 21)
    sigmas = []
    for seed in range(8):
        result = apply(session, "random_blur { max_sigma: 3 probability: 1 }", dot, (seed, 1))
        sigma = np.sqrt((result[..., 0].sum(0) * offsets ** 2).sum() / 255)
        sigmas.append(sigma)
        if sigma > 0.7:  # sampled at whole pixels, a narrower Gaussian has another deviation
            row = np.exp(-0.5 * (offsets / sigma) ** 2)
            np.testing.assert_allclose(result[..., 1], 255 * np.outer(row, row) / row.sum() ** 2, atol=2)
    assert max(sigmas) <= 3 and max(sigmas) - min(sigmas) > 0.5


def test_noise_has_its_deviation(session):
    gray = np.full([100, 100, 3], 127.5, np.float32)
    deviations = []
    for seed in range(12):
        noise = apply(session, "random_noise { max_stddev: 0.1 probability: 1 }", gray, (seed, 1)) - 127.5
        assert abs(noise.mean()) < 1 and abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05
        deviations.append(noise.std())
    assert max(deviations) <= 25.5 * 1.02 and max(deviations) - min(deviations) > 8


def test_jpeg_is_that_of_a_quality_in_the_range(session):
    values = tf.constant(SMOOTH.round().astype(np.uint8))
    references = [session.run(tf.image.decode_jpeg(tf.image.encode_jpeg(values, quality=quality)))
                  for quality in range(10, 31)]
    found = set()
    for seed in range(8):
        result = apply(session, "random_jpeg { min_quality: 10 max_quality: 30 probability: 1 }", SMOOTH, (seed, 1))
        matches = [i for i, reference in enumerate(references) if np.abs(result - reference).max() < 0.01]
        assert matches
        found.update(matches)
    assert len(found) > 2


def test_a_single_quality(session):
    result = apply(session, "random_jpeg { min_quality: 50 max_quality: 50 probability: 1 }", SMOOTH)
    assert 0 < np.abs(result - SMOOTH).mean() < 5


def test_downscaling_takes_detail(session):
    lost = [np.abs(apply(session, "random_downscale { min_factor: 0.3 probability: 1 }", IMAGE, (seed, 1))
                   - IMAGE).mean() for seed in range(8)]
    smooth = [np.abs(apply(session, "random_downscale { min_factor: 0.3 probability: 1 }", SMOOTH, (seed, 1))
                     - SMOOTH).mean() for seed in range(8)]
    assert max(lost) > 40 and max(smooth) < 10


def test_inversion(session):
    step = "random_invert { probability: 1 }"
    np.testing.assert_allclose(apply(session, step), 255 - IMAGE, atol=1e-3)
    normalized = preprocess_image(steps("normalize_image { original_minval: 0 original_maxval: 255 target_minval: -1 "
                                        "target_maxval: 1 }", step), tf.constant(IMAGE))
    np.testing.assert_allclose(session.run(normalized), 1 - IMAGE / 127.5, atol=1e-5)


def test_qualities_in_the_wrong_order(session):
    del session
    with pytest.raises(ValueError, match="random_jpeg: min_quality is 80, expected max_quality, 70, or less"):
        preprocess_image(steps("random_jpeg { min_quality: 80 }"), tf.constant(IMAGE))
