"""Clusters without parameter servers, of real processes on this machine."""
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from experiment import make_experiment, run
from steps_of_a_worker import make_config, steps
from test_cluster import (
    LONGEST,
    ROOT,
    Processes,
    free_addresses,
    last_step,
    make,
    read,
    resumed_steps,
    wait_for_checkpoint,
)

from aster import launch as launch_command
from aster import train as train_command
from aster.compat import HAS_ALL_REDUCE, session_config
from aster.config import read_config
from aster.training.all_reduce import check_all_reduce
from aster.training.cluster import ALL_REDUCE, read_cluster
from aster.training.shared_signals import ENDED, SharedSignals

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
    addresses = free_addresses(2)
    processes = [subprocess.Popen([sys.executable, script, str(tmp_path / "cases.json"), str(i),
                                   str(tmp_path / f"{i}.npz"), *addresses],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for i in range(2)]
    try:
        one = {f"{i} {name}": value for i, case in enumerate(cases)
               for name, value in steps(make_config(case), 0, 1, 1, session_config(), "").items()}
        for process in processes:
            output = process.communicate(timeout=LONGEST)[0].decode("utf-8", "replace")
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
            process.wait()
    both = [np.load(str(tmp_path / f"{i}.npz")) for i in range(2)]
    assert set(one) == set(both[0].files) and "1 FeatureExtractor/Convnet/conv1/BatchNorm/moving_mean" in one
    for name, value in one.items():
        if name.endswith("said"):
            assert list(both[1][name]) == [1003, 0]
            continue
        np.testing.assert_array_equal(both[0][name], both[1][name], err_msg=name)  # all workers are the same
        if not name.endswith("/Momentum"):  # these are gradients, which rounding changes by more
            np.testing.assert_allclose(value, both[0][name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.fixture
def experiment(tmp_path):
    """The folder of an experiment, and its Processes, which end with the test."""
    (tmp_path / "e").mkdir()
    folder = make(tmp_path / "e", 1000000)
    chief, worker = free_addresses(2)
    cluster = Processes(folder, tmp_path, ["--strategy", ALL_REDUCE], {"chief": [chief], "worker": [worker]})
    yield folder, cluster
    cluster.end()


@needs_all_reduce
def test_a_killed_worker_ends_all_and_a_signal_of_one_lets_the_chief_save(experiment):
    folder, cluster = experiment
    everyone = ["chief0", "worker0"]
    cluster.start(*everyone)
    wait_for_checkpoint(folder, -1)
    cluster.kill("worker0")
    assert cluster.status("chief0") == 1
    assert f"lost worker 0 at {cluster.addresses['worker'][0]}. Start" in cluster.log("chief0")
    assert "Traceback" not in cluster.log("chief0")
    saved = last_step(folder)

    cluster.start(*everyone)
    cluster.wait_for("chief0", "resumed from")
    assert resumed_steps(cluster.log("chief0")) == [saved]
    wait_for_checkpoint(folder, saved)
    cluster.running["worker0"].send_signal(signal.SIGTERM)
    assert [cluster.status(name) for name in everyone] == [143] * 2, [cluster.log(name) for name in everyone]
    sentence = f"stopped by SIGTERM of worker 0 at step {last_step(folder)}"  # the chief has saved that step
    assert all(sentence in cluster.log(name) for name in everyone)


@needs_all_reduce
def test_launch_trains_without_parameter_servers(experiment):
    folder, cluster = experiment
    cluster.open("launch", "-m", "aster.launch", "--strategy", ALL_REDUCE, "--clone_on_cpu", "--num_steps", "30")
    assert cluster.status("launch") == 0, cluster.log("launch")
    log = cluster.log("launch")
    assert "this is the chief of 2 workers, each step of the gradients of all; it begins at step 0" in log
    assert "worker 0: step 30 is reached" in log and last_step(folder) == 30
    losses = [float(line.split(",")[1]) for line in read(os.path.join(folder, "log", "progress.csv")).split()[1:]]
    first = float(re.search(r"step 1  loss ([\d.]+)", log).group(1))
    assert losses[-1] < 0.95 * first


def test_a_signal_counts_when_all_know_of_it():
    signals = SharedSignals()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (signals.flag, signals.received, signals.number) == (signal.SIGTERM, None, 0)
        signals.agree([0, 0], ["the chief", "worker 0"])
        assert signals.received is None
        signals.agree([0, signals.flag], ["the chief", "worker 0"])
        assert (signals.received, signals.number) == ("SIGTERM of worker 0", signal.SIGTERM)
    finally:
        signals.restore()
    signals = SharedSignals()
    signals.restore()
    signals.agree([ENDED + 3, 0], ["the chief", "worker 0"])
    assert signals.status_of_chief == 3 and signals.received is None


def tf_config(**jobs):
    return json.dumps({"cluster": jobs, "task": {"type": "worker", "index": 1}})


def test_worker_0_is_the_chief_where_there_is_none():
    cluster = read_cluster(tf_config(worker=["a:1", "b:1"]), ALL_REDUCE)
    assert (cluster.chief, cluster.is_chief, cluster.part, cluster.num_workers) == ("worker", False, 1, 2)
    assert cluster.workers == {"the chief": "a:1", "worker 1": "b:1"} and cluster._replace(task=0).is_chief
    assert cluster.others == {"the chief": "a:1"}
    cluster = read_cluster(tf_config(worker=["a:1", "b:1"], chief=["c:1"]), ALL_REDUCE)
    assert cluster.workers == {"the chief": "c:1", "worker 0": "a:1", "worker 1": "b:1"} and cluster.part == 2


@pytest.mark.parametrize("jobs, strategy, problem", [
    (dict(chief=["a:1"], worker=["b:1", "c:1"]), "ps", "no ps; .* --strategy all_reduce"),
    (dict(ps=["a:1"], worker=["b:1", "c:1"]), ALL_REDUCE, "has a ps, and --strategy all_reduce has none"),
    (dict(chief=["a:1", "d:1"], worker=["b:1", "c:1"]), ALL_REDUCE, "one chief")])
def test_jobs_that_do_not_go_with_the_strategy(jobs, strategy, problem):
    with pytest.raises(ValueError, match=problem):
        read_cluster(tf_config(**jobs), strategy)


def test_what_does_not_go_with_all_reduce(tmp_path, monkeypatch):
    folder = make_experiment(tmp_path)
    assert "--num_ps" in run(launch_command, "--exp_dir", folder, "--strategy", ALL_REDUCE, "--num_ps", "1")
    if not HAS_ALL_REDUCE:
        monkeypatch.setenv("TF_CONFIG", tf_config(worker=free_addresses(2)))
        message = run(train_command, "--exp_dir", folder, "--strategy", ALL_REDUCE)
        assert "all_reduce needs TensorFlow 2, and this is 1.4" in message
        return
    config = read_config(folder)
    check_all_reduce(config)
    config.train_input_reader[0].num_epochs = 2
    with pytest.raises(ValueError, match="all_reduce needs data without end"):
        check_all_reduce(config)


@pytest.mark.parametrize("num_workers, gpus", [(1, ["3", "5"]), (2, ["3,5"] * 3)])
def test_each_worker_of_a_launch_has_a_gpu_if_there_are_enough(monkeypatch, num_workers, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    environments = launch_command._environments(0, num_workers)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in environments.values()] == gpus


def test_one_process_trains_by_itself(tmp_path, caplog):
    caplog.set_level("INFO")
    assert run(train_command, "--exp_dir", make_experiment(tmp_path, num_steps=1), "--strategy", ALL_REDUCE) is None
    assert "--strategy all_reduce has no effect, since TF_CONFIG names no other process" in caplog.text
