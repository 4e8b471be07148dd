"""Draws what the renderer writes: words, words with punctuation, addresses, numbers of many forms, random strings."""
import itertools
import string
import unicodedata
from typing import Callable, Iterable, Sequence

import numpy as np
from synthetic.offensive import is_offensive
from synthetic.words import MAX_LENGTH, WordError, in_test_split, normalize

_MAX_JOINED = 20  # characters
_MAX_ADDRESS = 24  # characters, as many as the pretrained model reads
_TRIES = 1000


class TextSource:
    """Draws texts: words of a list, and numbers and random strings among them.

    Words that are made by chance (two words joined, a wrong letter, a random string) are never offensive. Words of the
    list are drawn as they are.
    """

    def __init__(self, words: Sequence[str], charset: Iterable[str], *, split: str = "all",
                 max_words: int = 1) -> None:
        """Makes a source.

        Args:
          words: the word list, the frequent words first: those near the end are drawn less often.
          charset: the characters that a text may have. Words with other characters are left out.
          split: "all", "train" or "test". The last two never have a word in common.
          max_words: each text is a line of 1 to so many words, with spaces between them.
        """
        self.charset = frozenset(charset) | frozenset(" " * (max_words - 1))
        self._max_words = max_words
        self.words = [word for word in words
                      if len(word) <= MAX_LENGTH and self.charset.issuperset(word)]
        self.split = split
        # Marks stand on a letter, not anywhere in a random string.
        self._characters = sorted(character for character in self.charset
                                  if unicodedata.category(character)[0] not in "MZ")
        self._digits = sorted(self.charset & set(string.digits))
        self.kinds = ((0.61, self._word), (0.03, self._joined), (0.08, self._punctuated), (0.08, self._misspelled),
                      (0.04, self._address), (0.1, self._number), (0.06, self._random_string))

    def draw(self, rng: np.random.RandomState, accept: Callable[[str], bool] = bool) -> str:
        """Draws a text of this split.

        Args:
          rng: where the chance comes from.
          accept: says whether a text can be used, e.g. whether a font can write it.

        Returns:
          A text that `accept` accepts.

        Raises:
          WordError: after many tries there is no such text.
        """
        tries = _TRIES * self._max_words
        parts = filter(self._in_split, filter(None, (_pick(self.kinds, rng)(rng) for _ in range(tries))))
        while True:
            text = normalize(" ".join(itertools.islice(parts, rng.randint(1, self._max_words + 1))))
            if not text:
                raise WordError(f"of {tries} words drawn, none could be used ({len(self.words)} words are listed, the "
                                f"split is {self.split!r}); check --words, --charset, --fonts and --split")
            if self.charset.issuperset(text) and accept(text):
                return text

    def _in_split(self, text):
        return self.split == "all" or in_test_split(text) == (self.split == "test")

    def _word(self, rng):
        """A word of this split, or "" where the drawn one belongs to the other split."""
        if not self.words:
            return ""
        # Photos repeat the frequent words, which are also the short ones. With this power the first of 100,000 words is
        # drawn 2 % of the time. The validation sets have "the" 2.9 % of the time and books 6 %, but a model that was
        # trained with the share of books reads "the" in whatever is unclear. The first 3 % of the list are 31 % of
        # the words drawn, and 52 % of the words in photos: rare words teach the model to read letters.
        word = self.words[int(len(self.words) * rng.random_sample() ** 3)]
        if not self._in_split(word):
            return ""
        changed = normalize(_pick(_SPELLINGS, rng)(word))
        # A charset may have small letters only.
        return changed if self.charset.issuperset(changed) else word

    def _joined(self, rng):
        """Two words as one, as in names of shops: SingTel, SINGTEL or singtel."""
        first, second = self._word(rng), self._word(rng)
        if not (first and second) or len(first + second) > _MAX_JOINED:
            return ""
        if first.isupper():
            return _unless_offensive(first + second.upper())
        return _unless_offensive(first + (_capitalize if first[:1].isupper() else str)(second.lower()))

    def _punctuated(self, rng):
        """A word with punctuation, if the charset has it."""
        word = self._word(rng)
        text = _PUNCTUATED[rng.randint(len(_PUNCTUATED))].replace("~", word)
        return text if word and self.charset.issuperset(text) else word

    def _address(self, rng):
        """A web or mail address of one or two words, if the charset has its signs; otherwise a word."""
        word = self._word(rng)
        name = _pick(((0.5, word), (0.3, word + self._word(rng)),
                      (0.2, word + _pick(((0.5, "."), (0.5, "-")), rng) + self._word(rng))), rng)
        text = _pick(_ADDRESSES, rng).replace("~", name) + _pick(_DOMAINS, rng)
        text = _pick(((0.8, text.lower()), (0.2, text.upper())), rng)
        fits = len(text) <= _MAX_ADDRESS and self.charset.issuperset(text)
        return _unless_offensive(text) if word and fits else word

    def _misspelled(self, rng):
        """A word with a wrong letter, as names and brands have: a model that guesses words reads it wrong."""
        word = self._word(rng)
        if not self._characters or not word:
            return word
        place = rng.randint(len(word))
        letter = rng.choice(self._characters)
        changed = letter.upper() if word.isupper() else letter.lower()
        changed = changed if changed in self.charset else letter
        return _unless_offensive(word[:place] + changed + word[place + 1:])

    def _number(self, rng):
        """A number: each # of a pattern is a digit. A pattern is used only if the charset has the rest of it."""
        if not self._digits:
            return ""
        pattern = _NUMBERS[rng.randint(len(_NUMBERS))]
        if rng.random_sample() < 0.5 or not self.charset.issuperset(pattern.replace("#", "")):
            pattern = "#" * rng.randint(1, 8)
        return "".join(rng.choice(self._digits) if sign == "#" else sign for sign in pattern)

    def _random_string(self, rng):
        if not self._characters:
            return ""
        return _unless_offensive("".join(rng.choice(self._characters, rng.randint(1, 9))))


