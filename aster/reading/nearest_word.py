"""Correcting a text by a lexicon."""
from aster.evaluation.metrics import edit_distance


def nearest_word(text, lexicon):
    """The word of `lexicon` with the smallest edit distance to `text`, both lower-cased; the first of equals.

    An empty lexicon leaves the text as it is.
    """
    if not lexicon:
        return text
    text = text.lower()
    return min(lexicon, key=lambda word: edit_distance(text, word.lower()))
