"""Saving checkpoints during a training."""
import glob
import logging
import os
from typing import Any, Optional

from aster import checkpoint
from aster.checkpoint import CheckpointError
from aster.compat import tf
from aster.errors import cause

_log = logging.getLogger(__name__)


class Saver:
    """Saves the current graph's variables as log_dir/model.ckpt-<step>.

    It keeps the latest five checkpoints, and one more every few hours. The optimizer's variables, which only resuming
    needs, go to log_dir/optimizer.ckpt-<step>, of which it keeps the latest two. TensorFlow writes to a temporary name
    and renames, so a checkpoint is whole or missing.
    """

    def __init__(self, log_dir: str, keep_every_n_hours: float) -> None:
        """Prepares to save.

        Args:
          log_dir: the folder. Checkpoints that are in it already count among the latest.
          keep_every_n_hours: how often a checkpoint is kept for good.
        """
        self._log_dir = log_dir
        optimizer = [v for v in tf.global_variables() if checkpoint.is_optimizer_state(v) and not _is_average(v)]
        optimizer_names = {v.op.name for v in optimizer}
        self._saver = tf.train.Saver([v for v in tf.global_variables() if v.op.name not in optimizer_names],
                                     max_to_keep=5, keep_checkpoint_every_n_hours=keep_every_n_hours)
        self._saver.recover_last_checkpoints(
            [path for path in checkpoint.list_checkpoints(log_dir) if tf.train.checkpoint_exists(path)])
        self._optimizer_saver: Any = None
        if optimizer:
            self._optimizer_saver = tf.train.Saver(optimizer, max_to_keep=2)
            self._optimizer_saver.recover_last_checkpoints(
                [path for path in map(checkpoint.optimizer_path, checkpoint.list_checkpoints(log_dir))
                 if os.path.exists(path + ".index")])
        self._all_finite = tf.reduce_all(tf.stack(
            [tf.reduce_all(tf.is_finite(v)) for v in tf.global_variables() if v.dtype.base_dtype == tf.float32]))

    def save(self, session: Any, step: int, is_last: bool = True) -> Optional[str]:
        """Saves a checkpoint.

        Args:
          session: of the variables' graph.
          step: the global step.
          is_last: whether training ends now. If not, a failure (a full disk, say) is only logged: training goes on, and
            the older checkpoints stay.

        Returns:
          The checkpoint's path; None after a failure.

        Raises:
          CheckpointError: the last checkpoint can't be saved, or a variable is not finite.
        """
        try:
            if not session.run(self._all_finite):
                raise CheckpointError(f"step {step}: a variable is infinite or not a number; not saved")
            if self._optimizer_saver:  # first, so that a checkpoint is never without
                self._optimizer_saver.save(session, os.path.join(self._log_dir, checkpoint.OPTIMIZER), global_step=step,
                                           latest_filename="optimizer_checkpoint", write_meta_graph=False)
            return self._saver.save(session, os.path.join(self._log_dir, "model.ckpt"), global_step=step,
                                    write_meta_graph=False)
        except (OSError, tf.errors.OpError, CheckpointError) as error:
            for path in glob.glob(os.path.join(self._log_dir, "*.tempstate*")):
                os.remove(path)  # what was written of it would fill the disk further
            problem = f"can't save step {step} in {self._log_dir}: {cause(error)}"
            if is_last:
                raise CheckpointError(problem) from error
            _log.error("%s; training goes on", problem)
            return None


def _is_average(variable: Any) -> bool:
    return variable.op.name.endswith("/ExponentialMovingAverage")
