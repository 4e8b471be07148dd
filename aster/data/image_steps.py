"""The preprocessing steps that change the size or the values of images: (message, image) -> image."""
from typing import Any, Optional

from aster import custom
from aster.compat import tf
from aster.data.step_image import StepImage, check_rgb, run_one


def custom_step(config: Any, image: StepImage, base_dir: Optional[str]) -> StepImage:
    """Does the step of a Custom message, whose module is looked up in `base_dir` first."""
    pixels = custom.call(config.factory, custom.build(config, base_dir), image.pixels)
    if not custom.is_tensor(pixels, 3):
        raise ValueError(f"factory {config.factory!r} must give a function that returns an image [H, W, C], "
                         f"not {pixels}")
    return image._replace(pixels=tf.cast(pixels, tf.float32))


def _resize(config, image, method):
    height, width = config.target_height, config.target_width
    if height < 1 or width < 1:
        raise ValueError(f"target_height is {height} and target_width is {width}, expected 1 or more for each")
    return image._replace(pixels=tf.image.resize_images(image.pixels, [height, width], method))


def _resize_image(config, image):
    method = getattr(tf.image.ResizeMethod, config.Method.Name(config.method))
    if not config.wide_aspect:
        return _resize(config, image, method)
    height, widths = config.target_height, (config.target_width, config.wide_target_width)
    if height < 1 or min(widths) < 1:
        raise ValueError(f"target_height is {height}, and target_width and wide_target_width are {widths}, expected 1 "
                         "or more for each")
    size = tf.cast(tf.shape(image.pixels)[:2], tf.float32)
    width = tf.where(size[1] >= config.wide_aspect * size[0], widths[1], widths[0])
    pixels = tf.image.resize_images(image.pixels, tf.stack([height, width]), method)
    pixels.set_shape([height, None, image.pixels.shape[-1]])
    return image._replace(pixels=pixels)


def _resize_image_random_method(config, image):
    methods = [getattr(tf.image.ResizeMethod, name)
               for name in ("AREA", "BICUBIC", "BILINEAR", "NEAREST_NEIGHBOR")]
    branches = [lambda method=method: _resize(config, image, method).pixels for method in methods]
    pixels = run_one(branches, image.random([]))
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
    check_rgb(image)
    gray = tf.image.rgb_to_grayscale(image.pixels)
    return image._replace(pixels=tf.tile(gray, [1, 1, 3]) if config.three_channels else gray)


IMAGE_STEPS = {
    "resize_image_random_method": _resize_image_random_method,
    "resize_image": _resize_image,
    "resize_image_keeping_aspect": _resize_image_keeping_aspect,
    "normalize_image": _normalize_image,
    "image_to_float": _image_to_float,
    "subtract_channel_mean": _subtract_channel_mean,
    "rgb_to_gray": _rgb_to_gray,
}
