"""Divergence that stays finite, against losses whose course is known."""
import itertools
import os
import time

import numpy as np
import pytest
from experiment import make_experiment, write_config

from aster.compat import tf
from aster.config import read_config
from aster.training import TrainingStopped
from aster.training.divergence import FOLDER, CheckpointKeeper, DivergenceWatch, share_far_outside
from aster.training.loop import train

HUGE_RATE = "adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 1e6 } } }"


def first_problem(losses, far=0.0, **options):
    """(step, problem) of the first divergence, or None."""
    watch = DivergenceWatch(**options)
    for step, loss in enumerate(losses, 1):
        problem = watch.update(loss, far)
        if problem:
            return step, problem
    return None


def noisy(mean, steps, seed=0):
    """Losses of small batches: heavy tails, a fifth to five times the mean."""
    return list(mean * np.exp(np.random.RandomState(seed).normal(-0.3, 0.8, steps)))


@pytest.mark.parametrize("losses", [
    [14.0] * 500, list(np.linspace(14, 0.1, 1000)), noisy(0.1, 3000), [14.0] + noisy(40.0, 30) + noisy(10.0, 300),
    list(np.linspace(14, 0.1, 300)) + noisy(0.3, 3000), [14.0] * 200 + [1e6, 1e6] + [10.0] * 300,
    list(np.linspace(14, 2, 300)) + [6.0] * 300, [-1.0] * 200 + [5.0] * 200])
def test_what_is_no_divergence(losses):
    assert first_problem(losses, is_new=True) is None


@pytest.mark.parametrize("losses, step", [
    ([14.0] + [7e3] * 100, 6),  # far beyond the limit: at once
    ([14.0] + [35.0] * 200, 81), (list(np.linspace(14, 0.1, 300)) + [12.0] * 200, None),
    (list(np.linspace(14, 2, 300)) + list(np.linspace(2, 13, 300)), None)])
def test_a_loss_that_runs_away(losses, step):
    at, problem = first_problem(losses, is_new=True)
    assert step is None or at == step
    assert "the loss is " in problem and "14 at the start" in problem


def test_the_history_counts_when_a_training_goes_on():
    assert first_problem(noisy(9.0, 300)) is None  # nobody knows what it was
    assert first_problem(noisy(9.0, 300), history=[14.0, 0.5, 0.1]) is not None
    assert DivergenceWatch([14.0, 0.5, 9.0]).diverged and not DivergenceWatch([14.0, 0.5, 1.0]).diverged


@pytest.mark.parametrize("losses, step", [
    ([0.02] + noisy(0.4, 3000), None), ([1.5] + noisy(9.0, 3000), None), ([-1.0] + [5.0] * 300, None),
    ([0.5] + [1e7] * 20, 6), ([0.02] + [14.0] * 100, 9), ([0.5] * 99 + [1e7] * 6, 104)])
def test_without_a_history_the_first_loss_counts(losses, step):
    """Such as that of a warm start, or where log/progress.csv is lost."""
    found = first_problem(losses)
    assert (found and found[0]) == step
    assert not found or f"it was {losses[0]} at the start" in found[1]


def test_it_is_said_once_and_again_after_a_recovery():
    watch = DivergenceWatch(is_new=True)
    said = [step for step, loss in enumerate([14.0] + [1e3] * 300 + [14.0] * 300 + [1e3] * 100) if watch.update(loss)]
    assert len(said) == 2 and said[1] > 600


def test_control_points_that_run_away():
    assert first_problem([14.0] * 300, far=0.3, is_new=True) is None
    step, problem = first_problem([14.0] * 300, far=0.9, is_new=True)
    assert step == 56 and problem.startswith("90 % of the control points")
    points = [[[0.5, 0.5], [-0.9, 1.9], [2.1, 0.5], [0.5, -40.0]]]
    with tf.Graph().as_default(), tf.Session() as session:
        assert session.run(share_far_outside(tf.constant(points))) == 0.5


def saved_steps(folder):
    return sorted(int(name.split("-")[1].split(".")[0]) for name in os.listdir(folder)
                  if name.endswith(".index") and name.startswith("model.ckpt"))


