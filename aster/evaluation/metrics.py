"""Word accuracy with its interval, character error rate and normalized edit distance, by a named protocol."""
import collections
import math
import string
import unicodedata
from typing import AbstractSet, Any, Dict, FrozenSet, Iterable, List, Optional, Tuple

from aster.data.charset import Charset, normalize
from aster.reading.nearest_word import edit_distance

# What each protocol compares, after NFC normalization.
PROTOCOLS: Dict[str, str] = collections.OrderedDict([
    ("benchmark", "letters and digits of ASCII, case ignored"),
    ("letters", "letters, marks and digits of every alphabet, case ignored"),
    ("case_insensitive", "every character, also signs and spaces, case ignored"),
    ("exact", "every character")])

_ASCII_ALPHANUMERIC = frozenset(string.digits + string.ascii_lowercase)


def writable_characters(charsets: Iterable[Charset]) -> FrozenSet[str]:
    """Collects what a model can write, for `comparable`.

    Args:
      charsets: the Charset of each predictor.

    Returns:
      The characters of all charsets, with their case folded.
    """
    return frozenset(_fold(character) for charset in charsets for character in charset.characters)


def comparable(text: str, protocol: str = "benchmark", writable: AbstractSet[str] = frozenset()) -> str:
    """Leaves of a text what a protocol compares, after NFC normalization.

    The protocol of the benchmarks drops what is no letter or digit of ASCII. If it dropped a letter that the model
    can't write, "caf" would be right where the truth is "caf\u00e9". So it keeps such letters.

    Args:
      text: any text.
      protocol: a key of PROTOCOLS.
      writable: what `writable_characters` returns for the model. Characters of ASCII needn't be in it.

    Returns:
      The comparable text.
    """
    text = normalize(text)
    if protocol == "exact":
        return text
    text = "".join(map(_fold, text))
    if protocol == "case_insensitive":
        return text
    if protocol == "letters":
        return "".join(c for c in text if unicodedata.category(c)[0] in "LMN")
    return "".join(c for c in text if c in _ASCII_ALPHANUMERIC
                   or c not in writable and (c.isalnum() or unicodedata.combining(c)) and c > "\x7f")


def _fold(character: str) -> str:
    """Takes the case off a character. One character stays one, and a letter beyond ASCII stays beyond ASCII: \u00df is
    not ss, and the long s is not s, since a model that writes only these can't write the others."""
    folded = character.casefold()
    if len(folded) == 1 and (folded > "\x7f" or character <= "\x7f"):
        return folded
    return character.lower() if len(character.lower()) == 1 else character


def align(truth: str, text: str) -> List[Tuple[str, str]]:
    """Aligns two texts by the fewest edits (Wagner and Fischer 1974).

    Args:
      truth: the true text.
      text: the text read.

    Returns:
      Pairs (character of the truth, character of the text), in order; "" where one of them has none.
    """
    # costs[i][j]: edits that turn the first i characters of the truth into the first j of the text
    costs = [list(range(len(text) + 1))]
    for i, a in enumerate(truth):
        costs.append([i + 1])
        for j, b in enumerate(text):
            costs[-1].append(min(costs[i][j] + (a != b), costs[i][j + 1] + 1, costs[i + 1][j] + 1))
    # back from the end, along the cheapest way
    pairs, i, j = [], len(truth), len(text)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (truth[i - 1] != text[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((truth[i], text[j]))
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
            pairs.append((truth[i], ""))
        else:
            j -= 1
            pairs.append(("", text[j]))
    return pairs[::-1]


class RecognitionMetrics:
    """Counts the texts that are right by a protocol, and sums up their edit distances."""

    def __init__(self, protocol: str = "benchmark", writable: AbstractSet[str] = frozenset()) -> None:
        """Starts at zero; `protocol` and `writable` are those of `comparable`."""
        self._protocol = protocol
        self._writable = writable
        self.count = self.empty_truths = self._correct = self._edits = self._characters = 0
        self._normalized = 0.0

    def update(self, predicted: str, truth: str) -> Optional[bool]:
        """Counts one text.

        Args:
          predicted: the text read.
          truth: the true text.

        Returns:
          Whether the text is right; None where the truth has characters, but nothing that the protocol compares. Such a
          word is counted as an empty truth, and has no part in the other figures. Where the truth is that there is no
          text, an empty text is right.
        """
        is_blank = not truth
        predicted, truth = (comparable(text, self._protocol, self._writable) for text in (predicted, truth))
        if not truth and not is_blank:
            self.empty_truths += 1
            return None
        edits = edit_distance(predicted, truth)
        self.count += 1
        self._correct += predicted == truth
        self._edits += edits
        self._characters += len(truth)
        self._normalized += edits / max(1, len(truth))
        return predicted == truth

    def summary(self) -> Dict[str, Any]:
        """Sums up what was counted.

        Returns:
          "count", of the words that were compared; "word_accuracy", 0..1; "character_error_rate", all edits divided by
          all characters of the truths; "normalized_edit_distance", the mean over words of the edit distance divided by
          the length of the truth; and "empty_truths", how many words had nothing to compare. The three shares are None
          if nothing was compared. A text longer than its truth can take the last two of them above 1.
        """
        count = self.count
        return {"count": count, "word_accuracy": self._correct / count if count else None,
                "character_error_rate": self._edits / max(1, self._characters) if count else None,
                "normalized_edit_distance": self._normalized / count if count else None,
                "empty_truths": self.empty_truths}


def wilson(right: int, count: int, z: float = 1.959964) -> Tuple[float, float]:
    """Computes the confidence interval of a share (Wilson 1927).

    Args:
      right: how many of the words are right.
      count: how many words there are.
      z: quantile of the normal distribution; the default gives the 95 % interval.

    Returns:
      (low, high), 0..1.
    """
    if not count:
        return 0.0, 1.0
    share = right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)
