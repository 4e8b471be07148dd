"""Word accuracy with its interval, and normalized edit distance, as text-recognition papers report them."""
import math
import string
import unicodedata
from typing import Dict, List, Optional, Tuple

import editdistance

from aster.data.charset import normalize

_ASCII_ALPHANUMERIC = frozenset(string.digits + string.ascii_letters)


def comparable(text: str, ascii_only: bool = True) -> str:
    """Leaves of a text what accuracy compares: letters and digits in lower case, after NFC normalisation.

    Args:
      text: any text.
      ascii_only: keep only 0-9, a-z and A-Z, as the protocol of the benchmarks does; otherwise keep letters, marks and
        digits of any alphabet.

    Returns:
      The comparable text.
    """
    text = normalize(text)
    if ascii_only:
        return "".join(c for c in text if c in _ASCII_ALPHANUMERIC).lower()
    return "".join(c for c in text.lower() if unicodedata.category(c)[0] in "LMN")


def edit_distance(a: str, b: str) -> int:
    """Counts the insertions, deletions and substitutions of code points that turn one text into the other."""
    return editdistance.eval(a, b)


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
    """Counts the texts that are right, and sums up their normalized edit distances."""

    def __init__(self, ascii_only: bool = True) -> None:
        """Starts at zero; `ascii_only` is that of `comparable`."""
        self._ascii_only = ascii_only
        self.count = self._correct = 0
        self._normalized = 0.0

    def update(self, predicted: str, truth: str) -> bool:
        """Counts one text.

        Args:
          predicted: the text read.
          truth: the true text.

        Returns:
          Whether the text is right.
        """
        predicted, truth = (comparable(text, self._ascii_only) for text in (predicted, truth))
        self.count += 1
        self._correct += predicted == truth
        self._normalized += edit_distance(predicted, truth) / max(1, len(truth))
        return predicted == truth

    def summary(self) -> Dict[str, Optional[float]]:
        """Sums up what was counted.

        Returns:
          "count"; "word_accuracy", 0..1; and "normalized_edit_distance", the mean over words of the edit distance
          divided by the length of the truth. Both means are None if nothing was counted.
        """
        if not self.count:
            return {"count": 0, "word_accuracy": None, "normalized_edit_distance": None}
        return {"count": self.count, "word_accuracy": self._correct / self.count,
                "normalized_edit_distance": self._normalized / self.count}


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
