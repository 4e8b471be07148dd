"""Reading a batch in parts, side by side."""
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aster.compat import num_gpus

_SMALLEST_PART = 8  # images


class BatchSplitter:
    """run(images [n, ...], ...) -> a list of n results, for a batch in as many parts at a time as there are cores.

    Much of a step is too small for all cores: while one part makes such an operation, others keep the cores busy. A
    GPU takes a batch whole.
    """

    def __init__(self, run):
        self._run = run
        self._num_threads = 1 if num_gpus() else len(os.sched_getaffinity(0))
        self.pool = ThreadPoolExecutor(self._num_threads)

    def __call__(self, images, *arguments):
        count = max(1, min(self._num_threads, len(images) // _SMALLEST_PART))
        parts = self.pool.map(lambda part: self._run(part, *arguments), np.array_split(images, count))
        return [result for part in list(parts) for result in part]

    def close(self):
        self.pool.shutdown()
