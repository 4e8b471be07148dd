"""Clusters without parameter servers, of real processes on this machine."""
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from experiment import make_experiment, run
from test_cluster import (
    LONGEST,
    ROOT,
    Processes,
    children,
    free_addresses,
    is_alive,
    last_step,
    make,
    resumed_steps,
    wait_for_checkpoint,
    wait_until,
)

from aster import train as train_command
from aster.compat import HAS_ALL_REDUCE
from aster.training.cluster import ALL_REDUCE, read_cluster

needs_all_reduce = pytest.mark.skipif(not HAS_ALL_REDUCE, reason="needs TensorFlow 2")
MOMENTUM = "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } } "
CASES = [
    dict(num_clones=1, sums=True, norm="regularizer { l2_regularizer { weight: 0.01 } }", num_steps=3,
         train="gradient_clipping_by_global_norm: 1"),
    dict(num_clones=2, sums=False, norm="batch_norm { decay: 0.9 }", num_steps=1, train="sync_batch_norm: true"),
]


@needs_all_reduce
def test_steps_of_two_workers_are_those_of_one_process(tmp_path):
    cases = []
    for i, case in enumerate(CASES):
        (tmp_path / str(i)).mkdir()
        folder = make_experiment(tmp_path / str(i), norm=case["norm"], num_steps=case["num_steps"],
                                 train=case["train"], optimizer=MOMENTUM)
        cases.append(dict(case, folder=folder))
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    script = os.path.join(ROOT, "tests", "training", "steps_of_a_worker.py")

    def start(index, name, addresses):
        return subprocess.Popen([sys.executable, script, str(tmp_path / "cases.json"), str(index),
                                 str(tmp_path / name), *addresses], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    addresses = free_addresses(2)
    processes = [start(0, "one.npz", [])] + [start(i, f"{i}.npz", addresses) for i in range(2)]
    try:
        for process in processes:
            output = process.communicate(timeout=LONGEST)[0].decode("utf-8", "replace")
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
            process.wait()
    one, *both = [np.load(str(tmp_path / name)) for name in ("one.npz", "0.npz", "1.npz")]
    assert len(one.files) > 40 and "1 FeatureExtractor/Convnet/conv1/BatchNorm/moving_mean" in one.files
    for name in one.files:
        np.testing.assert_array_equal(both[0][name], both[1][name], err_msg=name)  # all workers are the same
        if not name.endswith("/Momentum"):  # these are gradients, which rounding changes by more
            np.testing.assert_allclose(one[name], both[0][name], rtol=1e-5, atol=1e-5, err_msg=name)
