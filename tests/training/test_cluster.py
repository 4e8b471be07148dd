"""A cluster of real processes on this machine, some of which are killed on the way."""
import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from experiment import WORDS, make_experiment, run

from aster import checkpoint
from aster import eval as eval_command
from aster import train as train_command
from aster.compat import tf
from aster.config import CONFIG_IN_EXP_DIR, read_config

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LONGEST = 180  # seconds; what takes longer hangs
SPY = '''
import json, os
import numpy as np
from aster.compat import tf


def step(folder):
    task = json.loads(os.environ["TF_CONFIG"])["task"]

    def note(image):
        with open(os.path.join(folder, "seen.%s%d" % (task["type"], task["index"])), "a") as stream:
            stream.write("%.3f\\n" % image.sum())
        return image

    def see(image):
        seen = tf.py_func(note, [image], tf.float32)
        seen.set_shape(image.shape)
        return seen
    return see
'''


def make(folder, num_steps, spy=False, train=""):
    """An experiment whose processes start soon: without a rectifier."""
    if spy:
        (folder / "spy.py").write_text(SPY)
        arguments = f'args {{ name: "folder" text: "{folder}" }}'
        train += f'data_augmentation_options {{ custom {{ factory: "spy:step" {arguments} }} }} '
    path = make_experiment(folder, num_steps=num_steps, eval="num_examples: 8", train=train + (
        "save_checkpoint_secs: 1 startup_delay_steps: 1 cluster_timeout_secs: 60 seed: 1"))
    file = os.path.join(path, CONFIG_IN_EXP_DIR)
    with open(file) as stream:
        text = stream.read().replace("target_height: 64 target_width: 256", "target_height: 32 target_width: 96")
        text = re.sub(r"(?s)spatial_transformer \{.*?\"slope\" \}", "", text)
    with open(file, "w") as stream:
        stream.write(text)
    read_config(path)
    return path


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return addresses


def wait_until(is_done, what):
    until = time.time() + LONGEST
    while not is_done():
        assert time.time() < until, f"waited too long until {what()}"
        time.sleep(0.1)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


