"""What goes wrong in a cluster and in its launch, with few processes."""
import json
import os
import signal
import socket
import sys
import threading
import time
import types

import pytest
from experiment import make_experiment
from test_cluster import free_addresses

from aster import launch
from aster.compat import tf
from aster.config import read_config
from aster.training import TrainingStopped, distributed, parameter_server, reach
from aster.training.cluster import Cluster, read_cluster
from aster.training.shared_signals import SharedSignals
from aster.training.signals import Signals
from aster.training.worker import Worker, train_as_worker


@pytest.fixture
def acted():
    """The signals that did what they did before the test's Signals, which is to be in this list."""
    numbers = []
    previous = {number: signal.signal(number, lambda number, _: numbers.append(number))
                for number in (signal.SIGINT, signal.SIGTERM)}
    yield numbers
    for number, action in previous.items():
        signal.signal(number, action)


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # or it comes once


@pytest.mark.parametrize("make", [Signals, SharedSignals])
def test_the_sigterms_of_a_killed_parent_are_one(acted, monkeypatch, make):
    signals = make()
    send(signal.SIGTERM, signal.SIGTERM, signal.SIGTERM)
    assert (signals.flag if make is SharedSignals else signals.number) == signal.SIGTERM and acted == []
    monkeypatch.setattr("aster.training.signals._SECONDS_OF_ONE_SIGTERM", 0.0)
    send(signal.SIGTERM)  # some time later
    assert acted == [signal.SIGTERM]
    signals.restore()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_acts_at_once(acted, first):
    signals = Signals()
    send(first, signal.SIGINT)
    assert signals.number == first and acted == [signal.SIGINT]
    signals.restore()
    send(signal.SIGTERM)
    assert acted == [signal.SIGINT, signal.SIGTERM]


def processes(*names, script):
    return launch._Processes([sys.executable, "-c", script], {name: dict(os.environ) for name in names})


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device")])
def test_a_launch_whose_output_can_not_be_written_goes_on(monkeypatch, error):
    def write(_):
        raise error
    monkeypatch.setattr(launch.sys, "stderr", types.SimpleNamespace(buffer=types.SimpleNamespace(write=write)))
    processes("chief", script="import signal; signal.alarm(10); print(('x' * 99 + '\\n') * 10000)").run(5.0)


def test_ctrl_c_while_a_launch_starts(monkeypatch):
    made = processes("chief", "worker 0", "ps 0", script="import time; time.sleep(60)")
    start = made._start

    def start_and_interrupt(name, environment):
        process = start(name, environment)
        if len(made._processes) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return process
    monkeypatch.setattr(made, "_start", start_and_interrupt)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingStopped, match=r"stopped by Ctrl-C") as stopped:
        made.run(30.0)
    assert stopped.value.status == 130 and signal.getsignal(signal.SIGINT) is before
    assert [process.returncode for process in made._processes.values()] == [-signal.SIGTERM] * 2


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64, "a\0b", "a*b"])
def test_a_host_that_can_not_be_one_is_named(host):
    text = json.dumps({"cluster": {"chief": ["a:1"], "ps": [f"{host}:2222"]}, "task": {"type": "chief", "index": 0}})
    with pytest.raises(ValueError, match=r"TF_CONFIG: cluster.ps\[0\] is .*:2222', and .* is not the name of a host"):
        read_cluster(text)


def test_real_names_of_hosts():
    hosts = ["node-1.example.org.", "my_pod.aster", "127.0.0.1", "[::1]", "b\u00fccher.example"]
    text = json.dumps({"cluster": {"chief": ["a:1"], "ps": [f"{host}:2222" for host in hosts]},
                       "task": {"type": "chief", "index": 0}})
    assert read_cluster(text).num_workers == 1
    assert not reach.is_reachable("a..b:1")


class Clock:
    """The time of aster.training.reach."""
    sleep = staticmethod(time.sleep)

    def __init__(self):
        self.stopped = 0.0  # seconds in which this process did not run

    def time(self):
        return time.time() + self.stopped

    def monotonic(self):
        return time.monotonic() + self.stopped


@pytest.fixture
def clock(monkeypatch):
    """A Clock, in use."""
    made = Clock()
    monkeypatch.setattr(reach, "time", made)
    return made


