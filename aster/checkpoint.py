"""Finding and reading checkpoints: our own and the published system's, which name variables alike."""
import contextlib
import glob
import logging
import os

import numpy as np

from aster.compat import tf
from aster.errors import cause

_log = logging.getLogger(__name__)

MOVING_AVERAGE_SCOPE = "OptimizeClones"
_OPTIMIZER = "optimizer.ckpt"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another model; the message says which and what to do."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint whose files are broken or incomplete."""


def find_checkpoint(path):
    """A checkpoint's path (with or without .index), or a folder whose latest is meant -> its path."""
    if os.path.isdir(path):
        found = list_checkpoints(path)
        if not found:
            raise CheckpointError(f"{path}: no checkpoint in this folder; has the training saved one yet?")
        return found[-1]
    path = path[:-len(".index")] if path.endswith(".index") else path
    if not tf.train.checkpoint_exists(path):
        raise CheckpointError(f"{path}: no such checkpoint; expected a folder with checkpoints, or {path}.index and {path}.data-*")
    return path


def list_checkpoints(folder):
    """Paths of the checkpoints in a folder, the latest last: those that its file `checkpoint` names, or if that is
    missing or damaged, by the step in their names."""
    try:
        state = tf.train.get_checkpoint_state(folder)
    except Exception as error:  # of several types
        _log.warning("%s: damaged (%s); going by the names of the files", os.path.join(folder, "checkpoint"),
                     cause(error))
        state = None
    if state:
        named = list(state.all_model_checkpoint_paths)
        if state.model_checkpoint_path:  # the latest, also where a published or edited file lists no others
            named = [path for path in named if path != state.model_checkpoint_path] + [state.model_checkpoint_path]
        # the folder may have moved since: the file can hold absolute paths
        beside = [os.path.join(folder, os.path.basename(path)) for path in named]
        found = [path if _exists(path) else old for path, old in zip(beside, named) if _exists(path) or _exists(old)]
        if found:
            return found
    names = [os.path.basename(path)[:-len(".index")] for path in glob.glob(os.path.join(folder, "*-*.index"))]
    numbered = sorted((int(name.rpartition("-")[2]), name) for name in names
                      if name.rpartition("-")[2].isdigit() and not name.startswith(_OPTIMIZER))
    return [os.path.join(folder, name) for _, name in numbered]


def _exists(path):
    return os.path.exists(path + ".index") or os.path.exists(path)  # the second: of the first format


def read_shapes(path):
    """{variable name: shape} of a checkpoint. Raises CheckpointError where it can't be read."""
    return _reader(path).get_variable_to_shape_map()


def global_step(path):
    """The step at which a checkpoint was saved; 0 where it doesn't say."""
    reader = tf.train.NewCheckpointReader(path)
    return int(reader.get_tensor("global_step")) if reader.has_tensor("global_step") else 0


@contextlib.contextmanager
def constants(path, use_moving_averages=False):
    """Within it tf.get_variable gives the values of the checkpoint at `path`, as numpy arrays, in place of variables.

    A graph built so needs no restoring, and TensorFlow prepares its constants once instead of in every step.
    """
    shapes, reader = read_shapes(path), _reader(path)

    def getter(name, shape=None, **_):
        stored = _average_name(name, shapes) if use_moving_averages else name
        _check_model(path, {stored: tf.TensorShape(shape).as_list()}, shapes)
        return _read(path, reader, stored)
    with tf.variable_scope(tf.get_variable_scope(), custom_getter=getter):
        yield


def restore(session, path, variables, use_moving_averages=False):
    """Reads `variables` from the checkpoint at `path`; every one must be there, in its shape."""
    shapes = read_shapes(path)
    named = {_average_name(v.op.name, shapes) if use_moving_averages else v.op.name: v for v in variables}
    _check_model(path, {name: v.shape.as_list() for name, v in named.items()}, shapes)
    _restore(session, path, named)


def _check_model(path, expected, shapes):
    """Raises CheckpointError unless `shapes` has all of `expected`, {name: shape}."""
    wrong = [f"{name} has shape {shapes[name]} there and {shape} here"
             for name, shape in sorted(expected.items()) if name in shapes and list(shapes[name]) != shape]
    wrong += [f"{name} is missing there" for name in sorted(expected) if name not in shapes]
    if wrong:
        raise CheckpointError("{}: not a checkpoint of this configuration: {}{}".format(
            path, "; ".join(wrong[:3]), " and %d more" % (len(wrong) - 3) if len(wrong) > 3 else ""))


def warm_start(session, path, variables):
    """Reads those of `variables` that the checkpoint has in the same shape -> names of those that it hasn't."""
    found = _restore_found(session, path, variables)
    if not found:
        raise CheckpointError(f"{path}: none of the model's variables is in this checkpoint in the same shape")
    return sorted(v.op.name for v in variables if v.op.name not in found)


