"""Signals that ask a training to stop."""
import contextlib
import logging
import os
import signal
import time
from typing import Any, Dict, Optional

_log = logging.getLogger(__name__)
_SECONDS_OF_ONE_SIGTERM = 1.0
_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP"}  # Windows lacks the last one


def name_of(number: int) -> str:
    """Returns the name of a signal that ends a training."""
    return _NAMES[signal.Signals(number).name]


class Signals:
    """Remembers the first of Ctrl-C, SIGTERM and SIGHUP, so that the current step is finished and saved.

    A second signal acts at once. Several SIGTERMs within a second are one: Linux sends one for each thread of a parent
    that is killed (`processes.end_with_parent`).

    Attributes:
      received: the signal's name, or None.
      number: the signal's number, or 0.
    """

    def __init__(self, what_follows: str = "finishing this step, then saving; a second one stops without") -> None:
        """Starts to listen. When a signal comes, the log says what follows."""
        self._what_follows = what_follows
        self.received: Optional[str] = None
        self.number = 0
        self._received_at: Optional[float] = None
        self._previous: Dict[int, Any] = {}
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):  # under nohup
                continue
            with contextlib.suppress(ValueError):  # not in the main thread: whoever calls us handles signals
                self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        if self._received_at is not None:
            if self.is_late(_SECONDS_OF_ONE_SIGTERM):
                self.restore()
                os.kill(os.getpid(), number)
            return
        self._received_at = time.monotonic()
        self._note(int(number))
        _log.info("%s: %s", name_of(number), self._what_follows)
        kept = {number: self._previous.pop(number)} if number == signal.SIGTERM else {}
        self.restore()
        self._previous = kept

    def _note(self, number: int) -> None:
        self.received, self.number = name_of(number), number

    def is_late(self, seconds: float) -> bool:
        """Tells whether a signal came more than so many seconds ago."""
        return self._received_at is not None and time.monotonic() - self._received_at > seconds

    def restore(self) -> None:
        """Stops to listen: signals do again what they did before."""
        while self._previous:
            signal.signal(*self._previous.popitem())
