"""Saving checkpoints during a training."""
import contextlib
import logging
import os
import re
import time
from typing import Any, List, Mapping, Optional, Sequence

from aster import character_sets, checkpoint, checkpoint_files
from aster.checkpoint import CheckpointError
from aster.compat import tf
from aster.errors import cause, describe

_log = logging.getLogger(__name__)
_NUM_LATEST, _NUM_OPTIMIZERS = 5, 2


class Saver:
    """Saves the current graph's variables as log_dir/model.ckpt-<step>.

    It keeps the latest five checkpoints, and one more every few hours. The optimizer's variables, which only resuming
    needs, go to log_dir/optimizer.ckpt-<step>, of which it keeps the latest two. The character sets, which tell what
    the labels stand for, go to log_dir/model.ckpt-<step>.characters.json.

    Wherever the process or the machine stops, a whole checkpoint is left, and the next one counts what lies there:
    TensorFlow writes to a temporary name and renames. The new checkpoint is on the disk before an old one is deleted.
    Only then does the file `checkpoint` name it. Only files in log_dir are ever deleted.
    """

    def __init__(self, log_dir: str, keep_every_n_hours: float, characters: Optional[Mapping[str, str]] = None) -> None:
        """Prepares to save.

        Args:
          log_dir: the folder. Checkpoints that are in it already count among the latest.
          keep_every_n_hours: how often a checkpoint is kept for good.
          characters: the character sets, {name of a predictor: its characters}. Without any, none are stored.
        """
        self._log_dir = log_dir
        self._characters = characters
        optimizer = [v for v in tf.global_variables() if checkpoint.is_optimizer_state(v) and not _is_average(v)]
        optimizer_names = {v.op.name for v in optimizer}
        self._model_saver = tf.train.Saver([v for v in tf.global_variables() if v.op.name not in optimizer_names])
        self._optimizer_saver = tf.train.Saver(optimizer) if optimizer else None
        self._latest = checkpoint_files.list_latest(log_dir, _NUM_LATEST)
        self._seconds_between_kept = keep_every_n_hours * 3600
        self._keep_from = time.time() + self._seconds_between_kept
        self._all_finite = tf.reduce_all(tf.stack(
            [tf.reduce_all(tf.is_finite(v)) for v in tf.global_variables() if v.dtype.base_dtype == tf.float32]))

    def save(self, session: Any, step: int, is_last: bool = True) -> Optional[str]:
        """Saves a checkpoint.

        Args:
          session: a session of the variables' graph.
          step: the global step.
          is_last: whether training ends now. If not, a failure (a full disk, say) is only logged: training goes on, and
            the older checkpoints stay.

        Returns:
          The checkpoint's path; None after a failure.

        Raises:
          CheckpointError: the last checkpoint can't be saved, or a variable is not finite.
        """
        path = os.path.join(self._log_dir, f"{checkpoint_files.MODEL}-{step}")
        try:
            if not session.run(self._all_finite):
                raise CheckpointError(f"step {step}: a variable is infinite or not a number; not saved")
            if self._optimizer_saver:  # first, so that a checkpoint is never without
                _write(self._optimizer_saver, session, checkpoint.optimizer_path(path))
            if self._characters:
                _write_text(character_sets.path_beside(path), character_sets.to_text(self._characters))
            _write(self._model_saver, session, path)
            self._latest = [latest for latest in self._latest if latest != path] + [path]
            self._delete_old()
            try:
                write_list(self._latest)
            except OSError as error:  # the checkpoint is whole, and is found without the list
                _log.error("%s; training goes on", describe(error))
            return path
        except (OSError, tf.errors.OpError, CheckpointError) as error:
            remove_leftovers(self._log_dir, after_a_kill=True)  # what was written of it would fill the disk further
            problem = f"can't save step {step} in {self._log_dir}: {cause(error)}"
            if is_last:
                raise CheckpointError(problem) from error
            _log.error("%s; training goes on", problem)
            return None

    def _delete_old(self) -> None:
        for path in self._latest[:-_NUM_OPTIMIZERS]:
            delete_checkpoint(checkpoint.optimizer_path(path))
        while len(self._latest) > _NUM_LATEST:
            path = self._latest.pop(0)
            if checkpoint_files.exists(path) and os.path.getmtime(path + ".index") > self._keep_from:
                self._keep_from += self._seconds_between_kept  # it is kept for good
            else:
                delete_checkpoint(path)


