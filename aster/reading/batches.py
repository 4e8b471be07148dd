"""Splitting a batch between the cores."""
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, Sequence

import numpy as np

from aster.compat import num_gpus, num_threads

_SMALLEST_SHARE = 8  # images; smaller batches are slower split than whole
_SHARES_OF_GPU, _SMALLEST_SHARE_OF_GPU = 2, 64


class BatchSplitter:
    """Runs a function on shares of a batch at the same time.

    On CPUs each core has a share: many operations of a step are too small to occupy all cores, and while one share runs
    such an operation, the others keep the cores busy. A GPU has two shares: it computes one while the other is copied
    to it.

    Args:
      run: a function (images [n, ...], *arguments) that returns a list of n results.

    Attributes:
      pool: the threads, for other work on the batch.
    """

    def __init__(self, run: Callable[..., Sequence[Any]]):
        self._run = run
        self._most, self._smallest = num_threads(), _SMALLEST_SHARE
        if num_gpus():
            self._most, self._smallest = _SHARES_OF_GPU, _SMALLEST_SHARE_OF_GPU
        self.pool = ThreadPoolExecutor(max(self._most, num_threads()))

    def __call__(self, images: np.ndarray, *arguments: Any) -> List[Any]:
        """Runs the function on a batch [B, ...]. Returns the B results in order."""
        count = max(1, min(self._most, len(images) // self._smallest))
        results = self.pool.map(lambda share: self._run(share, *arguments), np.array_split(images, count))
        return [result for share in list(results) for result in share]

    def close(self) -> None:
        """Ends the threads."""
        self.pool.shutdown()
