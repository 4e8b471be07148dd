"""What one watches of a training: lines in the log, scalars for TensorBoard, log/progress.csv and log/curves.png."""
import csv
import logging
import math
import os
import time

from aster.compat import tf
from aster.reading.pictures import draw_curves

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 10.0
COLUMNS = "step", "loss", "learning_rate", "images_per_second", "word_accuracy"


class Progress:
    """Says a line now and then: step, mean loss since the last line, images/s, time left."""

    def __init__(self, log_dir, num_steps, batch_size, writer):
        self._path = os.path.join(log_dir, "progress.csv")
        self._picture = os.path.join(log_dir, "curves.png")
        self._num_steps, self._batch_size, self._writer = num_steps, batch_size, writer
        self._since, self._losses = None, []

    def update(self, step, loss, learning_rate):
        now = time.time()
        self._losses.append(loss)
        if self._since is None:  # the first step builds and warms up: it says nothing about speed
            _log.info("step %d  loss %.4f", step, loss)
            self._since, self._losses = now, []
            return
        if now - self._since < _SECONDS_BETWEEN_LINES and step != self._num_steps:
            return
        rate = len(self._losses) / max(now - self._since, 1e-9)
        mean = sum(self._losses) / len(self._losses)
        line = "step %d%s  loss %.4f  %.1f images/s" % (
            step, "/%d" % self._num_steps if self._num_steps else "", mean, rate * self._batch_size)
        if self._num_steps:
            minutes, seconds = divmod(int(math.ceil((self._num_steps - step) / rate)), 60)
            line += "  %d:%02d:%02d left" % (minutes // 60, minutes % 60, seconds)
        _log.info(line)
        self._append(step, f"{mean:.4f}", f"{learning_rate:.3g}", "%.1f" % (rate * self._batch_size), "")
        summary = tf.Summary()
        summary.value.add(tag="images_per_second", simple_value=rate * self._batch_size)
        self._writer.add_summary(summary, step)
        self.pause()

    def pause(self):
        """What follows up to the next step is no training, and does not count in images/s."""
        self._since, self._losses = time.time(), []

    def saved(self, step, word_accuracy=None):
        """Draws the curves anew; `word_accuracy` is that of the checkpoint, if it was evaluated."""
        if word_accuracy is not None:
            self._append(step, "", "", "", f"{word_accuracy:.4f}")
        try:
            draw_curves(read_progress(self._path)).save(self._picture)
        except OSError as error:  # a full disk, say: nothing that training could not do without
            _log.error("%s: %s; training goes on", self._picture, error.strerror or error)

    def _append(self, *row):
        try:
            is_new = not os.path.exists(self._path)
            with open(self._path, "a", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows([COLUMNS] * is_new + [row])
        except OSError as error:
            _log.error("%s: %s; training goes on", self._path, error.strerror)


def read_progress(path):
    """log/progress.csv -> {column: [(step, value)]}, sorted; of a step that was repeated after a stop, the last."""
    found = {name: {} for name in COLUMNS[1:]}
    if os.path.exists(path):
        with open(path, newline="") as stream:
            for row in csv.DictReader(stream):
                for name in found:
                    try:
                        found[name][int(row["step"])] = float(row[name])
                    except (TypeError, ValueError):
                        pass  # empty, or a line cut short by a full disk
    return {name: sorted(values.items()) for name, values in found.items()}