def test_the_time_of_a_stopped_process_does_not_count(clock):
    def call():
        time.sleep(0.3)
        clock.stopped = 100.0
        time.sleep(0.5)
        return 7
    assert reach.call_patiently(call, seconds=10.0) == 7


def test_a_watch_looks_again_after_a_stop(clock, monkeypatch):
    looked, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def look(_):
        looked.release()
        go_on.acquire()
        return False
    monkeypatch.setattr(reach, "is_reachable", look)
    watch = reach.Watch({"ps 0": "a:1"})
    go_on.release()
    for _ in range(2):  # the second look begins
        looked.acquire()
    clock.stopped = 100.0
    assert not watch.missing()
    go_on.release()
    looked.acquire()  # the third one
    assert watch.missing() == {"ps 0": "a:1"}


def test_a_signal_goes_before_a_timeout():
    def late(_):
        raise tf.errors.DeadlineExceededError(None, None, "no answer for 10 s")
    session = types.SimpleNamespace(run=late, give_up=lambda: False)
    signals = types.SimpleNamespace(is_late=lambda _: False, received="SIGTERM")
    assert distributed._run_step_of_chief(session, [], signals, None) is None
    signals.received = None
    with pytest.raises(tf.errors.DeadlineExceededError):
        distributed._run_step_of_chief(session, [], signals, None)


@pytest.fixture
def silent():
    """The address of something that listens and never answers."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(64)
        yield f"127.0.0.1:{opened.getsockname()[1]}"


def make_worker(folder, address):
    cluster = Cluster({"chief": [address], "ps": [address], "worker": ["127.0.0.1:1"]}, "worker", 0)
    worker = Worker(None, read_config(make_experiment(folder)), str(folder), cluster, [])
    worker._signals = types.SimpleNamespace(received=None, number=0)
    return worker


def test_a_parameter_server_that_does_not_answer_is_named(silent, monkeypatch):
    ps, chief = free_addresses(2)
    cluster = Cluster({"chief": [chief], "ps": [ps, silent]}, "chief", 0)
    parameter_server.start_server(cluster._replace(job="ps"))
    server = parameter_server.start_server(cluster)
    monkeypatch.setattr(parameter_server, "_SECONDS_TO_ANSWER", 2.0)
    error = tf.errors.DeadlineExceededError(None, None, "no answer for 10 s")
    sentence = str(distributed.describe_loss(error, server, cluster, 10.0))
    assert f"something listens for ps 1 at {silent}, but does not answer as a parameter server" in sentence


def test_a_worker_does_not_join_a_parameter_server_that_does_not_answer(tmp_path, silent, monkeypatch):
    monkeypatch.setattr("aster.training.worker.find_silent", lambda *_: {"ps 0": silent})
    monkeypatch.setattr(distributed, "find_silent", lambda *_: {"ps 0": silent})
    worker = make_worker(tmp_path, silent)
    with pytest.raises(TrainingStopped, match="^something listens for ps 0 at "):
        worker._explain_loss(tf.errors.UnavailableError(None, None, "Failed parsing HTTP/2"))


def test_a_worker_with_another_configuration_ends(tmp_path, silent):
    ps, worker = free_addresses(2)
    cluster = Cluster({"chief": [silent], "ps": [ps], "worker": [worker]}, "worker", 0)
    folder = make_experiment(tmp_path, train="cluster_timeout_secs: 20")
    config, other = read_config(folder), read_config(folder, ["train_config { sync_replicas: true }"])
    parameter_server.start_server(cluster._replace(job="ps"))
    server = parameter_server.start_server(cluster)
    number = parameter_server.number_of(other)
    assert number == parameter_server.number_of(read_config(folder, ["train_config { sync_replicas: true }"]))
    assert not parameter_server.tell(server, cluster, f"starting {number} chief1", seconds=20.0)
    with pytest.raises(ValueError, match="the configuration of worker 0 is not that of the chief; all workers need"):
        train_as_worker(server, config, folder, cluster)


def test_a_stopped_worker_says_nothing_of_the_others(tmp_path, silent):
    worker = make_worker(tmp_path, silent)
    worker._signals = types.SimpleNamespace(received="SIGTERM", number=15)
    with pytest.raises(TrainingStopped, match="^stopped by SIGTERM; to let this worker take part again, run the same"):
        worker._explain_loss(None)