class Processes:
    """Processes with a log each."""

    def __init__(self, folder, logs, options=(), addresses=None):
        self.folder, self.logs, self.running, self.options = folder, str(logs), {}, options
        chief, ps, *workers = free_addresses(4)
        self.addresses = addresses or {"chief": [chief], "ps": [ps], "worker": workers}

    def start(self, *tasks):
        for task in tasks:
            job, index = re.fullmatch(r"(\D+)(\d+)", task).groups()
            self.open(task, "-m", "aster.train", "--trust", "--clone_on_cpu", *self.options, TF_CONFIG=json.dumps(
                {"cluster": self.addresses, "task": {"type": job, "index": int(index)}}))

    def open(self, name, *arguments, **environment):
        with open(self._path(name), "ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments, "--exp_dir", self.folder], env=dict(os.environ, **environment), cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _path(self, name):
        return os.path.join(self.logs, name + ".log")

    def log(self, name):
        return read(self._path(name))

    def wait_for(self, name, words, times=1):
        """Waits until the log of a process has some words so many times."""
        def is_done():
            if self.log(name).count(words) >= times:
                return True
            assert self.running[name].poll() is None, f"{name} has ended: {self.log(name)}"
            return False
        wait_until(is_done, lambda: f"{name} says {words!r}: {self.log(name)}")

    def kill(self, name):
        self.running[name].kill()
        assert self.running[name].wait() == -signal.SIGKILL

    def status(self, name):
        wait_until(lambda: self.running[name].poll() is not None, lambda: f"{name} ends: {self.log(name)}")
        return self.running[name].returncode

    def end(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def processes(tmp_path):
    """A function of an experiment's folder that makes its Processes, which end with the test."""
    made = []

    def make_processes(folder):
        made.append(Processes(folder, tmp_path))
        return made[-1]
    yield make_processes
    for each in made:
        each.end()


def last_step(folder):
    paths = checkpoint.list_checkpoints(os.path.join(folder, "log"))
    return checkpoint.step_of(paths[-1]) if paths else -1


def stored_step(folder):
    """The global step in the last checkpoint. Others make steps while the chief saves, so that its name may be less."""
    path = checkpoint.find_checkpoint(os.path.join(folder, "log"))
    return int(tf.train.NewCheckpointReader(path).get_tensor("global_step"))


def wait_for_checkpoint(folder, after):
    wait_until(lambda: last_step(folder) > after, lambda: f"there is a checkpoint after step {after}")


def resumed_steps(log):
    return [int(step) for step in re.findall(r"resumed from .*model\.ckpt-(\d+)", log)]


def test_one_of_each_is_killed(tmp_path, processes):
    (tmp_path / "e").mkdir()
    folder = make(tmp_path / "e", 1000000, spy=True)
    cluster = processes(folder)
    everyone = ["ps0", "chief0", "worker0", "worker1"]
    cluster.start(*everyone)
    cluster.wait_for("worker0", "takes part")
    cluster.wait_for("worker1", "takes part")
    wait_for_checkpoint(folder, -1)

    cluster.kill("worker1")
    cluster.start("worker1")  # it joins again, and nobody else is disturbed
    cluster.wait_for("worker1", "takes part", times=2)
    assert cluster.log("worker0").count("takes part") == 1 and cluster.running["chief0"].poll() is None
    wait_for_checkpoint(folder, last_step(folder))

    cluster.kill("chief0")
    saved = last_step(folder)
    cluster.wait_for("worker0", "the chief at 127.0.0.1")  # it says whom it waits for
    assert last_step(folder) == saved
    cluster.start("chief0")
    cluster.wait_for("chief0", "resumed from")
    assert resumed_steps(cluster.log("chief0")) == [saved]
    cluster.wait_for("worker0", "takes part", times=2)
    cluster.wait_for("worker1", "takes part", times=3)
    wait_for_checkpoint(folder, saved)

    cluster.kill("ps0")
    for name in everyone[1:]:
        assert cluster.status(name) == 1
        assert "lost ps 0 at 127.0.0.1:" in cluster.log(name) and "Traceback" not in cluster.log(name)
    saved, stored = last_step(folder), stored_step(folder)

    file = os.path.join(folder, CONFIG_IN_EXP_DIR)
    with open(file) as stream:
        text = stream.read().replace("1000000", str(stored + 30))
    with open(file, "w") as stream:
        stream.write(text)
    cluster.start(*everyone)
    assert [cluster.status(name) for name in everyone] == [0] * 4, [cluster.log(name) for name in everyone]
    assert resumed_steps(cluster.log("chief0"))[1:] == [saved]
    assert stored + 30 <= last_step(folder) <= stored + 33  # each of the others may have been within a step

    losses = [float(loss) for loss in re.findall(r"step [\d/]+  loss ([\d.]+)", cluster.log("chief0"))]
    assert losses[-1] < 0.8 * losses[0]
    seen = [set(read(path).split()) for path in sorted(glob.glob(os.path.join(folder, "seen.*")))]
    assert [len(part) for part in seen] == [3, 3, 2] and len(set.union(*seen)) == len(WORDS)
    assert run(eval_command, "--exp_dir", folder, "--norepeat", "--trust", "--set",
               f"eval_config {{ num_examples: {len(WORDS)} }}") is None


def test_launch_trains_synchronously_and_one_machine_goes_on(tmp_path, processes, caplog):
    (tmp_path / "e").mkdir()
    folder = make(tmp_path / "e", 12, train="sync_replicas: true replicas_to_aggregate: 2 ")
    launched = processes(folder)
    launched.open("launch", "-m", "aster.launch", "--num_ps", "2", "--num_workers", "1", "--num_steps", "10",
                  "--clone_on_cpu")
    assert launched.status("launch") == 0, launched.log("launch")
    log = launched.log("launch")
    assert "chief: this is the chief of 2 workers, each step of 2 of their gradients" in log
    assert "ps 1: ps 1 holds parameters" in log and "worker 0: step 10 is reached" in log and last_step(folder) == 10
    assert run(train_command, "--exp_dir", folder, "--clone_on_cpu") is None and last_step(folder) == 12
    assert "its place in the data is not saved" in caplog.text and "start anew" not in caplog.text


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as stream:
        return [int(number) for number in stream.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.exists(f"/proc/self/task/{os.getpid()}/children"), reason="needs Linux")
@pytest.mark.parametrize("number, words", [(signal.SIGTERM, "chief: step "), (signal.SIGKILL, "ps 0: ps 0 holds")])
def test_nothing_is_left_of_a_launch(tmp_path, processes, number, words):
    (tmp_path / "e").mkdir()
    folder = make(tmp_path / "e", 1000000)
    launched = processes(folder)
    launched.open("launch", "-m", "aster.launch", "--clone_on_cpu")
    launched.wait_for("launch", words)
    started = children(launched.running["launch"])
    assert len(started) >= 3
    launched.running["launch"].send_signal(number)
    assert launched.status("launch") == (143 if number == signal.SIGTERM else -number)
    wait_until(lambda: not any(map(is_alive, started)), lambda: f"these end: {started}")
    if number == signal.SIGTERM:
        assert f"chief: stopped by SIGTERM at step {last_step(folder)};" in launched.log("launch")  # it has saved


@pytest.mark.skipif(not os.path.exists(f"/proc/self/task/{os.getpid()}/children"), reason="needs Linux")
def test_a_launch_ends_with_the_process_that_fails(tmp_path, processes):
    (tmp_path / "e").mkdir()
    launched = processes(make(tmp_path / "e", 1000000))
    launched.open("launch", "-m", "aster.launch", "--clone_on_cpu")
    launched.wait_for("launch", "chief: step ")
    started = children(launched.running["launch"])
    ps, = [pid for pid in started if '"type": "ps"' in read(f"/proc/{pid}/environ")]
    os.kill(ps, signal.SIGKILL)
    assert launched.status("launch") == 128 + signal.SIGKILL and not any(map(is_alive, started))
    assert "ps 0 ended by SIGKILL, and the other processes were ended" in launched.log("launch")


def test_a_worker_without_a_cluster_says_whom_it_waits_for(tmp_path, processes):
    (tmp_path / "e").mkdir()
    folder = make(tmp_path / "e", 10)
    cluster = processes(folder)
    task = {"cluster": cluster.addresses, "task": {"type": "worker", "index": 0}}
    cluster.open("worker0", "-m", "aster.train", "--set", "train_config { cluster_timeout_secs: 1 }",
                 TF_CONFIG=json.dumps(task))
    assert cluster.status("worker0") == 1
    whom = f"ps 0 at {cluster.addresses['ps'][0]}, the chief at {cluster.addresses['chief'][0]}"
    assert f"waiting for {whom}, for 1 s at most" in cluster.log("worker0")
    assert f"waited 1 s for {whom}, which can't be reached" in cluster.log("worker0")
