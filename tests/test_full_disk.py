"""Real full disks: a tmpfs of some megabytes, and a limit on the size of files."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from experiment import make_experiment, write_config
from test_commands import ROOT, run

from aster import eval as eval_command
from aster import export
from aster import train as train_command
from aster.compat import IS_TF1
from aster.config import read_config
from aster.training import progress
from aster.training.loop import train

sys.path.append(os.path.join(ROOT, "tools"))

import pack_model  # noqa: E402

FULL = "No space left on device"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = make_experiment(tmp_path_factory.mktemp("experiment"))
    train(read_config(folder), folder)
    return folder


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 MB."""
    folder = str(tmp_path / "disk")
    os.mkdir(folder)
    try:
        mounted = subprocess.call(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder],
                                  stderr=subprocess.DEVNULL)
    except OSError:
        mounted = 1
    if mounted != 0:
        pytest.skip("a small tmpfs can't be mounted here: it needs root")
    yield folder
    subprocess.check_call(["umount", "--lazy", folder])


def fill(disk, room=0):
    """Leaves only `room` bytes. Returns the file that takes the others."""
    path = os.path.join(disk, "filling")
    for size in 1 << 20, 4096:
        with contextlib.suppress(OSError), open(path, "ab", buffering=0) as stream:
            while stream.write(bytes(size)) == size:
                pass
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) - room)
    return path


def files(folder):
    """{path: size} of all that is in a folder, empty folders included."""
    return {os.path.join(place, name): os.path.getsize(os.path.join(place, name)) if name in names else None
            for place, folders, names in os.walk(folder) for name in folders + names}


@pytest.mark.parametrize("room", [0, 300000])
def test_results_on_a_full_disk(trained, disk, room):
    """Each command says which file it could not write, and leaves nothing of it."""
    fill(disk, room)
    before = files(disk)
    output = os.path.join(disk, "new", "output")
    assert run(export, "--exp_dir", trained, "--output", output) == f"error: {output}: {FULL}"
    if not IS_TF1:
        assert run(export, "--exp_dir", trained, "--output", output + ".onnx") == f"error: {output}.onnx: {FULL}"
    assert run(pack_model, "--exp_dir", trained, "--output_dir", output) == f"error: {output}: {FULL}"
    assert files(disk) == before


def test_an_evaluation_on_a_full_disk(trained, disk, capsys):
    fill(disk)
    before = files(disk)
    result = os.path.join(disk, "result.json")
    assert run(eval_command, "--exp_dir", trained, "--norepeat", "--json", result) == f"error: {result}: {FULL}"
    assert "word accuracy" in capsys.readouterr().out  # at least there
    data = os.path.join(trained, "data", "words.tfrecord")
    assert run(eval_command, "--exp_dir", trained, "--datasets", data, "--report", os.path.join(disk, "report")) == \
        f"error: {os.path.join(disk, 'report', 'report.json')}: {FULL}"
    assert "| all | 8 |" in capsys.readouterr().out
    assert files(disk) == before


@pytest.mark.parametrize("problem", ["full", "read-only"])
def test_an_evaluation_whose_log_can_not_be_written(trained, disk, tmp_path, caplog, problem):
    """The JSON is what was asked for, and the summary for TensorBoard is only said to be missing."""
    experiment = os.path.join(disk, "experiment")
    shutil.copytree(trained, experiment)
    if problem == "full":
        fill(disk)
    else:
        subprocess.check_call(["mount", "-o", "remount,ro", disk])
    result = str(tmp_path / "result.json")
    assert run(eval_command, "--exp_dir", experiment, "--norepeat", "--json", result) is None
    with open(result) as stream:
        assert json.load(stream)["count"] == 8
    assert f"no summary for TensorBoard: {os.path.join(experiment, 'log', 'eval')}" in caplog.text


def test_training_on_a_disk_that_becomes_full(trained, disk, monkeypatch, caplog):
    """It goes on, tries to save when SIGTERM comes, ends with one sentence, and goes on later from what is whole."""
    experiment = os.path.join(disk, "experiment")
    shutil.copytree(trained, experiment)
    write_config(experiment, num_steps=100000, train="save_checkpoint_secs: 1 save_summaries_steps: 1")
    update, filling = progress.Progress.update, []

    def updated(self, step, *arguments):
        update(self, step, *arguments)
        if step == 5:
            filling.append(fill(disk))
        if caplog.text.count("can't save step"):
            os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.setattr(progress.Progress, "update", updated)
    assert run(train_command, "--exp_dir", experiment) == 128 + signal.SIGTERM
    message = caplog.messages[-1]
    assert message.startswith("stopped by SIGTERM: can't save step ") and message.endswith(FULL)
    assert "; training goes on" in caplog.text and "Traceback" not in caplog.text
    monkeypatch.undo()
    os.remove(filling[0])
    assert not [name for name in os.listdir(os.path.join(experiment, "log")) if "tempstate" in name]
    write_config(experiment, num_steps=4)
    assert run(train_command, "--exp_dir", experiment) is None  # from step 3


def test_training_within_a_limit_on_the_size_of_files(tmp_path):
    """As many shared machines have it. The whole command, so that its stderr shows whatever is not a sentence."""
    folder = make_experiment(tmp_path)
    limited = ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50000, resource.RLIM_INFINITY)); "
               "from aster import train; train.cli()")
    done = subprocess.run([sys.executable, "-c", limited, "--exp_dir", folder], cwd=ROOT, universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: can't save step 3 in ") and "File too large" in last
    assert not [name for name in os.listdir(os.path.join(folder, "log")) if "ckpt" in name and "tempstate" in name]
