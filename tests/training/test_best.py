"""The best checkpoint, and early stopping."""
import json
import os
import types

import numpy as np
import pytest
from experiment import make_experiment, run, write_config

from aster import checkpoint, command
from aster import train as train_command
from aster.compat import tf
from aster.config import ConfigError, read_config
from aster.training.best import BestCheckpoint
from aster.training.loop import train

EVERY_STEP = "save_checkpoint_secs: 1 eval_num_examples: 8 "


@pytest.fixture
def every_step(monkeypatch):
    """Makes training save after each step."""
    from aster.training import stepper
    clock = iter(range(0, 10 ** 6, 10))
    monkeypatch.setattr(stepper, "time", types.SimpleNamespace(time=lambda: next(clock)))


def train_with(folder, accuracies, num_steps=20, options=EVERY_STEP):
    """Trains with these word accuracies as the results of evaluations. Returns the last step."""
    write_config(str(folder), num_steps=num_steps, train=options)
    results = iter(accuracies)
    return train(read_config(str(folder)), str(folder), evaluate=lambda path: next(results))


def best(folder):
    return checkpoint.step_of(command.find_checkpoint(str(folder), "best"))


def test_the_best_checkpoint_stays(tmp_path, every_step):
    make_experiment(tmp_path)
    assert train_with(tmp_path, [0.2, 0.5, 0.5, 0.4, 0.1, 0.0, 0.3, 0.2, 0.1, 0.1], num_steps=10) == 10
    steps = [checkpoint.step_of(path) for path in checkpoint.list_checkpoints(str(tmp_path / "log"))]
    assert best(tmp_path) == 2 and 2 not in steps and len(steps) == 5
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        checkpoint.restore(session, command.find_checkpoint(str(tmp_path), "best"), [step])
        assert session.run(step) == 2
    files = sorted(os.listdir(str(tmp_path / "log" / "best")))
    assert files == ["best.json", "checkpoint", "model.ckpt-2.characters.json", "model.ckpt-2.data-00000-of-00001",
                     "model.ckpt-2.index"]
    assert json.loads((tmp_path / "log" / "best" / "best.json").read_text()) == {
        "step": 2, "word_accuracy": 0.5, "evaluations_since": 8}
    assert train_with(tmp_path, [0.4, 0.6], num_steps=12) == 12  # a run that is resumed knows it
    assert best(tmp_path) == 12


def test_only_its_own_checkpoints_are_deleted(tmp_path, every_step):
    make_experiment(tmp_path)
    folder = tmp_path / "log" / "best"
    folder.mkdir(parents=True)
    for name in "favourite-3.index", "favourite-3.data-00000-of-00001":
        (folder / name).write_bytes(b"somebody's")
    assert train_with(tmp_path, [0.2, 0.5], num_steps=2) == 2
    assert (folder / "favourite-3.index").read_bytes() == b"somebody's"
    assert not (folder / "model.ckpt-1.index").exists() and (folder / "model.ckpt-2.index").exists()


def test_what_lies_behind_a_link_is_not_touched(tmp_path, every_step, caplog):
    make_experiment(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "best.json").write_text('{"step": 5, "word_accuracy": 0.1, "evaluations_since": 0}')
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "best").symlink_to(other)
    assert train_with(tmp_path, [0.2, 0.5], num_steps=2) == 2
    assert [path.name for path in other.iterdir()] == ["best.json"] and "0.1" in (other / "best.json").read_text()
    assert "it is a link, and nothing is kept there" in caplog.text


