"""Does the PreprocessingSteps of a configuration, in their order, to images and to texts."""
from typing import Any, Callable, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from aster.compat import session_config, tf
from aster.data.charset import load_characters
from aster.data.color_steps import COLOR_STEPS
from aster.data.distortion_steps import DISTORTION_STEPS
from aster.data.image_steps import IMAGE_STEPS, custom_step
from aster.data.step_image import StepImage

_STEPS = dict(IMAGE_STEPS, **COLOR_STEPS, **DISTORTION_STEPS)


def preprocess_image(steps: Sequence[Any], image: tf.Tensor, base_dir: Optional[str] = None) -> tf.Tensor:
    """Applies steps to an image, in their order.

    Args:
      steps: PreprocessingStep messages. A string_filtering among them has no effect here.
      image: uint8 or float32 [H, W, 3], 0..255.
      base_dir: the experiment folder, in which the modules of custom steps are looked up first.

    Returns:
      float32 [H', W', C]. After a resize step, H' and W' are static; after one with several widths (target_widths, or
      wide_target_width), only H' is. A bicubic resize may leave values a bit outside 0..255.

    Raises:
      ValueError: a step can't be done. The message tells its number and name.
    """
    return preprocess_sample(steps, StepImage(tf.cast(image, tf.float32)), base_dir).pixels


def preprocess_sample(steps: Sequence[Any], image: StepImage, base_dir: Optional[str] = None) -> StepImage:
    """Applies steps to an image with its control points, in their order. See `preprocess_image`.

    Args:
      steps: PreprocessingStep messages.
      image: the image, float32 [H, W, 3], 0..255. With a seed, its random numbers depend on that alone.
      base_dir: the experiment folder.

    Returns:
      The StepImage after the steps.

    Raises:
      ValueError: a step can't be done. The message tells its number and name.
    """
    for place, name, config in _named_steps(steps):
        if name == "string_filtering":
            continue
        with tf.name_scope(name):
            if name == "custom":
                image = _call(place, custom_step, config, image, base_dir)
            else:
                image = _call(place, _STEPS[name], config, image)
        if image.seed is not None:  # the next step gets numbers of its own
            image = image._replace(seed=tf.stack([image.seed[0], image.seed[1] + 1]))
    return image


def preprocessed_shape(steps: Sequence[Any], base_dir: Optional[str] = None) -> List[Optional[int]]:
    """Finds the shape that steps give to images.

    Args:
      steps: PreprocessingStep messages.
      base_dir: the experiment folder.

    Returns:
      [H', W', C] of what preprocess_image returns; None for a size that differs from image to image.

    Raises:
      ValueError: as preprocess_image.
    """
    with tf.Graph().as_default():
        image = tf.placeholder(tf.uint8, [None, None, 3])
        return preprocess_image(steps, image, base_dir).shape.as_list()


def last_resize(steps: Sequence[Any]) -> Any:
    """Returns the last ResizeImage message of PreprocessingStep messages; None where there is none."""
    return ([step.resize_image for step in steps if step.HasField("resize_image")] or [None])[-1]


class PixelRange(NamedTuple):
    """What steps make of black and of white.

    Attributes:
      black, white: of each channel, float32 [C]. They may be equal or NaN where a step of one's own makes them alike.
    """
    black: np.ndarray
    white: np.ndarray

    @property
    def gray_level(self) -> float:
        """What one gray level of 0..255 has become: 1 unless a step scales pixel values."""
        return float(np.abs(self.white - self.black).max()) / 255

    def invert(self, images: Any) -> Any:
        """Makes black white, and white black: arrays or tensors [..., C]."""
        # NaN: a step sets the mean of each image to 0, and divides by its deviation
        return np.nan_to_num(self.black + self.white) - images


def pixel_range(steps: Sequence[Any], base_dir: Optional[str] = None) -> PixelRange:
    """Measures what steps make of a black image and of a white one.

    Args:
      steps: PreprocessingStep messages.
      base_dir: the experiment folder.

    Returns:
      A PixelRange.

    Raises:
      ValueError: as preprocess_image.
    """
    with tf.Graph().as_default() as graph:
        both = [preprocess_image(steps, tf.fill([32, 128, 3], value), base_dir) for value in (0.0, 255.0)]
        with tf.Session(graph=graph, config=session_config()) as session:
            return PixelRange(*(image.mean(axis=(0, 1)) for image in session.run(both)))


def text_preprocessor(steps: Sequence[Any], base_dir: Optional[str] = None) -> Callable[[str], str]:
    """Makes a function that applies steps to a text, in their order. Of all steps only string_filtering changes texts.

    Args:
      steps: PreprocessingStep messages.
      base_dir: the experiment folder, in which the files of character sets are looked up first.

    Returns:
      A function: text -> text. It can be called from several threads.

    Raises:
      ValueError: a step can't be done. The message tells its number and name.
    """
    filters = text_filters(steps, base_dir)

    def preprocess(text: str) -> str:
        for text_filter in filters:
            text = text_filter.apply(text)
        return text
    return preprocess


class TextFilter(NamedTuple):
    """A string_filtering: its index among the steps, the characters that it keeps, whether it lower-cases first."""
    step: int
    characters: FrozenSet[str]
    lower_case: bool

    def apply(self, text: str) -> str:
        """Returns what the filter leaves of a text."""
        return filter_text(text, self.characters, self.lower_case)


def text_filters(steps: Sequence[Any], base_dir: Optional[str] = None) -> List[TextFilter]:
    """Makes the filters of texts among steps.

    Args:
      steps: PreprocessingStep messages.
      base_dir: the experiment folder, in which the files of character sets are looked up first.

    Returns:
      A TextFilter for each string_filtering, in the order of the steps.

    Raises:
      ValueError: a step can't be done. The message tells its number and name.
    """
    return [TextFilter(i, frozenset(_call(place, load_characters, config.include_charset, base_dir)), config.lower_case)
            for i, (place, name, config) in enumerate(_named_steps(steps)) if name == "string_filtering"]


def filter_text(text: str, characters: Any = (), lower_case: bool = False) -> str:
    """Keeps only some characters of a text.

    Args:
      text: the text.
      characters: the characters to keep; a set is fastest. Empty: all.
      lower_case: whether the text is lower-cased first.

    Returns:
      The text without the other characters.
    """
    if lower_case:
        # Letter by letter, so that each stays one character: str.lower makes two of a dotted capital I, and writes a
        # sigma at the end of a word in another way.
        text = "".join(letter.lower()[0] for letter in text)
    return "".join(letter for letter in text if letter in characters) if characters else text


def _named_steps(steps: Sequence[Any]) -> Iterator[Tuple[str, str, Any]]:
    """Yields (place for messages, name, message) of each step."""
    for number, step in enumerate(steps, 1):
        name = step.WhichOneof("preprocessing_step")
        if name is None:
            raise ValueError(f"preprocessing step {number} is empty; name one of: "
                             + ", ".join(field.name for field in step.DESCRIPTOR.fields))
        yield f"preprocessing step {number}, {name}", name, getattr(step, name)


def _call(place, step, *args):
    try:
        return step(*args)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
