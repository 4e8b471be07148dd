"""The preprocessing steps that change images: for each a small function (message, image) -> image.

Images are RGB float32 from 0 to 255. The colour steps are defined on images
from 0 to 1, as in TensorFlow's detection library: a brightness of 0.2 is a
fifth of the full range. So they scale the image to 0..1, change it, clip it to
that range, and scale it back. After a normalize_image, "full range" is the
range of its target.
"""
from typing import Any, NamedTuple, Optional, Tuple

from aster import custom
from aster.compat import tf


class StepImage(NamedTuple):
    """What a step takes and returns."""
    pixels: tf.Tensor  # float32 [H, W, C]
    # The lowest and the highest value that a pixel can have; None where they differ by channel.
    value_range: Optional[Tuple[float, float]] = (0.0, 255.0)


def custom_step(config: Any, image: StepImage, base_dir: Optional[str]) -> StepImage:
    """Does the step of a Custom message, whose module is looked up in `base_dir` first."""
    pixels = custom.call(config.factory, custom.build(config, base_dir), image.pixels)
    if not custom.is_tensor(pixels, 3):
        raise ValueError(f"factory {config.factory!r} must give a function that returns an image [H, W, C], "
                         f"not {pixels}")
    return StepImage(tf.cast(pixels, tf.float32), image.value_range)


def _resize(config, image, method):
    height, width = config.target_height, config.target_width
    if height < 1 or width < 1:
        raise ValueError(f"target_height is {height} and target_width is {width}, expected 1 or more for each")
    return image._replace(pixels=tf.image.resize_images(image.pixels, [height, width], method))


def _resize_image(config, image):
    method = getattr(tf.image.ResizeMethod, config.Method.Name(config.method))
    return _resize(config, image, method)


def _resize_image_random_method(config, image):
    methods = [getattr(tf.image.ResizeMethod, name)
               for name in ("AREA", "BICUBIC", "BILINEAR", "NEAREST_NEIGHBOR")]
    drawn = tf.random_uniform([], 0, len(methods), tf.int32)
    # tf.case runs only the branch of the method that was drawn.
    branches = [lambda method=method: _resize(config, image, method).pixels for method in methods]
    pixels = tf.case([(tf.equal(drawn, i), branch) for i, branch in enumerate(branches[:-1])], default=branches[-1])
    pixels.set_shape([config.target_height, config.target_width, image.pixels.shape[-1]])
    return image._replace(pixels=pixels)


def _resize_image_keeping_aspect(config, image):
    height, widths = config.target_height, list(config.target_widths)
    if height < 1 or not widths or widths != sorted(set(widths)) or widths[0] < 1:
        raise ValueError(f"target_height is {height} and target_widths is {widths}, expected 1 or more, and one or "
                         "more ascending widths of 1 or more")
    size = tf.cast(tf.shape(image.pixels)[:2], tf.float32)
    width = tf.clip_by_value(tf.cast(tf.round(height * size[1] / size[0]), tf.int32), 1, widths[-1])
    pixels = tf.image.resize_images(image.pixels, tf.stack([height, width]))
    # The image goes to the left of the smallest width that holds it. The rest has the image's mean colour, so that no
    # edge appears: tf.pad fills with zeros, hence the mean is taken off before and put back after.
    padded_width = tf.reduce_min(tf.boolean_mask(widths, tf.greater_equal(widths, width)))
    mean = tf.reduce_mean(pixels, [0, 1])
    pixels = tf.pad(pixels - mean, [[0, 0], [0, padded_width - width], [0, 0]]) + mean
    pixels.set_shape([height, widths[0] if len(widths) == 1 else None, image.pixels.shape[-1]])
    return image._replace(pixels=pixels)


def _image_to_float(config, image):
    del config  # it has no fields
    return image  # images are float from the start, and the published step keeps 0..255 too


def _normalize_image(config, image):
    low, high = config.original_minval, config.original_maxval
    if low == high or config.target_minval == config.target_maxval:
        raise ValueError("the minval and maxval of a range are equal")
    scale = (config.target_maxval - config.target_minval) / (high - low)

    def normalize(pixels):
        return (pixels - low) * scale + config.target_minval

    value_range = image.value_range and tuple(map(normalize, image.value_range))
    return image._replace(pixels=normalize(image.pixels), value_range=value_range)