def test_a_kill_between_two_files_loses_no_best_checkpoint(tmp_path, every_step, monkeypatch):
    """What is recorded as the best is there, wherever the process stops."""
    from aster.training import best as best_module
    make_experiment(tmp_path)
    assert train_with(tmp_path, [0.5, 0.4], num_steps=2) == 2

    def killed(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(best_module, "write_list", killed)
    with pytest.raises(KeyboardInterrupt):
        BestCheckpoint(str(tmp_path / "log"), 2).update(str(tmp_path / "log" / "model.ckpt-2"), 0.9)
    assert BestCheckpoint(str(tmp_path / "log"), 2).step == 2 and best(tmp_path) == 2


def test_a_new_training_beside_the_best_of_an_earlier_one(tmp_path, every_step, caplog):
    make_experiment(tmp_path)
    options = EVERY_STEP + "early_stopping_evaluations: 2"
    assert train_with(tmp_path, [0.5, 0.2, 0.1], options=options) == 3
    for path in (tmp_path / "log").iterdir():
        if path.is_file():
            path.unlink()
    assert train_with(tmp_path, [0.3, 0.6], num_steps=2, options=options) == 2 and best(tmp_path) == 2
    assert "is of an earlier training, since this one starts at step 0" in caplog.text


def test_early_stopping(tmp_path, every_step, caplog):
    caplog.set_level("INFO")
    make_experiment(tmp_path)
    options = EVERY_STEP + "early_stopping_evaluations: 3"
    assert train_with(tmp_path, [0.2, 0.1, 0.3, 0.3, 0.2, 0.1, 0.9], options=options) == 6
    message = ("stopped early: 3 evaluations in a row have not raised the word accuracy (early_stopping_evaluations); "
               "the best checkpoint is that of step 3, with 30.00 %, in ")
    assert message in caplog.text and best(tmp_path) == 3
    caplog.clear()
    assert train_with(tmp_path, [], options=options) == 6 and message in caplog.text
    assert train_with(tmp_path, [0.4, 0.1], num_steps=8) == 8  # without the field it goes on


def test_what_goes_wrong_with_it_does_not_end_training(tmp_path, every_step, caplog):
    make_experiment(tmp_path)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "best").write_text("a file in the place of the folder")
    assert train_with(tmp_path, [0.2, 0.5], num_steps=2) == 2
    assert "training goes on" in caplog.text and (tmp_path / "log" / "best").is_file()


@pytest.mark.parametrize("content", ["", "{}", '{"step": "x"}', "[1]", "\xff", "[" * 10000,
                                     '{"step": 1, "word_accuracy": NaN, "evaluations_since": 0}',
                                     '{"step": 1, "word_accuracy": 0.5, "evaluations_since": 1e400}'])
def test_a_damaged_record_is_told(tmp_path, caplog, content):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "best.json").write_bytes(content.encode("latin-1"))
    found = BestCheckpoint(str(tmp_path))
    assert (found.step, found.evaluations_since) == (None, 0) and "can't be read" in caplog.text


def test_which_checkpoint_a_command_uses(tmp_path, every_step):
    folder = make_experiment(tmp_path)
    train_with(tmp_path, [0.5, 0.2, 0.1], num_steps=3)
    log = os.path.join(folder, "log")
    for choice, path in ((None, "model.ckpt-3"), ("2", "model.ckpt-2"), ("best", "best/model.ckpt-1"),
                         (os.path.join(log, "model.ckpt-1"), "model.ckpt-1"),
                         (os.path.join(log, "model.ckpt-1.index"), "model.ckpt-1"), (log, "model.ckpt-3")):
        assert command.find_checkpoint(folder, choice) == os.path.join(log, path)
    for choice, words in (("7", "no checkpoint of step 7; there are: 1, 2, 3"), ("nowhere", "no such checkpoint")):
        with pytest.raises(checkpoint.CheckpointError, match=words):
            command.find_checkpoint(folder, choice)
    other = make_experiment(tmp_path / "other")
    with pytest.raises(checkpoint.CheckpointError, match="no best checkpoint. Training keeps one where"):
        command.find_checkpoint(other, "best")


def test_the_command_keeps_the_best(tmp_path):
    folder = make_experiment(tmp_path, num_steps=2, train="eval_num_examples: 8")
    assert run(train_command, "--exp_dir", folder) is None
    record = json.loads((tmp_path / "log" / "best" / "best.json").read_text())
    assert record["step"] == 2 and np.isfinite(record["word_accuracy"])


def test_early_stopping_needs_evaluations(tmp_path):
    make_experiment(tmp_path, train="early_stopping_evaluations: 2")
    with pytest.raises(ConfigError, match="early_stopping_evaluations: needs eval_num_examples"):
        read_config(str(tmp_path))
