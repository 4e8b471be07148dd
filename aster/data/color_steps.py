"""The preprocessing steps that change colours at random (protos/preprocessor.proto): (message, image) -> image."""
from aster.compat import tf
from aster.data.step_image import between, check_rgb, on_unit_range, sometimes


def _random_rgb_to_gray(config, image):
    check_rgb(image)
    return image._replace(pixels=sometimes(lambda: tf.tile(tf.image.rgb_to_grayscale(image.pixels), [1, 1, 3]),
                                           image.pixels, config.probability, image.random([])))


def _random_pixel_value_scale(config, image):
    return on_unit_range(image, lambda x: x * between(image.random(tf.shape(x)), config.minval, config.maxval))


def _brightness(draw, max_delta):
    return lambda x: tf.image.adjust_brightness(x, between(draw, -max_delta, max_delta))


def _contrast(draw, low, high):
    return lambda x: tf.image.adjust_contrast(x, between(draw, low, high))


def _saturation(draw, low, high):
    return lambda x: tf.image.adjust_saturation(x, between(draw, low, high))


def _hue(draw, max_delta):
    return lambda x: tf.image.adjust_hue(x, between(draw, -max_delta, max_delta))


def _random_adjust_brightness(config, image):
    return on_unit_range(image, _brightness(image.random([]), config.max_delta))


def _random_adjust_contrast(config, image):
    _check_deltas(config)
    return on_unit_range(image, _contrast(image.random([]), config.min_delta, config.max_delta))


def _random_adjust_hue(config, image):
    check_rgb(image)
    if config.max_delta > 0.5:
        raise ValueError(f"max_delta is {config.max_delta:.7g}, expected 0.5 or less")
    return on_unit_range(image, _hue(image.random([]), config.max_delta))


def _random_adjust_saturation(config, image):
    check_rgb(image)
    _check_deltas(config)
    return on_unit_range(image, _saturation(image.random([]), config.min_delta, config.max_delta))


def _check_deltas(config):
    if config.min_delta > config.max_delta:
        raise ValueError(f"min_delta is {config.min_delta:.7g}, expected max_delta, {config.max_delta:.7g}, or less")


def _random_distort_color(config, image):
    """Four colour changes with the amounts usual for training on ImageNet, clipped once."""
    check_rgb(image)
    draws = tf.unstack(image.random([4]))
    changes = {"brightness": _brightness(draws[0], 32.0 / 255), "saturation": _saturation(draws[1], 0.5, 1.5),
               "hue": _hue(draws[2], 0.2), "contrast": _contrast(draws[3], 0.5, 1.5)}
    orders = {0: ("brightness", "saturation", "hue", "contrast"), 1: ("brightness", "contrast", "saturation", "hue")}
    if config.color_ordering not in orders:
        raise ValueError(f"color_ordering must be 0 or 1, not {config.color_ordering}")

    def distort(pixels):
        for name in orders[config.color_ordering]:
            pixels = changes[name](pixels)
        return pixels
    return on_unit_range(image, distort)


COLOR_STEPS = {
    "random_pixel_value_scale": _random_pixel_value_scale,
    "random_rgb_to_gray": _random_rgb_to_gray,
    "random_adjust_brightness": _random_adjust_brightness,
    "random_adjust_contrast": _random_adjust_contrast,
    "random_adjust_hue": _random_adjust_hue,
    "random_adjust_saturation": _random_adjust_saturation,
    "random_distort_color": _random_distort_color,
}
