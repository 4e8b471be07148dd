"""Which words the renderer does not draw because they would offend a reader of its pictures."""
import codecs
import functools
import os
import re
from typing import Pattern

import find_aster  # noqa: F401

from aster.files import read_text

_LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "offensive.txt")


def is_offensive(text: str) -> bool:
    """Tells whether a text is a word of offensive.txt or an inflection of one.

    Only whole words count: a word that contains such a word by chance, as Scunthorpe and class do, is not offensive.

    Args:
      text: one word. Upper and lower case are equal, and characters that are not letters are ignored.

    Returns:
      Whether the word is offensive.
    """
    return _pattern().match("".join(filter(str.isalpha, text.lower()))) is not None


@functools.lru_cache(maxsize=None)
def _pattern() -> Pattern[str]:
    lines = [line for line in read_text(_LIST, "the list of offensive words").splitlines() if not line.startswith("#")]
    words = [codecs.decode(line, "rot13") for line in lines]
    stems = [word[:-1] for word in words if word.endswith("*")]
    whole = [word for word in words if not word.endswith("*")]
    return re.compile(f"(?:{'|'.join(stems)})|(?:{'|'.join(whole)})(?:s|(?<=[hosxz])es)?$")