def _unless_offensive(text):
    """The text, or "" (another one is drawn then) where chance has made an offensive word."""
    return "" if is_offensive(text) else text


def _capitalize(word):
    return word[:1].upper() + word[1:]


# (probability, spelling). Text in photos is in capitals more often than text in books.
_SPELLINGS = ((0.15, str), (0.08, str.lower), (0.27, _capitalize), (0.5, str.upper))
# ~ stands for the word.
_PUNCTUATED = ("~.", "~,", "~!", "~?", "~:", "~;", "~'s", "~-", "-~", "\"~\"", "'~'", "(~)", "&~", "~&",
               "~...", "*~*", "#~", "@~", "~.com", "www.~.com", "~/", "~+")
# (probability, what stands around the ~) of an address; its end
_ADDRESSES = ((0.45, "www.~"), (0.2, "~"), (0.05, "http://~"), (0.1, "info@~"), (0.05, "@~"), (0.05, "~@gmail"),
              (0.05, "~@yahoo"), (0.05, "sales@~"))
_DOMAINS = ((0.55, ".com"), (0.1, ".co.uk"), (0.1, ".org"), (0.08, ".net"), (0.05, ".de"), (0.03, ".fr"), (0.03, ".in"),
            (0.03, ".nl"), (0.03, ".eu"))
# Each # stands for a digit.
_NUMBERS = ("$#", "$##", "$#.##", "$##.##", "#.##", "##.#", "##%", "#%", "#:##", "##:##", "#-#", "##-##", "(###)",
            "###-####", "#/#", "##/##/##", "##.##.##", "#st", "#nd", "#rd", "#th", "##th", "####-####", "#,###",
             "\u00a3#.##", "\u20ac##", "No.#", "#am", "##pm", "#km", "##m", "#kg", "#A", "B#", "A##", "M#", "#D", "#x",
            "###-###-####", "(###)###-####", "+##-###-######", "0###-######", "1-800-###-####", "###.###.####",
            "##:##-##:##", "$#,###", "$###", "#.#%", "##/##/####", "##-##-####", "#.##/kg", "#:##pm", "A-##", "###-A")


def _pick(table, rng):
    """Draws a value from a table of (probability, value)."""
    mark = rng.random_sample()
    for probability, value in table:
        mark -= probability
        if mark < 0:
            return value
    return table[-1][1]  # the probabilities may add up to a little less than 1
