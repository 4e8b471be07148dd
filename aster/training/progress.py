"""What one watches of a training: lines in the log, scalars for TensorBoard, log/progress.csv and log/curves.png."""
import contextlib
import csv
import logging
import math
import os
import time
from typing import Any, Dict, List, Optional, Tuple

from aster.compat import tf
from aster.training.curves import draw_curves

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 10.0
COLUMNS = "step", "loss", "learning_rate", "images_per_second", "word_accuracy"


class Progress:
    """Writes a line of progress now and then: step, mean loss since the last line, images/s, time left.

    A full disk or a missing matplotlib never ends a training: the log says what could not be written.
    """

    def __init__(self, log_dir: str, *, num_steps: int, batch_size: int, writer: Any) -> None:
        """Starts to watch.

        Args:
          log_dir: folder of progress.csv and curves.png.
          num_steps: the step at which training ends; 0 if it has no end.
          batch_size: images per step.
          writer: a tf.summary.FileWriter.
        """
        self._path = os.path.join(log_dir, "progress.csv")
        self._picture: Optional[str] = os.path.join(log_dir, "curves.png")
        self._num_steps, self._batch_size, self._writer = num_steps, batch_size, writer
        self._since: Optional[float] = None
        self._losses: List[float] = []

    def update(self, step: int, loss: float, learning_rate: float) -> None:
        """Counts a step, and writes a line if the last one is ten seconds old.

        Args:
          step: the global step after it.
          loss: its total loss.
          learning_rate: its learning rate.
        """
        now = time.time()
        self._losses.append(loss)
        if self._since is None:  # the first step builds and warms up: it says nothing about speed
            _log.info("step %d  loss %.4f", step, loss)
            self._since, self._losses = now, []
            return
        if now - self._since < _SECONDS_BETWEEN_LINES and step != self._num_steps:
            return
        steps_per_second = len(self._losses) / max(now - self._since, 1e-9)
        speed = steps_per_second * self._batch_size
        mean = sum(self._losses) / len(self._losses)
        end, left = "", ""
        if self._num_steps:
            end = f"/{self._num_steps}"
            minutes, seconds = divmod(int(math.ceil((self._num_steps - step) / steps_per_second)), 60)
            left = f"  {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
        _log.info("step %d%s  loss %.4f  %.1f images/s%s", step, end, mean, speed, left)
        self._append(step, f"{mean:.4f}", f"{learning_rate:.3g}", f"{speed:.1f}", "")
        summary = tf.Summary()
        summary.value.add(tag="images_per_second", simple_value=speed)
        self._writer.add_summary(summary, step)
        self.pause()

    def pause(self) -> None:
        """Forgets the time up to now: what was done since the last step, such as saving, is not training."""
        self._since, self._losses = time.time(), []

    def saved(self, step: int, word_accuracy: Optional[float] = None) -> None:
        """Draws the curves again, after a checkpoint.

        Args:
          step: the checkpoint's step.
          word_accuracy: its word accuracy, 0..1, if it was evaluated.
        """
        if word_accuracy is not None:
            self._append(step, "", "", "", f"{word_accuracy:.4f}")
        if self._picture:
            self._draw(self._picture)

    def _draw(self, path: str) -> None:
        try:
            draw_curves(read_progress(self._path)).save(path)
        except ImportError as error:
            _log.error("%s is not drawn: %s; install it with: pip install matplotlib", path, error)
            self._picture = None  # one line about it is enough
        except Exception as error:  # whatever it is, training can do without the picture
            _log.error("%s: %s; training goes on", path, getattr(error, "strerror", None) or error)

    def _append(self, *row: Any) -> None:
        try:
            is_new = not os.path.exists(self._path)
            with open(self._path, "a", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows([COLUMNS] * is_new + [row])
        except OSError as error:
            _log.error("%s: %s; training goes on", self._path, error.strerror)


def read_progress(path: str) -> Dict[str, List[Tuple[int, float]]]:
    """Reads log/progress.csv.

    Args:
      path: the file; it may be missing, or end in a line that a full disk cut short.

    Returns:
      {column: [(step, value)]}, sorted by step. Where a step was repeated after a stop, its last value counts.
    """
    columns: Dict[str, Dict[int, float]] = {name: {} for name in COLUMNS[1:]}
    if os.path.exists(path):
        with open(path, newline="") as stream:
            for row in csv.DictReader(stream):
                for name, values in columns.items():
                    with contextlib.suppress(TypeError, ValueError):  # an empty field, or a line cut short
                        values[int(row["step"])] = float(row[name])
    return {name: sorted(values.items()) for name, values in columns.items()}
