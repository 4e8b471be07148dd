"""Which processes of a cluster can be reached, and waiting for those that can't, but not forever."""
import logging
import math
import socket
import threading
import time
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Set

from aster.compat import tf
from aster.training import TrainingStopped

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_OF_A_LOOK = 2.0
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_OF_DOUBT = 1.0  # before a process that can't be reached counts as missing
_SECONDS_BETWEEN_ANSWERS = 3.0  # at most, unless this process is stopped


class Unreachable(TrainingStopped):
    """A process of the cluster could not be reached for too long."""


class GaveUp(Exception):
    """A call was left to itself, since there is something else to do."""


def is_reachable(address: str) -> bool:
    """Tells whether a process listens at an address, host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_OF_A_LOOK).close()
        return True
    except (OSError, UnicodeError):  # UnicodeError: no name of a host
        return False


def wait_for(tasks: Mapping[str, str], seconds: float, *, stop: Callable[[], bool] = lambda: False) -> None:
    """Waits until processes can be reached, and logs whom it waits for.

    Args:
      tasks: {name: address}.
      seconds: for how long it waits.
      stop: tells whether to wait no more.

    Raises:
      Unreachable: one of them can't be reached. The message names it.
    """
    until, next_line = time.monotonic() + seconds, 0.0
    while not stop():
        missing = {name: address for name, address in tasks.items() if not is_reachable(address)}
        if not missing:
            return
        if time.monotonic() >= until and not stop():
            raise Unreachable(f"waited {seconds:.0f} s for {describe(missing)}, which can't be reached; start it, or "
                              "correct its address in TF_CONFIG (train_config.cluster_timeout_secs says how long to "
                              "wait)")
        if time.monotonic() >= next_line:
            _log.info("waiting for %s, for %.0f s at most", describe(missing), until - time.monotonic())
            next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def describe(tasks: Mapping[str, str]) -> str:
    """Names processes, such as "the chief at a:2222, ps 0 at b:2222"."""
    return ", ".join(f"{name} at {address}" for name, address in tasks.items())


class Watch:
    """Looks in a thread of its own whether processes can be reached, and logs when that changes."""

    def __init__(self, tasks: Mapping[str, str]) -> None:
        """Starts to look after processes, {name: address}, all of which count as reachable at first."""
        self._tasks = dict(tasks)
        self._since: Dict[str, float] = {}  # when it was first seen that a process can't be reached
        self._seen: Set[str] = set()
        self._missing: Set[str] = set()  # those that two looks or more could not reach, some time apart
        threading.Thread(target=self._look, daemon=True).start()

    def missing(self, names: Optional[Sequence[str]] = None) -> Dict[str, str]:
        """Returns {name: address} of the processes that could not be reached for a while, of those named or of all."""
        return {name: self._tasks[name] for name in list(self._missing) if names is None or name in names}

    def _look(self) -> None:
        while True:
            for name, address in self._tasks.items():
                if is_reachable(address):
                    self._since.pop(name, None)
                    self._seen.add(name)
                    self._missing.discard(name)
                    continue
                since = self._since.setdefault(name, time.monotonic())
                if name not in self._missing and time.monotonic() - since > _SECONDS_OF_DOUBT:
                    self._missing.add(name)
                    _log.warning("%s at %s can't be reached %s", name, address,
                                 "any more" if name in self._seen else "yet")
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def call_patiently(call: Callable[[], Any], *, seconds: float = math.inf,
                   give_up: Callable[[], bool] = lambda: False) -> Any:
    """Calls a function that may never return, since another process may be gone or data may not come.

    The call runs in a thread of its own, so that signals are received meanwhile.

    Args:
      call: the function.
      seconds: for how long it is waited for. The time in which this process is stopped (SIGSTOP) does not count.
      give_up: tells whether to wait no more.

    Returns:
      What the function returns.

    Raises:
      GaveUp: `give_up` said so.
      tf.errors.DeadlineExceededError: the seconds are over.
      Exception: what the function raises.
    """
    results: list = []

    def work() -> None:
        try:
            results.append((call(), None))
        except BaseException as error:  # it is raised where it is waited for
            results.append((None, error))
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    waited, looked_at = 0.0, time.monotonic()
    while thread.is_alive():
        thread.join(0.2)
        now = time.monotonic()
        waited, looked_at = waited + min(now - looked_at, _SECONDS_BETWEEN_ANSWERS), now
        if thread.is_alive() and give_up():
            raise GaveUp()
        if thread.is_alive() and waited > seconds:
            raise tf.errors.DeadlineExceededError(None, None, f"no answer for {seconds:.0f} s")
    result, error = results[0]
    if error is not None:
        raise error
    return result


class PatientSession(tf.Session):  # type: ignore[misc]
    """A session of a cluster whose runs end: see `call_patiently`.

    Attributes:
      give_up: tells a run whether to wait no more.
    """

    def __init__(self, target: str, seconds: float, config: Any) -> None:
        """Makes a session in the current graph.

        Args:
          target: of a tf.train.Server.
          seconds: how long a run may take.
          config: a tf.ConfigProto.
        """
        super().__init__(target, config=config)
        self._seconds = seconds
        self.give_up: Callable[[], bool] = lambda: False

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Runs fetches as tf.Session.run does. Raises GaveUp or tf.errors.DeadlineExceededError, too."""
        run = super().run
        return call_patiently(lambda: run(fetches, feed_dict, options, run_metadata), seconds=self._seconds,
                              give_up=self.give_up)

    def leave(self) -> None:
        """Closes the session, but waits a moment only: a process that is gone answers no goodbye."""
        try:
            call_patiently(self.close, seconds=5.0)
        except tf.errors.OpError as error:
            _log.debug("closing a session: %s", error)
