"""Signals that ask a training to stop."""
import contextlib
import logging
import signal
import time
from typing import Any, Dict, Optional

_log = logging.getLogger(__name__)
_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP"}  # Windows lacks the last one


def name_of(number: int) -> str:
    """Returns the name of a signal that ends a training."""
    return _NAMES[signal.Signals(number).name]


class Signals:
    """Remembers the first of Ctrl-C, SIGTERM and SIGHUP, so that the current step is finished and saved.

    A second signal acts at once.

    Attributes:
      received: the signal's name, or None.
      number: the signal's number, or 0.
    """

    def __init__(self, what_follows: str = "finishing this step, then saving") -> None:
        """Starts to listen. When a signal comes, the log says what follows."""
        self._what_follows = what_follows
        self.received: Optional[str] = None
        self.number = 0
        self._received_at = 0.0
        self._previous: Dict[int, Any] = {}
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):  # under nohup
                continue
            with contextlib.suppress(ValueError):  # not in the main thread: whoever calls us handles signals
                self._previous[number] = signal.signal(number, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        self.number, self._received_at = int(number), time.time()
        self.received = name_of(number)
        _log.info("%s: %s", self.received, self._what_follows)
        self.restore()

    def is_late(self, seconds: float) -> bool:
        """Tells whether a signal came more than so many seconds ago."""
        return self._received_at > 0 and time.time() - self._received_at > seconds

    def restore(self) -> None:
        """Stops to listen: signals do again what they did before."""
        while self._previous:
            signal.signal(*self._previous.popitem())
