"""The steps of PreprocessingStep, each a small function, done in the order of the config.

Images are RGB float32 from 0 to 255. The colour steps are defined on images
from 0 to 1, as in TensorFlow's detection library: a brightness of 0.2 is a
fifth of the full range. So they act on the image scaled to 0..1, clip to that
range, and scale back; after a normalize_image, "full range" is its target.
"""
from typing import Any, NamedTuple, Optional, Tuple

from aster import custom
from aster.c_ops import ops
from aster.compat import tf
from aster.data.charset import load_characters


class _Image(NamedTuple):
    """What a step takes and returns."""
    values: Any  # float32 [H, W, C]
    # (low, high) of the values in Python; None where it differs by channel
    value_range: Optional[Tuple[float, float]] = (0.0, 255.0)


def preprocess_image(steps, image, base_dir=None):
    """Applies the PreprocessingStep messages, in order, to an image.

    Args:
      steps: the messages; a string_filtering among them has no effect here.
      image: uint8 or float32 [H, W, 3], 0..255.
      base_dir: folder in which the modules of custom steps are looked up first.

    Returns:
      float32 [H', W', C], with H' and W' static after a resize (W' not, where one keeps the aspect). A bicubic resize
      may leave values a bit outside 0..255. Raises ValueError, with number and name, for a step that can't be done.
    """
    result = _Image(tf.cast(image, tf.float32))
    for where, name, config in _each(steps):
        if name == "custom":
            with tf.name_scope(name):
                result = _call(where, _custom, config, result, base_dir)
        elif name != "string_filtering":
            with tf.name_scope(name):
                result = _call(where, _IMAGE_STEPS[name], config, result)
    return result.values


def preprocessed_shape(steps, base_dir=None):
    """The shape [H', W', C] of what preprocess_image gives, None where it differs from image to image."""
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, None, 3])
        return preprocess_image(steps, image, base_dir).shape.as_list()


def preprocess_text(steps, texts, base_dir=None):
    """Applies the PreprocessingStep messages, in order, to texts: UTF-8 strings of any shape.

    Only string_filtering changes them. `base_dir` is a folder in which the text files of character
    sets are looked up too. Raises ValueError for a step that can't be done.
    """
    for where, name, config in _each(steps):
        if name == "string_filtering":
            texts = _call(where, _string_filtering, config, texts, base_dir)
    return texts


def _each(steps):
    """Yields (where, name, message) of each step."""
    for i, step in enumerate(steps):
        name = step.WhichOneof("preprocessing_step")
        if name is None:
            raise ValueError("preprocessing step %d is empty; name one of: %s"
                             % (i + 1, ", ".join(sorted(_IMAGE_STEPS))))
        yield "preprocessing step %d, %s" % (i + 1, name), name, getattr(step, name)


def _call(where, step, *args):
    try:
        return step(*args)
    except ValueError as error:
        raise ValueError(f"{where}: {error}")


def _string_filtering(config, texts, base_dir):
    characters = load_characters(config.include_charset, base_dir)
    return ops.string_filtering(texts, config.lower_case, "".join(characters))


def _custom(config, image, base_dir):
    values = custom.build(config, base_dir)(image.values)
    if not custom.is_tensor(values, 3):
        raise ValueError(f"factory {config.factory!r} must give a function that returns an image [H, W, C], not {values}")
    return _Image(tf.cast(values, tf.float32), image.value_range)


def _resize(config, image, method):
    height, width = config.target_height, config.target_width
    if height < 1 or width < 1:
        raise ValueError("target_height and target_width must be 1 or more, not %d and %d"
                         % (height, width))
    return image._replace(values=tf.image.resize_images(image.values, [height, width], method))


def _resize_image(config, image):
    method = getattr(tf.image.ResizeMethod, config.Method.Name(config.method))
    return _resize(config, image, method)


