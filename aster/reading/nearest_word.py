"""Correcting a text by the lexicon of its image."""
from typing import Sequence

import editdistance


def nearest_word(text: str, lexicon: Sequence[str]) -> str:
    """Finds the word of a lexicon that a text most likely means.

    Args:
      text: the text read.
      lexicon: words.

    Returns:
      The word with the smallest edit distance to the text, capitals ignored; of several equals the first. The text
      itself if it or the lexicon is empty: where nothing was read, no word is meant.
    """
    if not text or not lexicon:
        return text
    text = text.lower()
    return min(lexicon, key=lambda word: editdistance.eval(text, word.lower()))
