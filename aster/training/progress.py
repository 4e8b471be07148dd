"""What one watches of a training: lines in the log, scalars for TensorBoard, log/progress.csv and log/curves.png."""
import contextlib
import csv
import io
import logging
import math
import os
import shutil
import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from aster.compat import tf
from aster.errors import describe
from aster.files import is_no_file, written_whole
from aster.training.curves import draw_curves
from aster.training.events import EventFile

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BEFORE_NEW_EVENTS = 600.0  # after a failure
COLUMNS = "step", "loss", "learning_rate", "images_per_second", "word_accuracy", "waiting"
_NOTABLE_WAITING = 0.1


class Progress:
    """Writes a line of progress now and then: step, mean loss since the last line, images/s, share of the time that is
    spent waiting for data, time left.

    What one watches never ends what it watches: whatever happens to these files, the log says it once, and training
    goes on.
    """

    def __init__(self, log_dir: str, *, num_steps: int, batch_size: int, graph: Any = None) -> None:
        """Starts to watch.

        Args:
          log_dir: folder of progress.csv, curves.png and event files.
          num_steps: the step at which training ends; 0 if it has no end.
          batch_size: images per step.
          graph: a tf.Graph for TensorBoard, or None.
        """
        self._log_dir, self._graph = log_dir, graph
        self._path = os.path.join(log_dir, "progress.csv")
        self._picture: Optional[str] = os.path.join(log_dir, "curves.png")
        self._num_steps, self._batch_size = num_steps, batch_size
        self._since: Optional[float] = None  # when the time began that is not counted yet
        self._line_at = self._seconds = 0.0  # when the last line was; seconds of training since then
        self._losses: List[float] = []
        self._parts: Dict[str, float] = {}  # sums since the last line
        self._waited, self._hinted = 0.0, False
        self._line_step = 0  # the step of the last line
        self._events: Optional[EventFile] = None
        self._no_events_until = 0.0
        self._failing: Set[str] = set()

    def update(self, step: int, loss: float, learning_rate: float, waited: float = 0.0,
               parts: Optional[Dict[str, float]] = None) -> None:
        """Counts a step, and writes a line if the last one is ten seconds old.

        Args:
          step: the global step after it.
          loss: its total loss.
          learning_rate: its learning rate.
          waited: the seconds for which it has waited for its data.
          parts: losses that the line names beside the total.
        """
        now = time.time()
        if self._since is None:  # the first step builds and warms up: it says nothing about speed
            _log.info("step %d  loss %.4f%s", step, loss, _named(parts or {}))
            self._since, self._line_at, self._line_step = now, now, step
            return
        self._losses.append(loss)
        for name, part in (parts or {}).items():
            self._parts[name] = self._parts.get(name, 0.0) + part
        self._seconds += now - self._since
        self._waited += waited
        self._since = now
        if now - self._line_at < _SECONDS_BETWEEN_LINES and not 0 < self._num_steps <= step:
            return
        steps_per_second = max(step - self._line_step, 1) / max(self._seconds, 1e-9)  # in a cluster, of all workers
        speed = steps_per_second * self._batch_size
        waiting = min(1.0, self._waited / max(self._seconds, 1e-9))
        mean = sum(self._losses) / len(self._losses)
        end, left = "", ""
        if self._num_steps:
            end = f"/{self._num_steps}"
            minutes, seconds = divmod(int(math.ceil(max(self._num_steps - step, 0) / steps_per_second)), 60)
            left = f"  {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
        named = _named({name: part / len(self._losses) for name, part in self._parts.items()})
        _log.info("step %d%s  loss %.4f%s  %.1f images/s  waiting for data %.0f %%%s", step, end, mean, named, speed,
                  100 * waiting, left)
        self._append(step, f"{mean:.4f}", f"{learning_rate:.3g}", f"{speed:.1f}", "", f"{waiting:.3f}")
        summary = tf.Summary()
        summary.value.add(tag="images_per_second", simple_value=speed)
        summary.value.add(tag="waiting_for_data", simple_value=waiting)
        self.add_summary(summary, step)
        self._hint(waiting)
        self._line_at, self._line_step, self._seconds, self._losses, self._waited = now, step, 0.0, [], 0.0
        self._parts = {}
        self.pause()

    def _hint(self, waiting: float) -> None:
        if waiting > _NOTABLE_WAITING and not self._hinted:
            _log.info("%.0f %% of the time is spent waiting for data; what helps: more processor cores, smaller images "
                      "in the records, files on a local disk, fewer preprocessing steps", 100 * waiting)
            self._hinted = True

    def pause(self) -> None:
        """Leaves out the time up to now: what was done since the last step, such as saving, is not training."""
        if self._since is not None:
            self._since = time.time()

    def add_summary(self, summary: Any, step: int) -> None:
        """Writes a summary, a message or its bytes, for TensorBoard."""
        if time.time() < self._no_events_until:
            return
        with self._training_goes_on(self._log_dir):
            if not self._events:
                self._events = EventFile(self._log_dir)
                graph, self._graph = self._graph, None
                if graph:
                    self._events.add_graph(graph)
            self._events.add(summary, step)
            return
        self._events, self._no_events_until = None, time.time() + _SECONDS_BEFORE_NEW_EVENTS

    def saved(self, step: int, word_accuracy: Optional[float] = None) -> None:
        """Draws the curves again, after a checkpoint.

        Args:
          step: the checkpoint's step.
          word_accuracy: its word accuracy, 0..1, if it was evaluated.
        """
        if word_accuracy is not None:
            self._append(step, "", "", "", f"{word_accuracy:.4f}", "")
        if self._picture:
            self._draw(self._picture)

    def losses_until(self, step: int) -> List[float]:
        """The losses of log/progress.csv up to a global step."""
        with self._training_goes_on(self._path):
            return [loss for at, loss in read_progress(self._path)["loss"] if at <= step]
        return []

    def _draw(self, path: str) -> None:
        with self._training_goes_on(path):
            try:
                picture = draw_curves(read_progress(self._path))
            except ImportError as error:
                _log.error("%s is not drawn: %s; install it with: pip install matplotlib", path, error)
                self._picture = None  # one line about it is enough
                return
            _require_file(path)
            with written_whole(path) as temporary, open(temporary, "wb") as file:
                picture.save(file, "PNG")

    def _append(self, *row: Any) -> None:
        with self._training_goes_on(self._path):
            _require_file(self._path)
            _own_file(self._path)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            with open(self._path, "ab+") as stream:
                if stream.seek(0, os.SEEK_END) == 0:
                    writer.writerow(COLUMNS)
                else:
                    stream.seek(-1, os.SEEK_END)
                    text.write("" if stream.read() == b"\n" else "\n")  # after a line that a full disk cut short
                writer.writerow(row)
                stream.write(text.getvalue().encode("utf-8"))

    @contextlib.contextmanager
    def _training_goes_on(self, path: str) -> Iterator[None]:
        """Logs whatever goes wrong with a file, the first time of several in a row."""
        try:
            yield
            self._failing.discard(path)
        except Exception as error:
            what = describe(error)
            if path not in self._failing:
                _log.error("%s; training goes on", what if what.startswith(path) else f"{path}: {what}")
            self._failing.add(path)


