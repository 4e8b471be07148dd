"""Worker processes that read the items of a data set, and the signals that stop a conversion."""
import collections
import concurrent.futures
import contextlib
import functools
import multiprocessing.util
import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Iterable, Iterator, Optional

from aster.processes import end_with_parent

_ADVICE = {signal.SIGKILL: ", perhaps because the memory was full; try a smaller --num_workers",
           signal.SIGBUS: ": a file became shorter while it was read, or its disk has failed"}

_main_process = 0
_stops = []  # the signals received
_starting = []  # holds something while a worker may be starting


class WorkerError(Exception):
    """Says why there are no worker processes any more."""


def catch_stops() -> None:
    """From now on, Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, here or in raise_if_stopped."""
    global _main_process
    _main_process = os.getpid()
    _stops.clear()
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _stop)


def _stop(number, _):
    """Remembers the signal: an exception that is raised within a library's callback can be swallowed."""
    if os.getpid() != _main_process:  # a worker that is not settled yet
        if number != signal.SIGINT:
            os._exit(1)
        return
    _stops.append(number)
    if not _starting:
        raise KeyboardInterrupt


def raise_if_stopped() -> None:
    """Raises KeyboardInterrupt if a signal has come that did not."""
    if _stops:
        raise KeyboardInterrupt


@contextlib.contextmanager
def start_pool(num_workers: int) -> Iterator[Any]:
    """Starts worker processes, which end with this process even if it is killed.

    Args:
      num_workers: how many.

    Yields:
      A ProcessPoolExecutor.
    """
    with concurrent.futures.ProcessPoolExecutor(num_workers) as pool:
        # Python 3.6 has no `initializer`. A worker must be settled before its first item, because it may get none.
        multiprocessing.util.register_after_fork(pool, functools.partial(_settle_worker, os.getpid()))
        yield pool


def _settle_worker(parent, _):
    settle_worker(parent)


def settle_worker(parent: int) -> None:
    """Makes this worker process end with its parent. The parent alone says when to stop.

    Args:
      parent: the parent's process ID.
    """
    for number in signal.SIGINT, signal.SIGHUP:  # of the whole terminal
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent(parent)


def map_in_order(pool: Optional[Any], function: Callable[[Any], Any], chunks: Iterable[Any], *, most: int
                 ) -> Iterator[Any]:
    """Calls a function for each chunk.

    Args:
      pool: what start_pool gives; None calls the function in this process.
      function: it runs in the worker processes.
      chunks: its arguments.
      most: how many chunks the workers may be ahead, so that memory is bounded.

    Yields:
      The results, in the order of the chunks.

    Raises:
      WorkerError: a worker process was killed, or can't be started.
    """
    if pool is None:
        yield from map(function, chunks)
        return
    pending: collections.deque = collections.deque()
    processes = []
    try:
        for chunk in chunks:
            pending.append(_submit(pool, function, chunk))
            processes = processes or multiprocessing.active_children()
            if len(pending) > most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        how = _how_one_ended(processes)
        _kill(processes)
        raise WorkerError(how) from error
    finally:  # after an error or a signal, nobody waits for the rest
        for future in pending:
            future.cancel()


def _submit(pool, function, chunk):
    """An exception between the start of a worker and its entry in the pool's list would leave it behind."""
    _starting.append(True)
    try:
        return pool.submit(function, chunk)
    except OSError as error:
        _kill(multiprocessing.active_children())
        raise WorkerError(f"a worker process can't be started ({error.strerror}); try a smaller "
                          "--num_workers") from error
    finally:
        _starting.pop()


def _kill(processes):
    """Ends workers, for which this process would wait in the end. A process that has just been forked can lose the
    SIGTERM that the pool sends."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGKILL)


def _how_one_ended(processes):
    """The sentence for the process that ended first. The pool ends all others with SIGTERM."""
    until = time.time() + 5
    codes, first = [None], None
    while None in codes and first is None and time.time() < until:
        time.sleep(0.05)
        codes = [process.exitcode for process in processes]
        first = next((code for code in codes if code not in (None, 0, -signal.SIGTERM)), None)
    if first is not None and first > 0:
        return f"a worker process ended with status {first}"
    number = signal.Signals(-first if first else signal.SIGTERM)
    return f"a worker process was ended by {number.name}{_ADVICE.get(number, '')}"
