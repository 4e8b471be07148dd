"""What the preprocessing steps that change images share: an image on its way through the steps.

Images are RGB float32 from 0 to 255. The colour steps are defined on images
from 0 to 1, as in TensorFlow's detection library: a brightness of 0.2 is a
fifth of the full range. So they scale the image to 0..1, change it, clip it to
that range, and scale it back. After a normalize_image, "full range" is the
range of its target.
"""
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

from aster.compat import stateless_uniform, tf


class StepImage(NamedTuple):
    """What a step takes and returns."""
    pixels: tf.Tensor  # float32 [H, W, C]
    # The lowest and the highest value that a pixel can have; None where they differ by channel.
    value_range: Optional[Tuple[float, float]] = (0.0, 255.0)
    # int64 [2], the seed of this step's random numbers; None: they differ from run to run.
    seed: Optional[tf.Tensor] = None
    # float32 [K, 2], (x, y) of control points as fractions of width and height; None: there are none.
    points: Optional[tf.Tensor] = None

    def random(self, shape: Any) -> tf.Tensor:
        """Draws numbers from 0 to below 1. A step calls it once, so that no two draws are the same."""
        return tf.random_uniform(shape) if self.seed is None else stateless_uniform(shape, self.seed)


def run_one(branches: Sequence[Callable[[], tf.Tensor]], draw: tf.Tensor) -> tf.Tensor:
    """Runs one of several functions. The others are not computed.

    Args:
      branches: functions that return a tensor, all of one type.
      draw: scalar from 0 to below 1. All functions have an equal share of it.

    Returns:
      What the function returned.
    """
    if len(branches) == 1:
        return branches[0]()
    index = tf.cast(draw * len(branches), tf.int32)
    return tf.case([(tf.equal(index, i), branch) for i, branch in enumerate(branches[:-1])], default=branches[-1])


def sometimes(change: Callable[[], tf.Tensor], pixels: tf.Tensor, probability: float, draw: tf.Tensor) -> tf.Tensor:
    """Returns the changed pixels with a probability, otherwise the pixels as they are.

    Args:
      change: a function that returns the changed pixels. Its work is only done where it counts.
      pixels: float32 [H, W, C].
      probability: 0..1.
      draw: scalar from 0 to below 1.

    Returns:
      float32 [H, W, C].
    """
    result = tf.cond(draw < probability, change, lambda: tf.identity(pixels))
    result.set_shape(pixels.shape)
    return result


def between(draw: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Maps numbers from 0 to below 1 to numbers from `low` to `high`."""
    return low + (high - low) * draw


def on_unit_range(image: StepImage, change: Callable[[tf.Tensor], tf.Tensor]) -> StepImage:
    """Applies a change to an image that is scaled to 0..1, clips the result to 0..1, and scales it back.

    Args:
      image: the StepImage.
      change: a function of float32 [H, W, C] that returns such a tensor.

    Returns:
      The changed StepImage.

    Raises:
      ValueError: the range of pixel values is unknown.
    """
    if image.value_range is None:
        raise ValueError("the full range of pixel values is unknown after subtract_channel_mean; put this step before "
                         "it")
    low, high = image.value_range
    unit = change((image.pixels - low) / (high - low))
    return image._replace(pixels=tf.clip_by_value(unit, 0.0, 1.0) * (high - low) + low)


def check_rgb(image: StepImage) -> None:
    """Raises ValueError where an image has no three channels any more."""
    if int(image.pixels.shape[-1]) != 3:
        raise ValueError("the image is gray by now; give rgb_to_gray three_channels: true, or put it after this step")
