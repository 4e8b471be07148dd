"""The best checkpoint of a training, by its word accuracy on the evaluation data."""
import glob
import json
import logging
import os
from typing import Optional

from aster import checkpoint_files
from aster.checkpoint_files import BEST
from aster.files import link_or_copy, written_whole
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

    def __init__(self, log_dir: str) -> None:
        """Reads what an earlier run has kept.

        Args:
          log_dir: the folder of the checkpoints.
        """
        self.folder = os.path.join(log_dir, BEST)
        self.step: Optional[int] = None
        self.word_accuracy, self.evaluations_since = -1.0, 0
        path = os.path.join(self.folder, _RECORD)
        try:
            with open(path, encoding="utf-8") as stream:
                record = json.load(stream)
            self.step, self.word_accuracy = int(record["step"]), float(record["word_accuracy"])
            self.evaluations_since = int(record["evaluations_since"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s can't be read (%s); the next checkpoint that is evaluated counts as the best", path, error)

    def update(self, path: str, word_accuracy: float) -> bool:
        """Takes note of an evaluation, and keeps the checkpoint if it is the best.

        Args:
          path: the checkpoint's path.
          word_accuracy: its word accuracy, 0..1.

        Returns:
          Whether it is better than all before.

        Raises:
          OSError: the folder can't be written.
        """
        is_better = word_accuracy > self.word_accuracy
        if is_better:
            self._keep(path)
            self.step, self.word_accuracy, self.evaluations_since = checkpoint_files.step_of(path), word_accuracy, 0
        else:
            self.evaluations_since += 1
        with written_whole(os.path.join(self.folder, _RECORD)) as name, open(name, "w", encoding="utf-8") as stream:
            json.dump({"step": self.step, "word_accuracy": self.word_accuracy,
                       "evaluations_since": self.evaluations_since}, stream)
        return is_better

    def _keep(self, path: str) -> None:
        os.makedirs(self.folder, exist_ok=True)
        kept = os.path.join(self.folder, os.path.basename(path))
        for source in sorted(glob.glob(glob.escape(path) + ".*")):
            link_or_copy(source, os.path.join(self.folder, os.path.basename(source)))
        write_list([kept])  # now it is the latest of its folder, and the one before may go
        for other in checkpoint_files.list_checkpoints(self.folder):
            if other != kept:
                delete_checkpoint(other)
