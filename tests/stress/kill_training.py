#!/usr/bin/env python
"""Kills a training again and again, and checks that each next one loses no more than what was not saved yet.

    python tests/stress/kill_training.py --kills 100

Half of the SIGKILLs come at random moments, half at a file operation of a save: each write, close, fsync, rename and
deletion. kill_at.c, which is preloaded, counts those. After each kill, the next training must resume from a whole
checkpoint that is not older than the last one that was saved, and must have cleared up what the killed save left.
"""
import argparse
import ctypes
import logging
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..")]
LONGEST_RUN = 300  # seconds; one that takes longer hangs
LEFTOVER = re.compile(r"\.tempstate|\.tmp")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="default: 100")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    arguments = parser.parse_args()
    if hasattr(ctypes.CDLL(None), "kill_at_arm"):
        sys.exit(run(arguments.kills, arguments.seed))
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "kill_at.so")
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or "cc"
        subprocess.check_call([compiler, "-w", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "kill_at.c"),
                               "-ldl"])
        sys.exit(subprocess.call([sys.executable] + sys.argv, env=dict(os.environ, LD_PRELOAD=library)))


def run(kills, seed):
    """-> exit status."""
    from experiment import make_experiment

    import aster.training.loop  # noqa: F401  # once, before the forks
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as parent:
        folder = make_experiment(parent)
        first = Run(folder, steps=8)
        if first.status or len(first.saved) < 7:
            return fail("a training that nobody kills", first)
        operations = list(enumerate(first.operations, 1))
        generator.shuffle(operations)
        operations.sort(key=lambda numbered: numbered[1] == "w")  # there are many writes
        lost = []
        before = first
        for number in range(1, kills + 1):
            if number % 2:
                what, options = "at a random moment", {"after": generator.uniform(0, 2 * first.seconds)}
            else:
                at, kind = operations[(number // 2 - 1) % len(operations)]
                what, options = f"at operation {at} of a save ({kind})", {"at": at}
            current = Run(folder, **options)
            what = f"kill {number} {what}"
            if current.status != -signal.SIGKILL:
                return fail(f"{what}: it was not killed", current)
            error = check(before, current)
            if error:
                return fail(f"{what}: {error}", current)
            if current.resumed is not None:
                lost.append(before.step - current.resumed)
                before = current
            print(f"{what}: resumed from step {current.resumed}, killed at step {current.step}", flush=True)
        last = Run(folder, steps=before.step + 3)
        error = "it did not end well" if last.status else check(before, last)
        if error:
            return fail(f"the last training: {error}", last)
        lost.append(before.step - last.resumed)
    print(f"{kills} of {kills} kills survived; steps lost: mean {sum(lost) / len(lost):.1f}, at most {max(lost)}; "
          "never more than since the last save")
    return 0


def check(before, current):
    """-> what is wrong with how `current` went on from `before`, the last training that had resumed; or None."""
    if current.resumed is None:
        return None  # it was killed before
    saved = max(before.saved + [before.resumed or 0])
    if current.resumed < saved:
        return f"resumed from step {current.resumed}, though step {saved} was saved"
    if current.resumed > before.step:
        return f"resumed from step {current.resumed}, though the last step was {before.step}"
    if current.leftovers:
        return f"left over: {' '.join(current.leftovers)}"
    return None


def fail(what, current):
    print(f"FAILED: {what}\n{current.log}", flush=True)
    return 1


class Run:
    """A training in a process of its own, up to a number of steps or a kill, and what it told about itself."""

    def __init__(self, folder, *, steps=0, after=None, at=0):
        """Trains.

        Args:
          folder: the experiment folder.
          steps: the number of steps at which it ends; 0: it is killed.
          after: the number of seconds after which it is killed.
          at: the number of the file operation in its second save at which it is killed.
        """
        self.resumed, self.step, self.saved, self.leftovers, self.operations = None, 0, [], [], ""
        started = time.time()
        reading, writing = os.pipe()
        with tempfile.TemporaryFile() as log:
            child = os.fork()
            if not child:
                os.close(reading)
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                os._exit(_train(folder, writing, steps, at, save_all=after is None))
            os.close(writing)
            self._listen(reading, child, LONGEST_RUN if after is None else after)
            status = os.waitpid(child, 0)[1]
            self.status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            log.seek(0)
            self.log = log.read().decode("utf-8", "replace")[-4000:]
        self.seconds = time.time() - started

    def _listen(self, reading, child, seconds):
        """Reads what the child tells until it ends, and kills it after some seconds."""
        until = time.time() + seconds
        with os.fdopen(reading, "rb") as stream:
            while True:
                if until and not select.select([stream], [], [], max(until - time.time(), 0))[0]:
                    os.kill(child, signal.SIGKILL)
                    until = None
                line = stream.readline()  # whole lines: they are shorter than a pipe's atomic write
                if not line:
                    return
                kind, _, value = line.decode().strip().partition(" ")
                if kind == "resumed":
                    self.resumed = self.step = int(value)
                elif kind == "step":
                    self.step = int(value)
                elif kind == "saved":
                    self.saved.append(int(value))
                elif kind == "left":
                    self.leftovers.append(value)
                elif kind == "operations":
                    self.operations = value


def _train(folder, writing, steps, at, save_all):
    """Trains in a child process, and tells its parent. -> exit status."""
    from aster import checkpoint
    from aster.config import read_config
    from aster.training.loop import train
    from aster.training.progress import Progress
    from aster.training.saver import Saver
    logging.basicConfig(level=logging.INFO)
    library = ctypes.CDLL(None)
    library.kill_at_operations.restype = ctypes.c_char_p
    library.kill_at_arm.argtypes = [ctypes.c_long]
    saves = []

    def tell(kind, value):
        os.write(writing, f"{kind} {value}\n".encode())

    def resume(*arguments, original=checkpoint.resume):
        path, log_dir = original(*arguments), arguments[1]
        for name in filter(LEFTOVER.search, os.listdir(log_dir)):
            tell("left", name)
        tell("resumed", checkpoint.global_step(path) if path else 0)
        return path

    def update(self, step, *arguments, original=Progress.update):
        tell("step", step)
        return original(self, step, *arguments)

    def save(self, session, step, is_last=True, original=Saver.save):
        saves.append(step)
        if len(saves) == 2 or steps:
            library.kill_at_arm(at)
        path = original(self, session, step, is_last)
        if steps and not is_last:
            tell("operations", library.kill_at_operations().decode())
        tell("saved", step)
        return path
    checkpoint.resume, Progress.update, Saver.save = resume, update, save
    config = read_config(folder)
    config.train_config.num_steps = steps
    config.train_config.save_checkpoint_secs = 0 if save_all else 1
    train(config, folder)
    return 0


if __name__ == "__main__":
    main()
