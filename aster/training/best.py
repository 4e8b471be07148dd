"""The best checkpoint of a training, by its word accuracy on the evaluation data."""
import errno
import glob
import json
import logging
import os
from typing import Optional

from aster import checkpoint_files
from aster.checkpoint_files import BEST
from aster.files import link_or_copy, read_text, written_whole
from aster.training.saver import delete_checkpoint, write_list

_log = logging.getLogger(__name__)
_RECORD = "best.json"


class BestCheckpoint:
    """Keeps the best checkpoint of a folder in its folder `best`, where later checkpoints don't push it out.

    The files are links, which need no room on the disk; where the file system has none, the files are copied. Beside
    them, best.json says the checkpoint's step and word accuracy, and how many evaluations have not been better since.

    Attributes:
      folder: where it is kept.
      step: the step of the best checkpoint; None before the first evaluation.
      word_accuracy: its word accuracy, 0..1.
      evaluations_since: the number of evaluations after it.
    """

    def __init__(self, log_dir: str, first_step: int = 0) -> None:
        """Reads what an earlier run has kept.

        Args:
          log_dir: the folder of the checkpoints.
          first_step: the global step before the first one of this run.
        """
        self.folder = os.path.join(log_dir, BEST)
        self.step: Optional[int] = None
        self.word_accuracy, self.evaluations_since = -1.0, 0
        path = os.path.join(self.folder, _RECORD)
        if not os.path.lexists(path):
            return
        try:
            self._check_folder()
            record = json.loads(read_text(path, "the record of the best checkpoint"))
            step, accuracy, since = int(record["step"]), float(record["word_accuracy"]), record["evaluations_since"]
            if not (0 <= accuracy <= 1 and step >= 0 and isinstance(since, int) and since >= 0):
                raise ValueError("its numbers are out of range")
            self.step, self.word_accuracy, self.evaluations_since = step, accuracy, since
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            _log.warning("%s can't be read (%s); the next checkpoint that is evaluated counts as the best", path, error)
            return
        if step > first_step:
            self.evaluations_since = 0
            _log.warning("%s: the best checkpoint, of step %d, is of an earlier training, since this one starts at "
                         "step %d; it stays until another one is better", self.folder, step, first_step)

    def update(self, path: str, word_accuracy: float) -> bool:
        """Takes note of an evaluation, and keeps the checkpoint if it is the best.

        Args:
          path: the checkpoint's path.
          word_accuracy: its word accuracy, 0..1.

        Returns:
          Whether it is better than all before.

        Raises:
          OSError: the folder can't be written, or is a link to another one.
        """
        self._check_folder()
        is_better = word_accuracy > self.word_accuracy
        before = self.step
        if is_better:
            self._link(path)
            self.step, self.word_accuracy, self.evaluations_since = checkpoint_files.step_of(path), word_accuracy, 0
        else:
            self.evaluations_since += 1
        with written_whole(os.path.join(self.folder, _RECORD)) as name, open(name, "w", encoding="utf-8") as stream:
            json.dump({"step": self.step, "word_accuracy": self.word_accuracy,
                       "evaluations_since": self.evaluations_since}, stream)
        if is_better:
            kept = os.path.join(self.folder, os.path.basename(path))
            write_list([kept])  # now it is the latest of its folder, and the one before may go
            old = os.path.join(self.folder, f"{checkpoint_files.MODEL}-{before}")
            if before is not None and old != kept:
                delete_checkpoint(old)
        return is_better

    def _check_folder(self) -> None:
        """What lies behind a link is another training's."""
        if os.path.islink(self.folder):
            raise OSError(errno.ELOOP, "it is a link, and nothing is kept there", self.folder)

    def _link(self, path: str) -> None:
        os.makedirs(self.folder, exist_ok=True)
        for source in sorted(glob.glob(glob.escape(path) + ".*")):
            link_or_copy(source, os.path.join(self.folder, os.path.basename(source)))