def _named(parts: Dict[str, float]) -> str:
    return f" ({', '.join(f'{name} {part:.4f}' for name, part in parts.items())})" if parts else ""


def _require_file(path: str) -> None:
    """Raises ValueError where a folder, pipe or device is in the place of a file; a pipe would wait for a reader."""
    if is_no_file(path):
        raise ValueError("it is not a file")


def _own_file(path: str) -> None:
    """Makes a file of its own of one that a copy by hard links shares with the original."""
    if os.path.exists(path) and os.stat(path).st_nlink > 1:
        with written_whole(path) as temporary:
            shutil.copyfile(path, temporary)


def read_progress(path: str) -> Dict[str, List[Tuple[int, float]]]:
    """Reads log/progress.csv.

    Args:
      path: the file. It may be missing or damaged; lines that can't be read are left out.

    Returns:
      {column: [(step, value)]}, sorted by step. Where a step was repeated after a stop, its last value counts.

    Raises:
      OSError: it can't be opened.
    """
    columns: Dict[str, Dict[int, float]] = {name: {} for name in COLUMNS[1:]}
    if os.path.isfile(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                row = dict(zip(COLUMNS, line.split(",")))
                for name, values in columns.items():
                    with contextlib.suppress(KeyError, ValueError):  # an empty field, or a line cut short
                        value = float(row[name])
                        if math.isfinite(value):
                            values[int(row["step"])] = value
    return {name: sorted(values.items()) for name, values in columns.items()}
