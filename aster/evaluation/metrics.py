"""Word accuracy and normalized edit distance, as text-recognition papers report them."""
import string
import unicodedata

import editdistance

from aster.data.charset import normalize

_ASCII_ALPHANUMERIC = frozenset(string.digits + string.ascii_letters)


def comparable(text, ascii_only=True):
    """The part of a text that is compared: letters and digits, lower-cased, after NFC normalisation.

    `ascii_only` keeps [0-9a-zA-Z], the protocol of the benchmarks; otherwise letters, marks and digits of any
    alphabet.
    """
    text = normalize(text)
    if ascii_only:
        return "".join(c for c in text if c in _ASCII_ALPHANUMERIC).lower()
    return "".join(c for c in text.lower() if unicodedata.category(c)[0] in "LMN")


def edit_distance(a, b):
    """Insertions, deletions and substitutions of code points that turn one text into the other."""
    return editdistance.eval(a, b)


def align(truth, text):
    """The cheapest way to turn one text into the other, as pairs of characters, "" where one has none."""
    costs = [list(range(len(text) + 1))]
    for i, a in enumerate(truth):
        costs.append([i + 1])
        for j, b in enumerate(text):
            costs[-1].append(min(costs[i][j] + (a != b), costs[i][j + 1] + 1, costs[i + 1][j] + 1))
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
    """Counts texts read against the truth: update, then summary; reset starts anew."""

    def __init__(self, ascii_only=True):
        self._ascii_only = ascii_only
        self.reset()

    def reset(self):
        self.count = self._correct = 0
        self._distance = self._normalized = 0.0

    def update(self, predicted, truth):
        """-> whether `predicted` is right."""
        predicted, truth = (comparable(text, self._ascii_only) for text in (predicted, truth))
        distance = edit_distance(predicted, truth)
        self.count += 1
        self._correct += predicted == truth
        self._distance += distance
        self._normalized += distance / float(max(1, len(truth)))
        return predicted == truth

    def summary(self):
        """count, word_accuracy (0..1), normalized_edit_distance (the mean over words of edit distance / length of the
        truth) and edit_distance (summed). Of no words at all the two means are None."""
        mean = 1.0 / self.count if self.count else None
        return {"count": self.count,
                "word_accuracy": mean and self._correct * mean,
                "normalized_edit_distance": mean and self._normalized * mean,
                "edit_distance": int(self._distance)}
