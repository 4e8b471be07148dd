"""Parts of a batch, side by side."""
import contextlib
import threading

import numpy as np
import pytest

from aster.reading import batches


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(batches, "num_threads", lambda: 4)


@pytest.mark.parametrize("gpus, size, parts", [
    (0, 1, 1), (0, 15, 1), (0, 16, 2), (0, 33, 4), (0, 500, 4), (1, 127, 1), (1, 128, 2), (1, 501, 2)])
def test_results_are_in_order(four_cores, monkeypatch, gpus, size, parts):
    monkeypatch.setattr(batches, "num_gpus", lambda: gpus)
    sizes = []

    def run(images):
        sizes.append(len(images))
        return [2 * i for i in images]
    with contextlib.closing(batches.BatchSplitter(run)) as read:
        result = read(np.arange(size))
    assert result == list(range(0, 2 * size, 2))
    assert len(sizes) == parts and max(sizes) - min(sizes) <= 1


def test_parts_run_at_the_same_time(four_cores):
    together = threading.Barrier(4, timeout=60)

    def run(images):
        together.wait()  # breaks unless all four are there
        return images
    with contextlib.closing(batches.BatchSplitter(run)) as read:
        assert len(read(np.arange(32))) == 32


def test_an_error_of_a_part_is_that_of_the_batch(four_cores):
    def run(images):
        if 20 in images:
            raise ValueError("part of 20")
        return images
    with contextlib.closing(batches.BatchSplitter(run)) as read, pytest.raises(ValueError, match="part of 20"):
        read(np.arange(32))
