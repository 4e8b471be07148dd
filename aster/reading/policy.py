"""What to try on an image, and which of the texts read from it to return.

The rules stand first, then `read_batch`, which applies them. The Recognizer and the exported graphs share the rules.
The demo and the evaluation read through the Recognizer. Each rule is a plain function of scores, counts and candidates.
Where a docstring says "array", the rule also takes tensors, and then makes the operations of an exported graph.
"""
import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

ORIENTATIONS = (0, 90, 180, 270)
WHOLE_PHOTO = "the image looks like a whole photo; this model reads one cropped word. Cut out the words first"
_ZOOMED_OUT, _ZOOMED_IN = 0.1, -0.06  # borders: docs/notes/training_the_pretrained_model.md has the figures
TOO_SMALL = "the image is only {} pixels {}; letters need 8 pixels or more. Use a larger image"
_LEGIBLE = 8  # pixels; docs/notes/doubtful_texts.md
_NO_LETTERS = 4  # gray levels; letters of less contrast can't be read
_PHOTO_SIDE, _PHOTO_RATIO = 150, 4  # few single words are as large as that and doubtful: docs/notes/doubtful_texts.md


class ReadingPolicy(NamedTuple):
    """The thresholds of the rules; protos/model.proto describes each field."""
    certain_probability: float = 0.98
    tall_ratio: float = 1.5
    number_share: float = 0.5
    also_inverted: bool = False
    bonus_per_character: float = 0.6
    doubtful_probability: float = 0.7
    min_contrast: float = 16.0
    wide_characters: int = 8
    also_zoomed: bool = False


def make_policy(config: Any) -> ReadingPolicy:
    """Makes the policy of a configuration.

    Args:
      config: a MultiPredictorsRecognitionModel message.

    Returns:
      A ReadingPolicy.
    """
    reading = config.reading
    return ReadingPolicy(reading.certain_probability, reading.tall_ratio, reading.number_share,
                         reading.also_inverted or config.also_negatives, config.word_list.bonus_per_character,
                         reading.doubtful_probability, reading.min_contrast, reading.wide_characters,
                         reading.also_zoomed)


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


def is_uncertain(score: Any, policy: ReadingPolicy) -> Any:
    """Whether a text is not certain; only then the inverted image and the word list have a say.

    Args:
      score: log-probability of the text, an array.
      policy: a text less likely than `certain_probability` is not certain.

    Returns:
      bool, in the shape of `score`.
    """
    return score < np.log(policy.certain_probability)


def is_doubtful(score: float, policy: ReadingPolicy) -> bool:
    """Whether a text is marked as doubtful: docs/notes/doubtful_texts.md has the figures behind the threshold.

    Args:
      score: log-probability of the text that is returned.
      policy: a text less likely than `doubtful_probability` is doubtful.

    Returns:
      Whether it is.
    """
    return math.exp(score) < policy.doubtful_probability


def is_blank(lowest: Any, highest: Any, gray_level: float, policy: ReadingPolicy) -> Any:
    """Whether an image is of one color, but for noise. Then its text is empty, with a score of 0.

    Args:
      lowest, highest: the smallest and the largest value of each channel, arrays.
      gray_level: what one gray level of 0..255 has become by the preprocessing steps.
      policy: values that differ by less than `min_contrast` gray levels are noise.

    Returns:
      bool, in the shape of `lowest`; the image is blank if all of its channels are.
    """
    return highest - lowest < policy.min_contrast * gray_level


def hint(height: int, width: int, doubtful: bool) -> Optional[str]:
    """Says what may be wrong with an image whose text is doubtful: it has too few pixels for letters, or it is a whole
    photo, which looks to the model like one word that is hard to read.

    Args:
      height, width: of the image, in pixels.
      doubtful: whether its text is doubtful.

    Returns:
      A sentence where the text is doubtful, and the shorter side has fewer than 8 pixels, or both sides have at least
      150 and the longer one is less than 4 times the shorter one; otherwise None.
    """
    short, long = sorted((height, width))
    if doubtful and short < _LEGIBLE:
        return TOO_SMALL.format(short, "high" if height == short else "wide")
    return WHOLE_PHOTO if doubtful and short >= _PHOTO_SIDE and long < _PHOTO_RATIO * short else None


def is_number(num_digits: Any, num_characters: Any, policy: ReadingPolicy) -> Any:
    """Whether a text is a number, which the word list leaves alone.

    Args:
      num_digits, num_characters: of the text, arrays of float or integer.
      policy: a text whose share of digits is `number_share` or more is a number.

    Returns:
      bool, in the shape of the arguments.
    """
    return (num_characters > 0) & (num_digits >= policy.number_share * num_characters)