def _write(saver: Any, session: Any, path: str) -> None:
    """Writes a checkpoint, and waits until it is on the disk."""
    saver.save(session, path, write_meta_graph=False, write_state=False)
    for file in _files_of(path):
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
    _sync_folder(os.path.dirname(path))


def write_list(paths: Sequence[str]) -> None:
    """Writes the file `checkpoint` of a folder, whole or not at all. It holds names, so that the folder can be moved.

    Args:
      paths: the checkpoints that it lists, the latest last.

    Raises:
      OSError: it can't be written.
    """
    names = [os.path.basename(path) for path in paths]
    lines = [f'model_checkpoint_path: "{names[-1]}"\n'] + [f'all_model_checkpoint_paths: "{name}"\n' for name in names]
    _write_text(os.path.join(os.path.dirname(paths[-1]), checkpoint_files.STATE), "".join(lines))


def _write_text(file: str, text: str) -> None:
    """Writes a text file whole or not at all, and waits until it is on the disk."""
    with open(file + ".tmp", "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(file + ".tmp", file)
    _sync_folder(os.path.dirname(file))


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems can't, and need not
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files_of(path: str) -> List[str]:
    """The files of a checkpoint, its index last: a deletion that is interrupted leaves a checkpoint that is known."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"(\.(index|meta|data-[0-9]{5}-of-[0-9]{5}|characters\.json))?")
    files = [file for file in os.listdir(folder) if pattern.fullmatch(file)]
    return [os.path.join(folder, file) for file in sorted(files, key=lambda file: (file.endswith(".index"), file))]


def delete_checkpoint(path: str) -> None:
    """Deletes the files of a checkpoint. The log says which can't be deleted.

    Args:
      path: the checkpoint's path; there need not be one.
    """
    for file in _files_of(path):
        _delete_file(file)


def _delete_file(file: str) -> None:
    try:
        os.remove(file)
    except OSError as error:
        _log.warning("%s: can't be deleted: %s", file, error.strerror)


def remove_leftovers(log_dir: str, after_a_kill: bool) -> None:
    """Deletes what saves that did not end have left.

    Args:
      log_dir: an experiment's folder log, in which nobody saves now.
      after_a_kill: whether the last save, or its process, did not end. If so, parts of a checkpoint are its leftovers,
        too. Otherwise they are somebody else's, who may be copying it just now.
    """
    name = f"({re.escape(checkpoint_files.MODEL)}|{re.escape(checkpoint_files.OPTIMIZER)})-([0-9]+)"
    half = re.compile(name + r"\.(index|data-[0-9]{5}-of-[0-9]{5}|characters\.json)")
    temporary = re.compile(f"{half.pattern}\\.(tempstate[0-9]*|tmp)|"
                           f"(optimizer_)?{checkpoint_files.STATE}\\.tmp[0-9a-f]*")
    files = set(os.listdir(log_dir))
    steps = set(map(checkpoint_files.step_of, checkpoint.list_checkpoints(log_dir)))

    def is_leftover(file: str) -> bool:
        match = half.fullmatch(file)
        if not match or not after_a_kill:
            return bool(temporary.fullmatch(file))
        kind, step = match.group(1), match.group(2)
        return f"{kind}-{step}.index" not in files or kind == checkpoint_files.OPTIMIZER and int(step) not in steps
    leftovers = sorted(filter(is_leftover, files))
    for file in leftovers:
        _delete_file(os.path.join(log_dir, file))
    if leftovers:
        _log.info("deleted %d files of a save that was interrupted", len(leftovers))


def _is_average(variable: Any) -> bool:
    return variable.op.name.endswith("/ExponentialMovingAverage")
