#!/usr/bin/env python
"""Trains and reads a small model for a while, and watches memory, threads and open files.

    python tests/stress/soak.py --minutes 30

Two processes run side by side. One trains, with a checkpoint, an evaluation and a picture of the curves every few
seconds. The other reads images without end, some of them broken or missing. Every second the resident memory, the
threads and the open files of both are noted, from the fifth evaluation on. The first third of that time is the rest of
the warm-up. Then the median of the last third must not be more than 2 % above that of the middle third.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Dict, List

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

MOST_GROWTH = 0.02
WARM_CHECKPOINTS = 5
MEASURES = "memory, MB", "threads", "files"


def main() -> None:
    """Runs both processes, and exits with status 1 if something grew or a process ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--read", metavar="E", help=argparse.SUPPRESS)  # what the second process does
    arguments = parser.parse_args()
    if arguments.read:
        read_for_ever(arguments.read)
    folder = tempfile.mkdtemp(prefix="soak")
    try:
        problems = soak(folder, 60 * arguments.minutes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for problem in problems:
        print(f"FAILED: {problem}")
    sys.exit(bool(problems))


def soak(folder: str, seconds: float) -> List[str]:
    """Runs both processes for some seconds, and returns what went wrong."""
    from experiment import make_experiment

    from aster.training.progress import read_progress
    train = make_experiment(os.path.join(folder, "train"), num_steps=10)
    command = [sys.executable, "-m", "aster.train", "--exp_dir", train]
    log_path = os.path.join(folder, "log.txt")
    with open(log_path, "w") as log:
        subprocess.check_call(command, cwd=ROOT, stderr=log)
        shutil.copytree(train, os.path.join(folder, "read"))
        for_ever = ("train_config { num_steps: 0 save_checkpoint_secs: 3 eval_num_examples: 8 "
                    "localization_learning_rate_factor: 0.01 } eval_config { num_visualizations: 2 }")
        processes = {
            "training": subprocess.Popen(command + ["--set", for_ever], cwd=ROOT, stderr=log),
            "reading": subprocess.Popen([sys.executable, os.path.abspath(__file__), "--read",
                                         os.path.join(folder, "read")], cwd=ROOT, stderr=log)}
        try:
            warm_up(processes, os.path.join(train, "log", "progress.csv"))
            measured = watch(processes, seconds)
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait()
    problems = [f"{name}: it ended with status {process.returncode}" for name, process in processes.items()
                if process.returncode not in (143, -15)]
    if problems:
        with open(log_path) as stream:
            print(stream.read()[-3000:], file=sys.stderr)
    accuracies = read_progress(os.path.join(train, "log", "progress.csv"))["word_accuracy"]
    print(f"training: {len(accuracies)} checkpoints with an evaluation, the last of step {accuracies[-1][0]}")
    return problems + report(measured)


def warm_up(processes: Dict[str, subprocess.Popen], progress: str) -> None:
    """Waits until the training has evaluated some checkpoints, or a process ends. Before, TensorFlow and matplotlib are
    still being loaded, which takes a minute on a busy machine."""
    from aster.training.progress import read_progress
    while (all(process.poll() is None for process in processes.values())
           and len(read_progress(progress)["word_accuracy"]) < WARM_CHECKPOINTS):
        time.sleep(1)


def watch(processes: Dict[str, subprocess.Popen], seconds: float) -> Dict[str, List[List[float]]]:
    """{name of the process: for each measure its values}, one a second until the time is up or one process ends."""
    measured: Dict[str, List[List[float]]] = {name: [[], [], []] for name in processes}
    end = time.time() + seconds
    while time.time() < end and all(process.poll() is None for process in processes.values()):
        for name, process in processes.items():
            for values, value in zip(measured[name], measure(process.pid)):
                values.append(value)
        time.sleep(1)
    return measured


def measure(pid: int) -> List[float]:
    """Resident memory in MB, threads and open files of a process."""
    with open(f"/proc/{pid}/status") as stream:
        status = dict(line.split(":", 1) for line in stream)
    return [int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd"))]


def report(measured: Dict[str, List[List[float]]]) -> List[str]:
    """Prints a line for each measure of each process, and returns those that grew."""
    problems = []
    for name, columns in measured.items():
        for what, values in zip(MEASURES, columns):
            third = len(values) // 3
            if third < 4:
                return [f"{name}: too few values"]
            middle, last = statistics.median(values[third:2 * third]), statistics.median(values[2 * third:])
            tenths = [statistics.median(values[i * len(values) // 10:(i + 1) * len(values) // 10]) for i in range(10)]
            line = (f"{name}: {what}: {middle:.0f} in the middle third, {last:.0f} in the last one "
                    f"({100 * (last / middle - 1):+.1f} %); medians of the tenths: "
                    + " ".join(f"{value:.0f}" for value in tenths))
            print(line, flush=True)
            if last > (1 + MOST_GROWTH) * middle:
                problems.append(line)
    return problems


def read_for_ever(exp_dir: str) -> None:
    """Reads images one by one and in batches, broken and missing ones among them."""
    from experiment import WORDS, draw_word

    from aster.reading.recognizer import Recognizer
    images = [draw_word(word) for word in WORDS] * 4 + [b"no image", os.path.join(exp_dir, "no such file")]
    with Recognizer.from_experiment(exp_dir) as recognizer:
        while True:
            for reading in recognizer.recognize(images, on_error="keep", details=True):
                assert reading.error or reading.text is not None
            list(recognizer.recognize(images[:1]))


if __name__ == "__main__":
    main()