def needs_width(text: str, score: float, policy: ReadingPolicy) -> bool:
    """Whether a text is read again from a wider image: a long text has few columns a character.

    Args:
      text: the text.
      score: its log-probability.
      policy: a text of `wide_characters` or more that is not certain is read again; 0: none is.

    Returns:
      Whether it is.
    """
    return 0 < policy.wide_characters <= len(text) and bool(is_uncertain(score, policy))


def zoom_border(height: int, width: int, fraction: float) -> Tuple[int, int]:
    """Computes the border that zooms an image out, or, if it is negative, in.

    Args:
      height, width: of the preprocessed image, in pixels.
      fraction: the border above and below as a fraction of the height. To the left and right it is twice as many
        pixels, since words are wide, but not more than half that fraction of the width.

    Returns:
      How many rows are added above and below, and how many columns at the left and right.
    """
    return round(fraction * height), round(fraction * min(2 * height, width / 2))


def most_voted(readings: Sequence[Any], values: Sequence[float], policy: ReadingPolicy) -> Any:
    """Chooses between the readings of several views of one image: each votes for its text with what that is worth. If
    some are certain, the others have no vote, since a certain text needs no word list.

    Args:
      readings: each has `text` and `score`.
      values: the logarithm of what each is worth: its score, to which a word of the word list adds its bonus.
      policy: a text less likely than `certain_probability` is not certain.

    Returns:
      Of the text with the largest sum of votes, the reading with the highest score.
    """
    voters = list(zip(readings, values))
    certain = [(reading, value) for reading, value in voters if not is_uncertain(reading.score, policy)]
    votes: Dict[str, float] = {}
    for reading, value in certain or voters:
        votes[reading.text] = np.logaddexp(votes.get(reading.text, -np.inf), value)
    text = max(votes, key=votes.__getitem__)
    return max((reading for reading in readings if reading.text == text), key=lambda reading: reading.score)


def word_value(score: Any, num_characters: Any, policy: ReadingPolicy) -> Any:
    """What a word of the word list is worth against other texts: a unigram language model.

    The bonus grows with the word's length, since a long text is seldom like a word by chance.

    Args:
      score: log-probability of the word, an array.
      num_characters: the number of the word's characters, a float array.
      policy: `bonus_per_character` is added for each character.

    Returns:
      float, to be compared with the score of the text without the word list.
    """
    return score + policy.bonus_per_character * num_characters


def read_batch(inference: Any, policy: ReadingPolicy, images: np.ndarray, details: bool = False) -> List[Any]:
    """Reads a batch by the rules. Inverted images, the word list and wider images have a say only where a text is not
    certain, and zoomed images only where it is doubtful.

    Args:
      inference: an Inference, or an object with its `search`, `widen`, `zoom`, `wide_width`, `num_preferred_words` and
        `pixel_range`.
      policy: the thresholds.
      images: preprocessed, float32 [B, H, W, C].
      details: whether the Readings shall have pictures and attention.

    Returns:
      A Reading for each image.
    """
    # Image by image, so that it is in the cache for both. Row by row first: numpy is slow along two axes at once if the
    # last one, which stays, is short.
    lowest = np.stack([image.min(axis=0).min(axis=0) for image in images])
    highest = np.stack([image.max(axis=0).max(axis=0) for image in images])
    are_blank, have_no_letters = (
        is_blank(lowest, highest, inference.pixel_range.gray_level, rules).all(axis=1)
        for rules in (policy, policy._replace(min_contrast=_NO_LETTERS)))
    are_faint = are_blank & ~have_no_letters  # what is taken for noise may be faint letters
    readings, values = _read(inference, policy, images, details, are_blank)
    if images.shape[2] < inference.wide_width:
        long = [i for i, reading in enumerate(readings) if needs_width(reading.text, reading.score, policy)]
        if long:
            wider, values_of_wider = _read(inference, policy, inference.widen(images[long]), details, are_blank[long])
            for i, reading, value in zip(long, wider, values_of_wider):
                if value > values[i]:
                    readings[i], values[i] = reading, value
    doubtful = [i for i, reading in enumerate(readings) if is_doubtful(reading.score, policy)]
    if policy.also_zoomed and doubtful:
        _vote(inference, policy, images, details, readings, values, doubtful)
    return [reading._replace(doubtful=bool(is_faint or is_doubtful(reading.score, policy)))
            for reading, is_faint in zip(readings, are_faint)]


