"""What to try on an image, and which of the texts read from it to return.

The Recognizer and the exported graphs share these rules; the demo and the evaluation read through the Recognizer. Each
rule is a plain function of scores, counts and candidates. Where the docstring says "array", the rule also takes
tensors, and then makes the operations of an exported graph.
"""
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

ORIENTATIONS = (0, 90, 180, 270)


class ReadingPolicy(NamedTuple):
    """The thresholds of the rules; protos/model.proto describes each field."""
    certain_probability: float = 0.98
    tall_ratio: float = 1.5
    number_share: float = 0.5
    also_inverted: bool = False
    bonus_per_character: float = 0.6


def make_policy(config) -> ReadingPolicy:
    """Makes the policy of a configuration.

    Args:
      config: a MultiPredictorsRecognitionModel message.

    Returns:
      A ReadingPolicy.
    """
    reading = config.reading
    return ReadingPolicy(reading.certain_probability, reading.tall_ratio, reading.number_share,
                         reading.also_inverted or config.also_negatives, config.word_list.bonus_per_character)


def orientations_to_try(height: int, width: int, policy: ReadingPolicy,
                        requested: Optional[Sequence[int]] = None) -> Tuple[int, ...]:
    """Chooses by how many degrees to turn an image before it is read.

    Args:
      height, width: of the image, in pixels.
      policy: an image at least `tall_ratio` times as tall as wide is a tall image.
      requested: the orientations that the user asks for, some of ORIENTATIONS.

    Returns:
      Degrees counterclockwise. By default a tall image is read as it is and turned to either side. Of requested
      orientations, those in which the image is tall are left out where there are others.
    """
    if not requested:
        return (0, 90, 270) if height >= policy.tall_ratio * width else (0,)

    def is_wide(degrees):
        turned_height, turned_width = (width, height) if degrees % 180 else (height, width)
        return turned_height < policy.tall_ratio * turned_width
    return tuple(filter(is_wide, requested)) or tuple(requested)


def best_orientation(readings: Sequence[Any], requested: Optional[Sequence[int]] = None) -> Any:
    """Chooses between the readings of one image in several orientations: the highest score wins.

    A tall image that was turned by default may be a single tall character, which is then misread with confidence. So a
    single character counts only if the image was not turned, or was turned by request.

    Args:
      readings: each has `text` and `score`; the first is that of the image as it is, unless orientations are requested.
      requested: as in `orientations_to_try`.

    Returns:
      One of the readings.
    """
    if not requested:
        readings = [reading for i, reading in enumerate(readings) if i == 0 or len(reading.text) > 1]
    return max(readings, key=lambda reading: reading.score)


def is_doubtful(score, policy: ReadingPolicy):
    """Whether the model doubts a text; only then the inverted image and the word list have a say.

    Args:
      score: log-probability of the text, an array.
      policy: a text less likely than `certain_probability` is doubtful.

    Returns:
      bool, in the shape of `score`.
    """
    return score < np.log(policy.certain_probability)


def is_number(num_digits, num_characters, policy: ReadingPolicy):
    """Whether a text is a number, which the word list leaves alone.

    Args:
      num_digits, num_characters: of the text, arrays of float or integer.
      policy: a text whose share of digits is `number_share` or more is a number.

    Returns:
      bool, in the shape of the arguments.
    """
    return (num_characters > 0) & (num_digits >= policy.number_share * num_characters)


def word_value(score, num_characters, policy: ReadingPolicy):
    """What a word of the word list is worth against other texts: a unigram language model.

    The bonus grows with the word's length, since a long text is seldom like a word by chance.

    Args:
      score: log-probability of the word, an array.
      num_characters: of the word, a float array.
      policy: `bonus_per_character` is added for each character.

    Returns:
      float, to be compared with the score of the text without the word list.
    """
    return score + policy.bonus_per_character * num_characters