def resume(session, log_dir, variables):
    """Reads `variables` from the newest checkpoint in `log_dir` that is whole -> its path, or None if there is none.

    The model must be the same; what the optimizer remembers may be new, and then keeps its first values.
    """
    damaged = None
    for path in reversed(list_checkpoints(log_dir)):
        try:
            model = [v for v in variables if not _is_optimizer_state(v)]
            restore(session, path, model)
            others = [v for v in variables if _is_optimizer_state(v)]
            beside = _optimizer_path(path)
            for source in [path, beside] if os.path.exists(beside + ".index") else [path]:
                _restore_found(session, source, others)
            return path
        except DamagedCheckpoint as error:
            _log.warning("%s; trying the one before", error)
            damaged = error
    if damaged:
        raise CheckpointError(f"{damaged}; no whole checkpoint is left in {log_dir}: move its checkpoints away to start anew")
    return None


def _restore_found(session, path, variables):
    """Reads those of `variables` that the checkpoint has in the same shape -> them."""
    shapes = read_shapes(path)
    found = {v.op.name: v for v in variables if list(shapes.get(v.op.name, [-1])) == v.shape.as_list()}
    if found:
        _restore(session, path, found)
    return found


def model_variables():
    """The current graph's variables without the global step and what the optimizer remembers."""
    return [v for v in tf.global_variables() if not _is_optimizer_state(v) and v.op.name != "global_step"]


def _optimizer_path(path):
    """Where the optimizer's variables of a checkpoint are, if not in itself, as the published system saves them."""
    return os.path.join(os.path.dirname(path), _OPTIMIZER + "-" + path.rpartition("-")[2])


def _is_average(variable):
    return variable.op.name.endswith("/ExponentialMovingAverage")


def _is_optimizer_state(variable):
    return variable.op.name.startswith(MOVING_AVERAGE_SCOPE + "/")


class Saver:
    """Saves the current graph's variables as log_dir/model.ckpt-<step>: the latest five, and one more every
    `keep_every_n_hours`. What the optimizer remembers, which only resuming needs, goes to optimizer.ckpt-<step>, the
    latest two. TensorFlow writes to a temporary name and renames."""

    def __init__(self, log_dir, keep_every_n_hours):
        self._log_dir = log_dir
        slots = [v for v in tf.global_variables() if _is_optimizer_state(v) and not _is_average(v)]
        slot_names = set(v.op.name for v in slots)
        self._saver = tf.train.Saver([v for v in tf.global_variables() if v.op.name not in slot_names],
                                     max_to_keep=5, keep_checkpoint_every_n_hours=keep_every_n_hours)
        self._slots_saver = tf.train.Saver(slots, max_to_keep=2) if slots else None
        if slots:
            self._slots_saver.recover_last_checkpoints(
                [path for path in map(_optimizer_path, list_checkpoints(log_dir)) if os.path.exists(path + ".index")])
        self._saver.recover_last_checkpoints(
            [path for path in list_checkpoints(log_dir) if tf.train.checkpoint_exists(path)])
        self._all_finite = tf.reduce_all(tf.stack(
            [tf.reduce_all(tf.is_finite(v)) for v in tf.global_variables() if v.dtype.base_dtype == tf.float32]))

    def save(self, session, step, last=True):
        """-> path. A failure (a full disk, say) raises CheckpointError, or before the end is only logged: training
        goes on, and so do the checkpoints that there are."""
        try:
            if not session.run(self._all_finite):
                raise CheckpointError("step %d: a variable is infinite or not a number; not saved" % step)
            if self._slots_saver:  # first, so that a checkpoint is never without
                self._slots_saver.save(session, os.path.join(self._log_dir, _OPTIMIZER), global_step=step,
                                       latest_filename="optimizer_checkpoint", write_meta_graph=False)
            return self._saver.save(session, os.path.join(self._log_dir, "model.ckpt"), global_step=step,
                                    write_meta_graph=False)
        except (OSError, tf.errors.OpError, CheckpointError) as error:
            for path in glob.glob(os.path.join(self._log_dir, "*.tempstate*")):
                os.remove(path)  # what was written of it would fill the disk further
            problem = "can't save step %d in %s: %s" % (step, self._log_dir, cause(error))
            if last:
                raise CheckpointError(problem)
            _log.error("%s; training goes on", problem)


def _restore(session, path, names):
    """{name in the checkpoint: variable}. Values are fed to the initializers, so that the graph doesn't grow."""
    reader = _reader(path)
    values = [(variable.initializer, _read(path, reader, name)) for name, variable in names.items()]
    session.run([initializer for initializer, _ in values],
                {initializer.inputs[1]: value for initializer, value in values})


def _reader(path):
    try:
        return tf.train.NewCheckpointReader(path)
    except Exception as error:  # TensorFlow 1.4 and 2 raise different types here and below
        raise DamagedCheckpoint(f"{path}: damaged or not a checkpoint ({cause(error)})")


def _read(path, reader, name):
    try:
        value = reader.get_tensor(name)
        return value.astype(np.float32) if value.dtype == np.float16 else value
    except Exception as error:
        raise DamagedCheckpoint(f"{path}: damaged: {cause(error)}")


def _average_name(name, shapes):
    """Variables without an average (batch statistics) are read as they are."""
    average = f"{MOVING_AVERAGE_SCOPE}/{name}/ExponentialMovingAverage"
    return average if average in shapes else name
