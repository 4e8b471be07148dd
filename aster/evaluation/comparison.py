"""Two models side by side: on which words they differ, and whether that is more than chance."""
import collections
import math
from typing import NamedTuple, Tuple

from aster.evaluation.report import Result, Word


class Comparison(NamedTuple):
    """Two models on one data set.

    Attributes:
      data_set: its name.
      first: the first model's name.
      second: the second model's name.
      both: words that both models recognized.
      only_first: words that only the first recognized.
      only_second: words that only the second recognized.
      neither: words that none recognized.
      p_value: the p-value of McNemar's test, whether the two differ by more than chance.
      different: (first's Word, second's Word) where exactly one of them is right.
    """
    data_set: str
    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    different: Tuple[Tuple[Word, Word], ...]


def compare(first: Result, second: Result) -> Comparison:
    """Compares two models on one data set.

    Args:
      first: what the first recognized.
      second: what the second recognized.

    Returns:
      The Comparison.

    Raises:
      ValueError: they were not given the same words.
    """
    pairs = list(zip(first.words, second.words))
    if len(first.words) != len(second.words) or any(a.truth != b.truth for a, b in pairs):
        raise ValueError(f"{first.data_set}: {first.experiment} and {second.experiment} did not read the same words; "
                         "do their preprocessing steps differ?")
    pairs = [(a, b) for a, b in pairs if a.right is not None and b.right is not None]  # without empty truths
    counts = collections.Counter((a.right, b.right) for a, b in pairs)
    return Comparison(first.data_set, first.experiment, second.experiment, counts[True, True], counts[True, False],
                      counts[False, True], counts[False, False], mcnemar(counts[True, False], counts[False, True]),
                      tuple(pair for pair in pairs if pair[0].right != pair[1].right))


def mcnemar(only_first: int, only_second: int) -> float:
    """Computes the p-value of McNemar's exact test, two-sided: are two models equally often right?

    Args:
      only_first: words that only the first model recognized.
      only_second: words that only the second model recognized.

    Returns:
      The probability of a difference at least this large if they are.
    """
    count = only_first + only_second
    # binomial coefficients by their logarithms, which do not overflow
    log_choose = [math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1)
                  for i in range(min(only_first, only_second) + 1)]
    tail = sum(math.exp(value - count * math.log(2)) for value in log_choose)
    return min(1.0, 2 * tail)
