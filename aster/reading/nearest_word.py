"""Correcting a text by the lexicon of its image."""
from typing import Sequence

try:
    from editdistance import eval as _distance
except ImportError:  # it has no wheel for Python 3.13, where setup.py asks for rapidfuzz
    from rapidfuzz.distance.Levenshtein import distance as _distance


def edit_distance(a: str, b: str) -> int:
    """Counts the insertions, deletions and substitutions of code points that turn one text into the other."""
    return _distance(a, b)


def nearest_word(text: str, lexicon: Sequence[str]) -> str:
    """Finds the word of a lexicon that a text most likely means.

    Args:
      text: the text read.
      lexicon: words.

    Returns:
      The word with the smallest edit distance to the text, capitals ignored. Of several words this is the first in the
      order of the alphabet, and of several spellings of one the nearest. So the order of the lexicon, where the true
      word may come first, has no influence. The text itself if it or the lexicon is empty: where nothing was read, no
      word is meant.
    """
    if not text or not lexicon:
        return text
    lower = text.lower()
    distances = [edit_distance(lower, word.lower()) for word in lexicon]
    smallest = min(distances)
    return min((word for word, distance in zip(lexicon, distances) if distance == smallest),
               key=lambda word: (word.lower(), edit_distance(text, word), word))
