"""Word lists of the renderer, and which words are for testing only."""
import collections
import hashlib
import itertools
import os
import string
import unicodedata
from typing import List

import find_aster  # noqa: F401
from synthetic.offensive import is_offensive

from aster.files import read_text

LATIN = string.digits + string.ascii_letters
SPLITS = ("all", "train", "test")
TEST_FRACTION = 0.1  # of all texts; --split test has these, --split train has none of them
MAX_LENGTH = 40  # characters; a longer line of a word list is not a word

_DEFAULT_COUNT = 100000  # words of the default list, the most frequent ones
_DEFAULT_LENGTHS = range(1, 17)


_LANGUAGES = ("de", "nl", "fr", "es", "it", "pt")  # of the pretrained models' data, besides English

# What is written in streets and shops far more often than in books, roughly the most frequent first.
_SIGN_WORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sign_words.txt")


class WordError(Exception):
    """Says what is wrong with the word list, and what to do."""


def normalize(text: str) -> str:
    """Brings a text into the form in which the library compares characters.

    Args:
      text: any text.

    Returns:
      The text in Unicode's normal form C.
    """
    return unicodedata.normalize("NFC", text)


def default_words() -> List[str]:
    """Lists the words that the renderer draws from: `reading_words` without the offensive ones.

    Returns:
      The 100,000 most frequent words, the most frequent first.

    Raises:
      WordError: pyspellchecker is not installed.
    """
    return [word for word in _ranked_words() if not is_offensive(word)][:_DEFAULT_COUNT]


def reading_words() -> List[str]:
    """Lists the words that a model may prefer when it reads: common English words, and those of signs among the first.

    aster/pretrained/english/words.txt is this list. It has offensive words too, because photos have them.

    Returns:
      The 100,000 most frequent words, the most frequent first.

    Raises:
      WordError: pyspellchecker is not installed.
    """
    return _ranked_words()[:_DEFAULT_COUNT]


def photo_words() -> List[str]:
    """Lists the words of the pretrained models' data: `default_words`, and words of other languages among them.

    Signs have names and foreign words. Each eighth word is German, Dutch, French, Spanish, Italian or
    Portuguese, without its accents.

    Returns:
      The words, the most frequent first.

    Raises:
      WordError: pyspellchecker is not installed.
    """
    english = default_words()
    foreign = itertools.chain.from_iterable(zip(*(_foreign_words(language) for language in _LANGUAGES)))
    sevens = (english[start:start + 7] for start in range(0, len(english), 7))
    mixed = itertools.chain.from_iterable(seven + [next(foreign, "")] for seven in sevens)
    return list(filter(None, collections.OrderedDict.fromkeys(mixed)))


def _foreign_words(language):
    """The most frequent words of a language, without their accents and without English ones."""
    words = [without_accents(word) for word in _words_by_count(language)]
    english = set(_words_by_count("en"))
    return [word for word in words if len(word) in _DEFAULT_LENGTHS and set(word) <= set(LATIN)
            and word not in english and not is_offensive(word)]


def without_accents(text: str) -> str:
    """Removes the accents of letters: "m\u00fcnchen" gives "munchen"."""
    decomposed = unicodedata.normalize("NFD", text.replace("\u00df", "ss"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _ranked_words():
    words = [word for word in _words_by_count("en") if len(word) in _DEFAULT_LENGTHS and set(word) <= set(LATIN)]
    # A word of signs follows each word of books, from the most frequent one on.
    mixed = itertools.chain.from_iterable(zip(words, read_words(_SIGN_WORDS)))
    return list(collections.OrderedDict.fromkeys(itertools.chain(mixed, words)))


def _words_by_count(language):
    try:
        from spellchecker import SpellChecker
    except ImportError as error:
        raise WordError("no word list is installed; run: pip install pyspellchecker   (or name a file of one word per "
                        "line with --words)") from error
    counts = SpellChecker(language).word_frequency.dictionary
    return sorted(counts, key=lambda word: (-counts[word], word))


def read_words(path: str) -> List[str]:
    """Reads a word list.

    Args:
      path: a UTF-8 file of one word per line.

    Returns:
      The words, normalized, without empty lines.

    Raises:
      WordError: the file can't be read, is not UTF-8 or has no words.
    """
    try:
        lines = read_text(path, "the word list").splitlines()
    except ValueError as error:
        raise WordError(str(error)) from error
    words = [normalize(line.strip()) for line in lines if line.strip()]
    if not words:
        raise WordError(f"{path}: the word list is empty; write one word per line")
    return words


def in_test_split(text: str) -> bool:
    """Tells whether a text belongs to the test split, which training must not see.

    The answer is the same on every machine, in upper and lower case, and with any punctuation around the word. It
    depends on nothing but the text, so a change of the word list moves no word from one split to the other.

    Args:
      text: a text of any kind.

    Returns:
      True for TEST_FRACTION of all texts.
    """
    text = normalize(text.lower())
    text = "".join(filter(str.isalnum, text)) or text
    digest = hashlib.md5(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "big") < TEST_FRACTION * 2 ** 32
