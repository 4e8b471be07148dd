"""Divergence that stays finite: a loss that runs away from its own history, or control points that leave the image."""
import collections
import contextlib
import glob
import math
import os
from typing import Any, Deque, List, Optional, Sequence

from aster import checkpoint
from aster.compat import tf
from aster.files import link_or_copy

FOLDER = "before_divergence"  # in the folder log
CURES = ("A lower learning rate, learning_rate_warmup_steps, gradient_clipping_by_global_norm, "
         "localization_learning_rate_factor or max_control_point_distance may help")
_WINDOW = 100  # steps
_MOST = 20.0  # times the limit is the most that a step's loss counts for: a few bad batches are no divergence
_MOST_OF_FIRST = 10.0  # times the loss of one batch
_LOW = 1.0  # a loss of one nat a word
_RECOVERED = 0.9  # of what was lost
_FEW = 5  # steps that make a suspicion
_FAR = 1.5  # half an image, and a whole one outside of it


class DivergenceWatch:
    """Compares the mean loss of the last 100 steps with what it was.

    A training has diverged where this mean

    - is more than twice the loss at the start; or,
    - after it had come down to half of the loss at the start, has gone back up by more than half of what was gained.

    The loss at the start is that of the first step of a new model, or the first one in log/progress.csv. A loss that is
    far beyond the limit is noticed before the 100 steps are full, because it outweighs the steps that are missing. It
    has diverged, too, if most of the control points of 100 steps are far outside of their images.

    Of a trained model without log/progress.csv, nobody knows the loss at the start. Then it is the mean of the first
    100 steps, which must not be more than 10 times the loss of the first one. That one is of the parameters as they
    were, before the first update, but of one batch only; therefore a mean below 1 is good in any case.
    """

    def __init__(self, history: Sequence[float] = (), is_new: bool = False) -> None:
        """Starts to watch.

        Args:
          history: losses of the training so far, each a mean over many steps; empty if it is new, or nobody knows.
          is_new: whether the first step that is watched is the first one of a new model.
        """
        self._start: Optional[float] = history[0] if history else None
        self._best: Optional[float] = min(history) if history else None
        self._is_new = is_new
        self._first: Optional[float] = None  # the loss of the first step
        self._losses: Deque[float] = collections.deque(maxlen=_WINDOW)
        self._far: Deque[float] = collections.deque(maxlen=_WINDOW)
        self.diverged: Optional[str] = None
        if history and self._start and history[-1] > self._limit():
            self.diverged = self._describe_loss(history[-1])

    def update(self, loss: float, far: float = 0.0) -> Optional[str]:
        """Counts a step.

        Args:
          loss: its total loss, finite.
          far: the share of its control points that are far outside of their images, 0..1.

        Returns:
          What ran away, if the training has diverged with this step; otherwise None.
        """
        self._first = loss if self._first is None else self._first
        if self._start is None and self._is_new:
            self._start = loss
        self._losses.append(loss)
        self._far.append(far)
        is_full = len(self._losses) == _WINDOW
        mean = sum(self._losses) / _WINDOW
        if is_full and mean <= self._limit():
            self._start = mean if self._start is None else self._start
            self._best = mean if self._best is None else min(self._best, mean)
        problem = self._find_problem()
        if self.diverged and is_full and not problem and self._has_recovered(mean):
            self.diverged = None
        if self.diverged or not problem:
            return None
        self.diverged = problem
        return problem

    def is_suspicious(self) -> bool:
        """Returns whether the last few steps look like the beginning of a divergence, or this is one."""
        few = list(self._losses)[-_FEW:]
        return bool(self.diverged or sum(few) > len(few) * self._limit() or sum(list(self._far)[-_FEW:]) > _FEW / 2)

    def _has_recovered(self, mean: float) -> bool:
        limit = self._limit()
        return self._best is None or math.isinf(limit) or mean < limit - _RECOVERED * (limit - self._best)

    def _find_problem(self) -> Optional[str]:
        if sum(self._far) > _WINDOW / 2:
            return (f"{100 * sum(self._far) / len(self._far):.0f} % of the control points of the last "
                    f"{len(self._far)} steps are far outside of their images")
        limit = self._limit()
        if sum(min(loss, _MOST * limit) for loss in self._losses) > _WINDOW * limit:
            return self._describe_loss(sum(self._losses) / len(self._losses))
        return None

    def _limit(self) -> float:
        """What the mean loss must not exceed."""
        start = self._first if self._start is None else self._start
        if start is None or start <= 0:  # a loss of somebody's own may be negative
            return float("inf")
        if self._start is None:
            return max(_MOST_OF_FIRST * start, _LOW)
        if self._best is not None and self._best < self._start / 2:
            return (self._start + self._best) / 2
        return 2 * self._start

    def _describe_loss(self, loss: float) -> str:
        has_been = self._best is not None and self._start is not None and self._best < self._start
        start = self._first if self._start is None else self._start
        best = f", and has been {self._best:.4g}" if has_been else ""
        return f"the loss is {loss:.4g}; it was {start:.4g} at the start{best}"


def share_far_outside(control_points: Any) -> Any:
    """The share of control points that are more than a whole image outside of theirs.

    Args:
      control_points: float32 [B, K, 2], (x, y) as fractions of width and height.

    Returns:
      Scalar, 0..1.
    """
    return tf.reduce_mean(tf.cast(tf.reduce_max(tf.abs(control_points - 0.5), 2) > _FAR, tf.float32))


class CheckpointKeeper:
    """Links the checkpoints of a folder, and what the optimizer saved beside them, into its folder before_divergence.

    There no later checkpoint pushes them out. Links need no room on the disk; where the file system has none, the files
    are copied.
    """

    def __init__(self, log_dir: str) -> None:
        """Keeps nothing yet of the folder `log_dir`."""
        self._log_dir, self.folder = log_dir, os.path.join(log_dir, FOLDER)
        self._kept: Optional[List[str]] = None

    def keep(self) -> bool:
        """Keeps the checkpoints that there are now, unless it keeps some already.

        Returns:
          Whether any checkpoint is kept.

        Raises:
          OSError: the folder can't be written.
        """
        if self._kept is None:
            self._kept = []
            for path in checkpoint.list_checkpoints(self._log_dir):
                os.makedirs(self.folder, exist_ok=True)
                for prefix in checkpoint.optimizer_path(path), path:
                    for source in glob.glob(glob.escape(prefix) + ".*"):
                        target = os.path.join(self.folder, os.path.basename(source))
                        link_or_copy(source, target)
                        self._kept.append(target)
        return bool(self._kept)

    def discard(self) -> None:
        """Removes what it keeps."""
        for path in self._kept or ():
            with contextlib.suppress(OSError):
                os.remove(path)
        if self._kept:
            with contextlib.suppress(OSError):  # of an earlier training there may be more
                os.rmdir(self.folder)
        self._kept = None
