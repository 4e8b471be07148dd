"""What happened to the records of a data set: how many were used, and which were skipped, and why."""
import collections
import logging
import threading
from typing import Counter, List, Optional

_log = logging.getLogger(__name__)

# Why a record is skipped.
BROKEN_RECORD = "broken record"
BROKEN_EXAMPLE = "incomplete example"
BROKEN_IMAGE = "broken image"
EMPTY_TEXT = "empty text"
UNKNOWN_CHARACTERS = "unknown characters"


class ReadReport:
    """What happened to the records. A record is counted as skipped once, in the first epoch.

    Attributes:
      delivered: number of samples passed on, over all epochs.
      counts: for each reason (the constants of this module), the number of records skipped for it.
      names: the first skipped records, each as "file: record number at byte offset: what is wrong".
      error: why there are no more samples, or what a custom reader raised, if that is how the data ended; otherwise
        None.
    """

    def __init__(self, max_names: int = 10) -> None:
        """Creates an empty report that names at most `max_names` skipped records."""
        self.delivered = 0
        self.counts: Counter[str] = collections.Counter()
        self.names: List[str] = []
        self.error: Optional[str] = None
        self._max_names = max_names
        self._lock = threading.Lock()

    @property
    def skipped(self) -> int:
        """Number of records skipped, for any reason."""
        return sum(self.counts.values())

    def deliver(self, count: int) -> None:
        """Counts samples that are passed on."""
        with self._lock:
            self.delivered += count

    def skip(self, reason: str, where: str, detail: str) -> None:
        """Counts a record that is skipped, and logs the first of them.

        Args:
          reason: one of the constants of this module.
          where: the place of the record.
          detail: what is wrong with it.
        """
        with self._lock:
            self.counts[reason] += 1
            if len(self.names) < self._max_names:
                self.names.append(f"{where}: {detail}")
                _log.warning("skipped: %s", self.names[-1])
                if len(self.names) == self._max_names:
                    _log.warning("further skipped records are counted, but not named")

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(self.counts.items()))
        return f"{self.delivered} samples read, {self.skipped} records skipped" + (f" ({reasons})" if reasons else "")