def _subtract_channel_mean(config, image):
    channels = int(image.pixels.shape[-1])
    if len(config.means) != channels:
        raise ValueError(f"means has {len(config.means)} values, but images have {channels} channels")
    return image._replace(pixels=image.pixels - list(config.means), value_range=None)


def _rgb_to_gray(config, image):
    _check_rgb(image)
    gray = tf.image.rgb_to_grayscale(image.pixels)
    return image._replace(pixels=tf.tile(gray, [1, 1, 3]) if config.three_channels else gray)


def _random_rgb_to_gray(config, image):
    _check_rgb(image)
    chosen = tf.random_uniform([]) < config.probability
    pixels = tf.cond(chosen,
                     lambda: tf.tile(tf.image.rgb_to_grayscale(image.pixels), [1, 1, 3]),
                     lambda: tf.identity(image.pixels))
    pixels.set_shape(image.pixels.shape)
    return image._replace(pixels=pixels)


def _on_unit_range(image, change):
    """Applies `change` to the image scaled to 0..1, clips to 0..1, and scales back."""
    if image.value_range is None:
        raise ValueError("the full range of pixel values is unknown after subtract_channel_mean; "
                         "put the colour steps before it")
    low, high = image.value_range
    unit = change((image.pixels - low) / (high - low))
    return image._replace(pixels=tf.clip_by_value(unit, 0.0, 1.0) * (high - low) + low)


def _random_pixel_value_scale(config, image):
    return _on_unit_range(
        image, lambda x: x * tf.random_uniform(tf.shape(x), config.minval, config.maxval))


def _random_adjust_brightness(config, image):
    return _on_unit_range(image, lambda x: tf.image.random_brightness(x, config.max_delta))


def _random_adjust_contrast(config, image):
    return _on_unit_range(
        image, lambda x: tf.image.random_contrast(x, config.min_delta, config.max_delta))


def _random_adjust_hue(config, image):
    _check_rgb(image)
    return _on_unit_range(image, lambda x: tf.image.random_hue(x, config.max_delta))


def _random_adjust_saturation(config, image):
    _check_rgb(image)
    return _on_unit_range(
        image, lambda x: tf.image.random_saturation(x, config.min_delta, config.max_delta))


def _random_distort_color(config, image):
    """Four colour changes with the amounts usual for training on ImageNet, clipped once."""
    _check_rgb(image)
    changes = {"brightness": lambda x: tf.image.random_brightness(x, 32.0 / 255),
               "saturation": lambda x: tf.image.random_saturation(x, 0.5, 1.5),
               "hue": lambda x: tf.image.random_hue(x, 0.2),
               "contrast": lambda x: tf.image.random_contrast(x, 0.5, 1.5)}
    orders = {0: ("brightness", "saturation", "hue", "contrast"), 1: ("brightness", "contrast", "saturation", "hue")}
    if config.color_ordering not in orders:
        raise ValueError(f"color_ordering must be 0 or 1, not {config.color_ordering}")

    def distort(pixels):
        for name in orders[config.color_ordering]:
            pixels = changes[name](pixels)
        return pixels
    return _on_unit_range(image, distort)


def _check_rgb(image):
    if int(image.pixels.shape[-1]) != 3:
        raise ValueError("the image is gray by now; give rgb_to_gray three_channels: true, or put "
                         "it after this step")


IMAGE_STEPS = {
    "resize_image_random_method": _resize_image_random_method,
    "resize_image": _resize_image,
    "resize_image_keeping_aspect": _resize_image_keeping_aspect,
    "normalize_image": _normalize_image,
    "random_pixel_value_scale": _random_pixel_value_scale,
    "random_rgb_to_gray": _random_rgb_to_gray,
    "random_adjust_brightness": _random_adjust_brightness,
    "random_adjust_contrast": _random_adjust_contrast,
    "random_adjust_hue": _random_adjust_hue,
    "random_adjust_saturation": _random_adjust_saturation,
    "random_distort_color": _random_distort_color,
    "image_to_float": _image_to_float,
    "subtract_channel_mean": _subtract_channel_mean,
    "rgb_to_gray": _rgb_to_gray,
}