def _resize_image_random_method(config, image):
    methods = [getattr(tf.image.ResizeMethod, name)
               for name in ("AREA", "BICUBIC", "BILINEAR", "NEAREST_NEIGHBOR")]
    drawn = tf.random_uniform([], 0, len(methods), tf.int32)
    # Only the branch of the method that was drawn runs.
    results = [lambda m=m: _resize(config, image, m).values for m in methods]
    resized = tf.case([(tf.equal(drawn, i), result) for i, result in enumerate(results[:-1])],
                      default=results[-1])
    resized.set_shape([config.target_height, config.target_width, image.values.shape[-1]])
    return image._replace(values=resized)


def _resize_image_keeping_aspect(config, image):
    height, widths = config.target_height, list(config.target_widths)
    if height < 1 or not widths or widths != sorted(set(widths)) or widths[0] < 1:
        raise ValueError("target_height must be 1 or more, and target_widths one or more ascending widths, not %d and "
                         "%s" % (height, widths))
    size = tf.cast(tf.shape(image.values)[:2], tf.float32)
    width = tf.clip_by_value(tf.cast(tf.round(height * size[1] / size[0]), tf.int32), 1, widths[-1])
    values = tf.image.resize_images(image.values, tf.stack([height, width]))
    mean = tf.reduce_mean(values, [0, 1])
    bucket = tf.reduce_min(tf.boolean_mask(widths, tf.greater_equal(widths, width)))
    values = tf.pad(values - mean, [[0, 0], [0, bucket - width], [0, 0]]) + mean
    values.set_shape([height, widths[0] if len(widths) == 1 else None, image.values.shape[-1]])
    return image._replace(values=values)


def _image_to_float(config, image):
    del config
    return image  # images are float from the start, and the published step keeps 0..255 too


def _normalize_image(config, image):
    low, high = config.original_minval, config.original_maxval
    if low == high or config.target_minval == config.target_maxval:
        raise ValueError("the minval and maxval of a range are equal")
    scale = (config.target_maxval - config.target_minval) / (high - low)

    def normalize(values):
        return (values - low) * scale + config.target_minval

    value_range = image.value_range and tuple(map(normalize, image.value_range))
    return image._replace(values=normalize(image.values), value_range=value_range)


def _subtract_channel_mean(config, image):
    channels = int(image.values.shape[-1])
    if len(config.means) != channels:
        raise ValueError("means has %d values, but images have %d channels"
                         % (len(config.means), channels))
    return image._replace(values=image.values - list(config.means), value_range=None)


def _rgb_to_gray(config, image):
    _check_rgb(image)
    gray = tf.image.rgb_to_grayscale(image.values)
    return image._replace(values=tf.tile(gray, [1, 1, 3]) if config.three_channels else gray)


def _random_rgb_to_gray(config, image):
    _check_rgb(image)
    chosen = tf.random_uniform([]) < config.probability
    values = tf.cond(chosen,
                     lambda: tf.tile(tf.image.rgb_to_grayscale(image.values), [1, 1, 3]),
                     lambda: tf.identity(image.values))
    values.set_shape(image.values.shape)
    return image._replace(values=values)


def _on_unit_range(image, change):
    """Applies `change` to the image scaled to 0..1, clips to 0..1, and scales back."""
    if image.value_range is None:
        raise ValueError("the full range of pixel values is unknown after subtract_channel_mean; "
                         "put the colour steps before it")
    low, high = image.value_range
    unit = change((image.values - low) / (high - low))
    return image._replace(values=tf.clip_by_value(unit, 0.0, 1.0) * (high - low) + low)


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
        raise ValueError("color_ordering must be 0 or 1, not %d" % config.color_ordering)

    def distort(values):
        for name in orders[config.color_ordering]:
            values = changes[name](values)
        return values
    return _on_unit_range(image, distort)


def _check_rgb(image):
    if int(image.values.shape[-1]) != 3:
        raise ValueError("the image is gray by now; give rgb_to_gray three_channels: true, or put "
                         "it after this step")


_IMAGE_STEPS = {
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