def test_divergence_warns_and_keeps_what_was_good(tmp_path, caplog, monkeypatch):
    """At a learning rate of a million, training goes on, or stops where it is told to. What was good stays."""
    clock = itertools.count(int(time.time()), 2)  # seconds, so that every step is saved
    monkeypatch.setattr(time, "time", lambda: next(clock))
    folder = make_experiment(tmp_path)
    log_dir = os.path.join(folder, "log")
    train(read_config(folder), folder)
    good = value(log_dir, "model.ckpt-3")

    options = dict(num_steps=14, optimizer=HUGE_RATE, train="save_checkpoint_secs: 1")
    write_config(folder, **options)
    assert train(read_config(folder), folder) == 14
    assert caplog.text.count("training has diverged: the loss is") == 1
    assert len(saved_steps(log_dir)) == 5 and min(saved_steps(log_dir)) > 9  # all are of no use
    kept = os.path.join(log_dir, FOLDER)
    assert f"the checkpoints of before are kept in {kept}" in caplog.text
    assert 3 in saved_steps(kept) and os.path.exists(os.path.join(kept, "optimizer.ckpt-3.index"))
    assert (value(kept, "model.ckpt-3") == good).all()

    caplog.clear()  # going on from there, it is known, and nothing of it is taken for good
    options["num_steps"] = 16
    write_config(folder, **options)
    train(read_config(folder), folder)
    assert "training had diverged already before step 14" in caplog.text and 14 not in saved_steps(kept)

    for name in os.listdir(log_dir):  # as the documentation says
        if ".ckpt-" in name or name == "checkpoint":
            os.remove(os.path.join(log_dir, name))
    for name in os.listdir(kept):
        if "-3." in name:
            os.rename(os.path.join(kept, name), os.path.join(log_dir, name))
    write_config(folder, **dict(options, train="save_checkpoint_secs: 1000 stop_on_divergence: true"))
    with pytest.raises(TrainingStopped, match=r"^step \d+: training has diverged: .*stop_on_divergence"):
        train(read_config(folder), folder)
    assert saved_steps(log_dir) == [3]


@pytest.mark.parametrize("warm_start", [False, True])
def test_divergence_at_once_without_a_history(tmp_path, caplog, warm_start):
    folder = make_experiment(tmp_path)
    train(read_config(folder), folder)  # too short for progress.csv
    log_dir = os.path.join(folder, "log")
    with open(os.path.join(log_dir, "progress.csv"), "w"):
        pass
    options = "save_checkpoint_secs: 1000 stop_on_divergence: true"
    if warm_start:
        os.rename(log_dir, os.path.join(folder, "old"))
        options += ' fine_tune_checkpoint: "old"'
    write_config(folder, num_steps=100, optimizer=HUGE_RATE, train=options)
    with pytest.raises(TrainingStopped, match=r"^step \d+: training has diverged: the loss is"):
        train(read_config(folder), folder)


def value(folder, name):
    reader = tf.train.NewCheckpointReader(os.path.join(folder, name))
    return reader.get_tensor("Forward/Predictor/decoder/dense/kernel")


def test_keeping_works_without_links(tmp_path, monkeypatch):
    for name in ("model.ckpt-3.index", "model.ckpt-3.data-00000-of-00001", "optimizer.ckpt-3.index",
                 "model.ckpt-31.index"):
        (tmp_path / name).write_bytes(name.encode())

    def fail(*_):
        raise OSError("no links here")
    monkeypatch.setattr(os, "link", fail)
    for _ in range(2):
        keeper = CheckpointKeeper(str(tmp_path))
        assert keeper.keep()
    kept = tmp_path / FOLDER
    assert sorted(os.listdir(str(kept))) == ["model.ckpt-3.data-00000-of-00001", "model.ckpt-3.index",
                                             "model.ckpt-31.index", "optimizer.ckpt-3.index"]
    assert all((kept / name).read_bytes() == name.encode() for name in os.listdir(str(kept)))
    keeper.discard()
    assert not kept.exists() and (tmp_path / "model.ckpt-3.index").exists()
