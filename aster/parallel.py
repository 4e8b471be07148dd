"""Reading a batch in parts, side by side."""
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from aster.compat import num_gpus

_SMALLEST_PART = 8  # images


class InParts(object):
    """run(images [n, ...]) -> {name: array [n, ...]}, for a batch in as many parts at a time as there are cores.

    Much of a step is too small for all cores: while one part makes such an operation, others keep the cores busy. A
    GPU takes a batch whole.
    """

    def __init__(self, run):
        self._run = run
        self._num_threads = 1 if num_gpus() else len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._num_threads)

    def __call__(self, images):
        count = max(1, min(self._num_threads, len(images) // _SMALLEST_PART))
        results = list(self._pool.map(self._run, np.array_split(images, count)))
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

    def close(self):
        self._pool.shutdown()
