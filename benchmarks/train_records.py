"""Measures training from TFRecords as `aster.train` does it, beside the same steps on images that are there already.

    python benchmarks/train_records.py BATCH [fp32|bf16] [SECONDS]

Both train the full model, on a GPU if there is one. `ratio_to_step` is the one rate by the other, `waiting` the share
of the time that is spent waiting for data.
"""
import sys
import tempfile
import time
from typing import Callable, List, Tuple

import numpy as np
from common import DEMO, check_precision, demo_config, report, tf
from input import write_records
from train import start, training_step

from aster.training import loop
from aster.training.clones import clone_devices

ROUNDS = 3
AHEAD = 4  # batches that may be made ahead; they are used before the measurement


def main(batch: int, precision: str = "fp32", seconds: float = 20) -> None:
    check_precision(precision)
    with tempfile.TemporaryDirectory() as folder:
        steps = [training_step(demo_config(), batch, precision), step_from_records(folder, batch, precision)]
        rates: List[List[float]] = [[], []]
        shares = []
        for _ in range(ROUNDS):
            for own, step in zip(rates, steps):
                rate, waiting = measure(step, seconds)
                own.append(batch * rate)
            shares.append(waiting)
    alone, from_records = (float(np.median(own)) for own in rates)
    report("train_records", batch, from_records, precision=precision, ratio_to_step=round(from_records / alone, 3),
           step_images_per_second=round(alone, 1), waiting=round(float(np.median(shares)), 3))


def step_from_records(folder: str, batch: int, precision: str) -> Callable:
    """Returns a function that makes a step of the full model and returns the seconds for which it waited for data."""
    config = demo_config()
    config.train_config.batch_size[:] = [batch]
    config.train_config.mixed_precision = precision == "bf16"
    del config.train_input_reader[1:]
    config.train_input_reader[0].tf_record_input_reader.input_path = write_records(folder)
    with tf.Graph().as_default():
        graph = loop.build(config, DEMO, clone_devices(1, on_cpu=False))
        session = start(precision)
        session.run(graph.stream.initializer)
    return lambda: session.run(graph.step)[5]


def measure(step: Callable, seconds: float) -> Tuple[float, float]:
    """-> steps a second, and the share of the time that they waited for data."""
    for _ in range(AHEAD):
        step()
    begin, count, waited = time.time(), 0, 0.0
    while count < 3 or time.time() < begin + seconds:
        waited += step() or 0.0
        count += 1
    elapsed = time.time() - begin
    return count / elapsed, waited / elapsed


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3], *map(float, sys.argv[3:4]))