def _read(inference, policy, images, details, are_blank):
    """-> a Reading for each image, by its inverse and by the word list too; and what each text is worth, where a listed
    word has its bonus."""
    readings, sequences = inference.search(images, details)
    readings = [_without_text(reading) if blank else reading for reading, blank in zip(readings, are_blank)]
    uncertain = [i for i, reading in enumerate(readings) if is_uncertain(reading.score, policy)]
    values = {}
    if uncertain and (policy.also_inverted or inference.num_preferred_words):
        values = _read_again(inference, policy, images, details, readings, uncertain, sequences)
    return readings, [values.get(i, reading.score) for i, reading in enumerate(readings)]


def _vote(inference, policy, images, details, readings, values, doubtful):
    """Puts the text that wins the vote in the place of each doubtful reading. Besides it, the image zoomed out and the
    inverted image zoomed in have a vote: views that differ make different mistakes."""
    borders = [zoom_border(images.shape[1], images.shape[2], fraction) for fraction in (_ZOOMED_OUT, _ZOOMED_IN)]
    zoomed_out, zoomed_in = (inference.zoom(images[doubtful], *border) for border in borders)
    views = np.concatenate([zoomed_out, inference.pixel_range.invert(zoomed_in)])
    # each view inverted once more would take twice the time, and read no more words right
    others, values_of_others = _read(inference, policy._replace(also_inverted=False), views, details,
                                     are_blank=np.zeros(len(views), bool))
    for k, i in enumerate(doubtful):
        of_image = slice(k, None, len(doubtful))
        views_of_image = [_unzoomed(reading, images[i], border) if details else reading
                          for reading, border in zip(others[of_image], borders)]
        readings[i] = most_voted([readings[i]] + views_of_image, [values[i]] + values_of_others[of_image], policy)


def _unzoomed(reading, image, border):
    """A reading of a zoomed image, with the image as it was, and the control points in their places there."""
    points = reading.control_points
    if points is not None:
        size, added = np.array(image.shape[1::-1]), np.array(border[::-1])  # (x, y), as the points
        points = ((points * (size + 2 * added) - added) / size).astype(points.dtype)
    return reading._replace(image=image, control_points=points)


def _without_text(reading):
    """The reading of an image of one color."""
    return reading._replace(
        text="", score=0.0, probabilities=(), texts=reading.texts and {name: "" for name in reading.texts},
        attention=None if reading.attention is None else reading.attention[:0])


def _read_again(inference, policy, images, details, readings, uncertain, sequences):
    """Puts better texts in the place of readings that are not certain, where there are some -> {row: what the word is
    worth that the word list has put there}."""
    views, sequences = images[uncertain], [sequence[uncertain] for sequence in sequences]
    rows = uncertain  # of the image that each view shows
    if policy.also_inverted:
        inverted = inference.pixel_range.invert(views)
        alternatives, more_sequences = inference.search(inverted, details)
        for i, alternative in zip(uncertain, alternatives):
            if alternative.score > readings[i].score:
                readings[i] = alternative._replace(image=readings[i].image)
        rows, views = 2 * uncertain, np.concatenate([views, inverted])
        sequences = [np.concatenate(both) for both in zip(sequences, more_sequences)]
    if inference.num_preferred_words:
        chosen = [view for view, i in enumerate(rows) if _may_be_replaced(readings[i], policy)]
        if chosen:
            words, _ = inference.search(views[chosen], details, [sequence[chosen] for sequence in sequences])
            return _prefer_words(readings, [rows[view] for view in chosen], words, policy)
    return {}


def _may_be_replaced(reading, policy):
    """Whether a word of the word list may take the place of a reading."""
    num_digits = sum(map(str.isdigit, reading.text))
    return is_uncertain(reading.score, policy) and not is_number(num_digits, len(reading.text), policy)


def _prefer_words(readings, rows, words, policy):
    """Puts each word in the place of the reading of its row, where the word is worth more -> {row: what it is worth}. A
    row has a word of the image and one of the inverted image."""
    def value(word):
        return word_value(word.score, len(word.probabilities), policy)
    best: Dict[int, Any] = {}
    for row, word in zip(rows, words):
        best[row] = max(best.get(row, word), word, key=value)
    best = {row: word for row, word in best.items() if value(word) > readings[row].score}
    for row, word in best.items():
        # a word that differs by its case only is no evidence: the list does not know how a name is spelled
        if word.text.lower() != readings[row].text.lower():
            readings[row] = word._replace(image=readings[row].image)
    return {row: value(word) for row, word in best.items()}
