"""Trains in a cluster on this machine: python -m aster.launch --exp_dir E [--strategy S] [--num_workers N]"""
import contextlib
import functools
import glob
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Dict, List, Optional

from aster import command
from aster.processes import end_with_parent
from aster.training import TrainingStopped
from aster.training.cluster import PS, STRATEGIES

_log = logging.getLogger(__name__)
_SECONDS_TO_END = 15.0  # for the others, once the chief has ended
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


def main() -> None:
    """Parses the arguments, starts the processes, and ends with them."""
    parser = command.ArgumentParser(prog="python -m aster.launch", description=(
        "Train the model of EXP_DIR/config/trainval.prototxt by several processes on this machine: a chief, workers "
        "and parameter servers. Each line of the output begins with the name of its process. docs/cluster.md explains "
        "it, and how to use several machines."))
    parser.add_argument("--exp_dir", required=True, help="experiment folder")
    parser.add_argument("--strategy", choices=STRATEGIES, default=PS, help="with parameter servers (default), or "
                        "without, by the mean of all gradients in each step")
    parser.add_argument("--num_ps", type=int, help="the number of parameter servers (default: 1; with --strategy "
                        "all_reduce there is none)")
    parser.add_argument("--num_workers", type=int, default=1, help="the number of workers beside the chief, which is a "
                        "worker, too (default: 1)")
    parser.add_argument("--num_steps", type=int, help="the same as --set 'train_config { num_steps: NUM_STEPS }'")
    parser.add_argument("--clone_on_cpu", action="store_true", help="train on the CPU, even if there are GPUs")
    command.add_overrides(parser)
    command.add_trust(parser)
    arguments = parser.parse_args()
    is_ps = arguments.strategy == PS
    if not is_ps and arguments.num_ps:
        raise ValueError("--strategy all_reduce has no parameter servers; leave --num_ps out")
    num_ps = int(is_ps) if arguments.num_ps is None else arguments.num_ps
    if num_ps < is_ps or arguments.num_workers < 0:
        raise ValueError("--num_ps must be 1 or more, and --num_workers 0 or more")
    if arguments.num_workers == 0:
        _log.info("--num_workers 0: the chief trains alone")
    if arguments.num_steps is not None:
        arguments.overrides.append(f"train_config {{ num_steps: {arguments.num_steps} }}")
    config = command.read_experiment(arguments.exp_dir, arguments.overrides, trust=arguments.trust)
    train = [sys.executable, "-m", "aster.train", "--trust", "--exp_dir", arguments.exp_dir]  # the question was here
    train += [word for text in arguments.overrides for word in ("--set", text)]
    train += ["--clone_on_cpu"] if arguments.clone_on_cpu else []
    train += [] if is_ps else ["--strategy", arguments.strategy]
    _Processes(train, _environments(num_ps, arguments.num_workers)).run(
        float(config.train_config.cluster_timeout_secs))


def _environments(num_ps: int, num_workers: int) -> Dict[str, Dict[str, str]]:
    """-> {name of a process: its environment}, the chief's first. The ports are free now. Each worker has a GPU of its
    own, if there are enough."""
    counts = {"chief": 1, "ps": num_ps, "worker": num_workers}
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(sum(counts.values()))]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        free = iter([f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets])
        addresses = {job: [next(free) for _ in range(count)] for job, count in counts.items() if count}
    environments = {
        job if job == "chief" else f"{job} {i}": dict(os.environ, PYTHONUNBUFFERED="1", TF_CONFIG=json.dumps(
            {"cluster": addresses, "task": {"type": job, "index": i}}))
        for job in addresses for i in range(counts[job])}
    workers, gpus = [name for name in environments if not name.startswith("ps")], _gpus()
    for name, gpu in zip(workers, gpus if len(gpus) >= len(workers) else []):
        environments[name]["CUDA_VISIBLE_DEVICES"] = gpu
    return environments


def _gpus() -> List[str]:
    """-> the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them"""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    return [str(i) for i in range(len(glob.glob("/dev/nvidia[0-9]*")))]


