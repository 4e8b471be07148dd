"""A run of a pipeline by a command: its signals, its errors, what it prints, and what it leaves."""
import contextlib
import logging
import os
import re
import signal
import sys
import threading
from typing import Any, Callable, Dict, Iterator

from aster import command
from aster.beam.installed import beam
from aster.beam.shards import delete_abandoned, delete_folder, temporary_folder
from aster.beam.words import NAMESPACE

# What Beam's local worker processes print to stderr, which they share with this one: the steps of their own life and of
# their end, and tracebacks, which this process gets as the message of an exception, too.
_WORKER_NOISE = (r"^INFO:(apache_beam|__main__)|^WARNING:__main__:No semi_persistent|^WARNING:root:apitools not found"
                 r"|^Worker: severity: (WARN .*No semi_persistent|ERROR|CRITICAL)"
                 r"|^ERROR:apache_beam|^CRITICAL:__main__|^$"
                 r"|^(Traceback |[[:space:]])|^[A-Za-z_.]+(Error|Empty)(:|$)"
                 # of a traceback that another process has cut in the middle of a line
                 r'|\^\^|File "|KeyboardInterrupt|^self[.]'
                 r"|^Exception in thread|^(During handling of|The above exception)"
                 r"|^[A-Za-z0-9_-]+( [(][A-Za-z_]+[)])?:$"  # a thread's name, cut off by what another thread prints
                 r"|^Failed to read inputs in the data plane|^Error closing worker_handler"
                 r"|^Logging client failed|^grpc[.]_channel|^[[:space:]](status|details|debug_error_string) = "
                 r"|^>([.]{3}|$)"
                 r"|^terminate called|^FATAL: exception not rethrown|^(Aborted|Killed|Terminated)( |$)")
_SENTENCES = ("OSError|FileNotFoundError|FileExistsError|IsADirectoryError|NotADirectoryError|PermissionError"
              "|BeamIOError|ValueError|ConfigError|CheckpointError")
_LOST_WORKER = "Channel closed prematurely|Worker subprocess exited"
_PATIENCE = 3  # seconds in which Beam says itself why it ends its workers


def run(build: Callable[[Any, str], None], options: Any, output: str) -> Dict[str, int]:
    """Builds a pipeline and runs it.

    Args:
      build: a function that is given a pipeline, and the name of a folder for what is not complete.
      options: the pipeline's options.
      output: the path that the output begins with.

    Returns:
      Its counters: read, written, broken and passed_over.

    Raises:
      ValueError: an error that the user can repair.
    """
    delete_abandoned(output)
    temporary = temporary_folder(output)
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        with _errors_in_one_line(), command.start_up_noise_hidden(_WORKER_NOISE), _lost_workers_end_it():
            pipeline = beam.Pipeline(options=options)
            build(pipeline, temporary)
            result = pipeline.run()
            result.wait_until_finish()
            found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(NAMESPACE))["counters"]
    finally:
        delete_folder(temporary)
    counts = dict.fromkeys(["read", "written", "broken", "passed_over"], 0)
    for counter in found:
        counts[counter.key.metric.name] += counter.result
    return counts


def _terminate(*_):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _interrupt(*_):
    """The first Ctrl-C lets Beam end its workers. The second ends this process at once, and the next run cleans up."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # workers get Ctrl-C, too
    signal.signal(signal.SIGINT, _end_at_once)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # each of its threads would tell that it has lost one
    raise KeyboardInterrupt


def _end_at_once(*_):
    os.write(2, b"interrupted\n")
    os._exit(128 + signal.SIGINT)


@contextlib.contextmanager
def _lost_workers_end_it() -> Iterator[None]:
    """Lets a local worker process that was killed end the run. Beam says so at once where it waits for results of that
    worker; elsewhere it would wait forever, and only the thread that has started the worker fails. Its traceback is not
    printed: several at once would cut each other's lines."""
    def notice(failure):
        if re.search(_LOST_WORKER, str(failure.exc_value)):
            timer = threading.Timer(_PATIENCE, os.kill, [os.getpid(), signal.SIGUSR1])
            timer.daemon = True
            timer.start()

    def end(*_):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise RuntimeError("Worker subprocess exited")
    signal.signal(signal.SIGUSR1, end)
    threading.excepthook = notice
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        threading.excepthook = threading.__excepthook__


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Makes an error that the user can repair a ValueError: one of a worker, whose message is a traceback, that of a
    lost worker, and what Beam says of its own options."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if re.search(_LOST_WORKER, text):
            raise ValueError("a worker process ended before its work, as if it was killed. If memory was short, which "
                             "the system's log tells (dmesg), take fewer processes: --direct_num_workers") from error
        found = re.findall(rf"\b(?:{_SENTENCES}): (.*?)(?: \[while running .*)?$", text, re.MULTILINE)
        if found:
            raise ValueError(re.sub(r"^\[Errno \d+\] (.*): '(.*)'$", r"\2: \1", found[-1])) from error
        is_of_worker = len(text.splitlines()) != 1 or "[while running" in text
        if isinstance(error, (NotImplementedError, RuntimeError)) and not is_of_worker:
            raise ValueError(f"Apache Beam: {text}") from error
        raise
