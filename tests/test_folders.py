"""Folders of experiments with odd names, evaluations whose checkpoint goes, and outputs that would overwrite."""
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from experiment import draw_word, make_experiment, run, write_config

from aster import checkpoint, command, demo, export
from aster import eval as eval_command
from aster import train as train_command
from aster.evaluation import evaluator
from aster.files import find_matches
from aster.training.lock import only_training

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

import pack_model  # noqa: E402


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An experiment in a folder whose name has every character that is special somewhere."""
    folder = make_experiment(tmp_path_factory.mktemp("experiments") / "e[1] *?\\:,'ü漢")
    for steps in 3, 5:
        assert run(train_command, "--exp_dir", folder, "--clone_on_cpu", "--set",
                   f"train_config {{ num_steps: {steps} }}") is None
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    folder = str(tmp_path / "copy")
    shutil.copytree(trained, folder)
    return folder


def log_of(folder):
    return os.path.join(folder, "log")


def test_every_command_works_in_a_folder_of_any_name(trained, tmp_path):
    assert [os.path.basename(path) for path in checkpoint.list_checkpoints(log_of(trained))] == [
        "model.ckpt-3", "model.ckpt-5"]
    assert run(eval_command, "--exp_dir", trained, "--norepeat", "--json", tmp_path / "[a]*.json") is None
    assert json.loads((tmp_path / "[a]*.json").read_text())["global_step"] == 5
    image = tmp_path / "one.jpg"
    image.write_bytes(draw_word("one"))
    packed, exported = str(tmp_path / "p[1]*"), str(tmp_path / "x[1]*")
    assert run(pack_model, "--exp_dir", trained, "--output_dir", packed) is None
    assert run(export, "--exp_dir", packed, "--output", exported) is None
    readings = []
    for exp_dir in trained, packed:
        assert run(demo, "--exp_dir", exp_dir, "--input_image", image, "--json", tmp_path / "[b]*.json") is None
        readings += json.loads((tmp_path / "[b]*.json").read_text())
    assert readings[0]["text"] == readings[1]["text"]
    assert readings[0]["score"] == pytest.approx(readings[1]["score"], abs=0.05)  # packed parameters are float16

    second = make_experiment(tmp_path / "second")
    path = os.path.join(log_of(trained), "model.ckpt-3").replace("\\", "\\\\").replace("'", "\\'")
    assert run(train_command, "--exp_dir", second, "--set",
               f"train_config {{ num_steps: 1 fine_tune_checkpoint: '{path}' }}") is None


def test_patterns_of_data_in_a_folder_of_any_name(trained):
    assert run(eval_command, "--exp_dir", trained, "--norepeat", "--set",
               "eval_input_reader { tf_record_input_reader { input_path: 'data/w*.tfrecord' } }") is None


# Evaluation

def test_a_checkpoint_that_goes_during_its_evaluation(copied, tmp_path, monkeypatch):
    class Recognizer(evaluator.Recognizer):
        def __enter__(self):
            for name in os.listdir(log_of(copied)):
                if name.startswith("model.ckpt-5"):
                    os.remove(os.path.join(log_of(copied), name))
            return super().__enter__()
    monkeypatch.setattr(evaluator, "Recognizer", Recognizer)
    assert run(eval_command, "--exp_dir", copied, "--norepeat", "--json", tmp_path / "f.json") is None
    assert json.loads((tmp_path / "f.json").read_text())["global_step"] == 5


@pytest.mark.parametrize("problem", [OSError(30, "Read-only file system"), RuntimeError("a thread died")])
def test_an_evaluation_is_not_lost_by_what_comes_after_it(copied, tmp_path, monkeypatch, capsys, caplog, problem):
    def fail(*_):
        assert json.loads((tmp_path / "f.json").read_text())["global_step"] == 5  # is there before
        raise problem
    monkeypatch.setattr(evaluator, "EventFile", fail)
    assert run(eval_command, "--exp_dir", copied, "--norepeat", "--json", tmp_path / "f.json") is None
    assert "at step 5: word accuracy" in capsys.readouterr().out
    assert "TensorBoard: " in caplog.text and problem.args[-1] in caplog.text


def test_the_follower_goes_on_past_what_is_damaged_or_gone(copied, tmp_path, monkeypatch, caplog):
    log_dir = log_of(copied)
    for step, name in ((5, "index"), (3, "data-00000-of-00001")):
        path = os.path.join(log_dir, f"model.ckpt-{step}.{name}")
        with open(path, "r+b") as stream:
            stream.truncate(os.path.getsize(path) - 1)
    paths = [os.path.join(log_dir, "model.ckpt-5"), os.path.join(log_dir, "model.ckpt-4"),
             os.path.join(log_dir, "model.ckpt-3"), os.path.join(log_dir, "model.ckpt-9")]
    made = make_experiment(tmp_path / "whole", num_steps=1)
    assert run(train_command, "--exp_dir", made) is None
    for name in os.listdir(log_of(made)):
        if name.startswith("model.ckpt-1."):
            shutil.copy(os.path.join(log_of(made), name), os.path.join(log_dir, name.replace("-1.", "-9.", 1)))
    monkeypatch.setattr(command, "find_checkpoint", lambda exp_dir, choice=None: paths.pop(0))
    assert run(eval_command, "--exp_dir", copied, "--json", tmp_path / "f.json", "--set",
               "eval_config { max_evals: 4 eval_interval_secs: 1 }") is None
    assert json.loads((tmp_path / "f.json").read_text())["global_step"] == 1
    assert caplog.text.count("waiting for the next") == 3 and "its files are gone" in caplog.text


def test_a_damaged_newest_checkpoint_says_what_to_do(copied, tmp_path):
    path = os.path.join(log_of(copied), "model.ckpt-5")
    with open(path + ".data-00000-of-00001", "r+b") as stream:
        stream.truncate(1000)
    for module, arguments in ((eval_command, ["--norepeat"]), (export, ["--output", tmp_path / "x"]),
                              (demo, ["--input_image", __file__]), (pack_model, ["--output_dir", tmp_path / "p"])):
        message = run(module, "--exp_dir", copied, *arguments)
        assert message.startswith(f"error: {path}: damaged") and f"move {path}.* to another folder" in message
    for ending in ".index", ".data-00000-of-00001":
        os.rename(path + ending, str(tmp_path / ("moved" + ending)))
    assert run(eval_command, "--exp_dir", copied, "--norepeat") is None


# Training

def test_a_second_training_ends_with_status_1(copied):
    """A process of its own, since a lock does not keep its own process out."""
    with only_training(log_of(copied)):
        second = subprocess.run([sys.executable, "-m", "aster.train", "--exp_dir", copied], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
    assert second.returncode == 1
    assert second.stderr.decode().splitlines()[-1].startswith(
        f"error: {log_of(copied)}: process {os.getpid()} on {socket.gethostname()} is training here")


# Outputs

def test_a_packed_model_overwrites_no_experiment(copied, tmp_path):
    before = sorted(os.walk(copied))
    for output in copied, copied + os.sep, os.path.join(copied, "config", ".."):
        assert "one of the experiments" in run(pack_model, "--exp_dir", copied, "--output_dir", output)
    other = make_experiment(tmp_path / "other")
    for output in other, log_of(copied), os.path.dirname(copied):
        assert "not a packed model" in run(pack_model, "--exp_dir", copied, "--output_dir", output)
    assert sorted(os.walk(copied)) == before
    empty = tmp_path / "empty"
    (empty / "config").mkdir(parents=True)
    for _ in range(2):
        assert run(pack_model, "--exp_dir", copied, "--output_dir", empty) is None
    write_config(str(empty))  # somebody trains it further
    assert "not a packed model" in run(pack_model, "--exp_dir", copied, "--output_dir", empty)


def test_a_pattern_in_a_folder_with_brackets_does_not_find_its_neighbours_files(tmp_path):
    for folder in "run[1]", "run1":
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub" / "a.jpg").write_bytes(b"")
    for pattern in "*.jpg", "?.jpg", "[a-c].jpg":
        assert find_matches(str(tmp_path / "run[1]" / "sub" / pattern)) == [str(tmp_path / "run[1]" / "sub" / "a.jpg")]
    assert find_matches(str(tmp_path / "run[1]" / "**" / "*.jpg"), recursive=True) == [
        str(tmp_path / "run[1]" / "sub" / "a.jpg")]
    assert find_matches(str(tmp_path / "run[0-9]" / "s*" / "*")) == [str(tmp_path / "run1" / "sub" / "a.jpg")]
    assert find_matches(str(tmp_path / "none" / "*")) == [] == find_matches("no such file")
