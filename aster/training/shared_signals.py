"""Signals that end all workers of a cluster at the same step."""
from typing import Optional, Sequence

from aster.training.signals import Signals, name_of

ENDED = 1000  # and the chief's status is the flag of a chief that has ended


class SharedSignals(Signals):
    """Signals that count as soon as all workers know of them, by flags which they exchange with each step.

    Attributes:
      flag: what this worker tells the others: the number of the signal that it has received, or 0.
      status_of_chief: the status with which the chief has ended, or None.
    """

    def __init__(self) -> None:
        """Starts to listen."""
        self.flag = 0
        self.status_of_chief: Optional[int] = None
        super().__init__("telling the other workers; all end after the next step, and the chief saves")

    def _note(self, number: int) -> None:
        self.flag = number

    def agree(self, flags: Sequence[int], names: Sequence[str]) -> None:
        """Takes note of what all workers have said.

        Args:
          flags: the flag of each worker, the chief's first.
          names: their names.
        """
        if flags[0] >= ENDED:
            self.status_of_chief = flags[0] - ENDED
            return
        for flag, name in zip(flags, names):
            if flag:
                self.received, self.number = f"{name_of(flag)} of {name}", flag
                return