class _Processes:
    """The processes of a cluster. They end when this one does."""

    def __init__(self, arguments: List[str], environments: Dict[str, Dict[str, str]]) -> None:
        """Prepares them; `run` starts them."""
        self._arguments, self._environments = arguments, environments
        self._signal: Optional[int] = None
        self._is_starting = True
        self._copiers: List[threading.Thread] = []
        self._processes: Dict[str, subprocess.Popen[bytes]] = {}

    def _start_all(self) -> None:
        """Starts them, but no more once a signal has come, which all that were started receive in the end."""
        for name, environment in self._environments.items():
            if not self._signal:
                self._processes[name] = self._start(name, environment)
        self._is_starting = False
        if self._signal:
            self._send(signal.SIGTERM)

    def _start(self, name: str, environment: Dict[str, str]) -> "subprocess.Popen[bytes]":
        # a session of its own: Ctrl-C is for this process, which passes it on once
        process = subprocess.Popen(self._arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   preexec_fn=functools.partial(end_with_parent, os.getpid()))
        self._copiers.append(threading.Thread(target=_copy_lines, args=(name, process), daemon=True))
        self._copiers[-1].start()
        return process

    def _receive(self, number: int, _: object) -> None:
        self._signal = number
        if not self._is_starting:
            self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        for process in self._processes.values():
            with contextlib.suppress(OSError):
                if process.poll() is None:
                    process.send_signal(number)

    def run(self, seconds: float) -> None:
        """Starts them, and waits for all of them.

        Args:
          seconds: how long they may take to end after one of them has failed, or a signal came.

        Raises:
          TrainingStopped: the training has not ended well, with the status of what ended it.
        """
        previous = {number: signal.signal(number, self._receive) for number in _NAMES}
        try:
            self._start_all()
            failed = self._wait_for_failure()
            if failed and not self._signal:  # a second signal would end them without saving
                self._send(signal.SIGTERM)
            self._wait_for_all(seconds if failed or self._signal else _SECONDS_TO_END)
            if not failed and not self._signal:  # one that starts when the training has ended already
                self._send(signal.SIGTERM)
                self._wait_for_all(_SECONDS_TO_END)
        finally:
            self._kill()
            for number, action in previous.items():
                signal.signal(number, action)
        if self._signal:
            name = _NAMES[signal.Signals(self._signal)]
            raise TrainingStopped(f"stopped by {name}; to go on from the last checkpoint, run the same command again",
                                  128 + self._signal)
        if failed:
            process = self._processes[failed]
            raise TrainingStopped(f"{failed} ended {_describe(process)}, and the other processes were ended; to go on "
                                  "from the last checkpoint, run the same command again", _status(process))

    def _wait_for_failure(self) -> str:
        """Waits until one fails, the chief has ended, or a signal comes. -> the name of the failed one; empty: none."""
        while not self._signal:
            for name, process in self._processes.items():
                if process.poll() not in (None, 0):
                    _log.error("%s ended %s", name, _describe(process))
                    return name
            if self._processes["chief"].poll() == 0:
                return ""
            time.sleep(0.1)
        return ""

    def _wait_for_all(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(process.poll() is None for process in self._processes.values()):
            time.sleep(0.1)

    def _kill(self) -> None:
        left = [name for name, process in self._processes.items() if process.poll() is None]
        if left:
            _log.warning("these processes did not end, and are killed: %s", ", ".join(left))
        self._send(signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        for copier in self._copiers:  # the last lines
            copier.join(5.0)


def _copy_lines(name: str, process: "subprocess.Popen[bytes]") -> None:
    """Copies what a process prints. Where that can't be written (a full disk, a pipe that nobody reads), lines are
    lost, but they are read: otherwise the process would wait forever."""
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(OSError, ValueError):  # ValueError: stderr is closed
            sys.stderr.buffer.write(f"{name}: ".encode() + line)
            sys.stderr.buffer.flush()


def _status(process: "subprocess.Popen[bytes]") -> int:
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _describe(process: "subprocess.Popen[bytes]") -> str:
    if process.returncode < 0:
        return f"by {signal.Signals(-process.returncode).name}"
    return f"with status {process.returncode}"


def cli() -> None:
    """Runs the command aster-launch."""
    command.run(main)


if __name__ == "__main__":
    cli()
