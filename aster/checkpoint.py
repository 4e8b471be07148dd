"""Finding and restoring checkpoints: our own and the published system's, which name variables alike."""
import contextlib
import glob
import logging
import os
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from aster.compat import tf
from aster.errors import cause
from aster.files import find_file

_log = logging.getLogger(__name__)

MOVING_AVERAGE_SCOPE = "OptimizeClones"
OPTIMIZER = "optimizer.ckpt"


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of another model; the message says which, and what to do."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint's files are broken or incomplete."""


def find_checkpoint(path: str, base_dir: Optional[str] = None) -> str:
    """Finds a checkpoint.

    Args:
      path: of a checkpoint, with or without .index; or of a folder, for the latest checkpoint in it.
      base_dir: the experiment folder, if a configuration names the path; see `files.find_file`.

    Returns:
      The checkpoint's path, without .index.

    Raises:
      CheckpointError: there is none.
    """
    if base_dir is not None:
        file_or_folder = find_file(path, base_dir)
        path = file_or_folder if os.path.exists(file_or_folder) else find_file(path + ".index", base_dir)
    if os.path.isdir(path):
        paths = list_checkpoints(path)
        if not paths:
            raise CheckpointError(f"{path}: no checkpoint in this folder; has the training saved one yet?")
        return paths[-1]
    path = path[:-len(".index")] if path.endswith(".index") else path
    if not tf.train.checkpoint_exists(path):
        raise CheckpointError(f"{path}: no such checkpoint; expected a folder with checkpoints, or {path}.index and "
                              f"{path}.data-*")
    return path


def list_checkpoints(folder: str) -> List[str]:
    """Lists the checkpoints in a folder.

    They are those that the folder's file `checkpoint` names. If it is missing or damaged, the steps in the names of the
    files give the order.

    Args:
      folder: usually an experiment's folder log.

    Returns:
      Their paths, the latest last.
    """
    try:
        state = tf.train.get_checkpoint_state(folder)
    except Exception as error:  # of several types
        _log.warning("%s: damaged (%s); the names of the files give the order", os.path.join(folder, "checkpoint"),
                     cause(error))
        state = None
    if state:
        named = list(state.all_model_checkpoint_paths)
        if state.model_checkpoint_path:  # the latest, also where a published or edited file lists no others
            named = [path for path in named if path != state.model_checkpoint_path] + [state.model_checkpoint_path]
        # the folder may have moved since: the file can hold absolute paths
        beside = [os.path.join(folder, os.path.basename(path)) for path in named]
        paths = [path if _exists(path) else old for path, old in zip(beside, named) if _exists(path) or _exists(old)]
        if paths:
            return paths
    names = [os.path.basename(path)[:-len(".index")] for path in glob.glob(os.path.join(folder, "*-*.index"))]
    numbered = sorted((int(name.rpartition("-")[2]), name) for name in names
                      if name.rpartition("-")[2].isdigit() and not name.startswith(OPTIMIZER))
    return [os.path.join(folder, name) for _, name in numbered]


def _exists(path: str) -> bool:
    return os.path.exists(path + ".index") or os.path.exists(path)  # the second is TensorFlow's first format


def read_shapes(path: str) -> Dict[str, List[int]]:
    """Reads the shapes of a checkpoint's variables.

    Args:
      path: the checkpoint's path.

    Returns:
      {variable name: shape}.

    Raises:
      DamagedCheckpoint: it can't be read.
    """
    return _reader(path).get_variable_to_shape_map()


def global_step(path: str) -> int:
    """Reads the step at which a checkpoint was saved.

    Args:
      path: the checkpoint's path.

    Returns:
      The step; 0 if the checkpoint does not say.
    """
    reader = tf.train.NewCheckpointReader(path)
    return int(reader.get_tensor("global_step")) if reader.has_tensor("global_step") else 0


@contextlib.contextmanager
def constants(path: str, use_moving_averages: bool = False) -> Iterator[None]:
    """Makes tf.get_variable return numpy arrays with a checkpoint's values, in place of variables, within a `with`.

    A graph that is built so needs no restoring, and TensorFlow prepares its constants once instead of in every step.

    Args:
      path: the checkpoint's path.
      use_moving_averages: take the moving averages of variables that have them.

    Yields:
      Nothing.

    Raises:
      CheckpointError: from tf.get_variable, if the checkpoint lacks the variable or has it in another shape.
    """
    shapes, reader = read_shapes(path), _reader(path)

    def getter(name, shape=None, **_):  # TensorFlow 1.4 refuses one with annotations
        stored = _average_name(name, shapes) if use_moving_averages else name
        _check_model(path, {stored: tf.TensorShape(shape).as_list()}, shapes)
        return _read_tensor(path, reader, stored)
    with tf.variable_scope(tf.get_variable_scope(), custom_getter=getter):
        yield


def restore(session: Any, path: str, variables: Sequence[Any], *, use_moving_averages: bool = False) -> None:
    """Restores variables, all of which a checkpoint must have in the same shape.

    Args:
      session: of the variables' graph.
      path: the checkpoint's path.
      variables: the variables.
      use_moving_averages: take the moving averages of variables that have them.

    Raises:
      CheckpointError: a variable is missing or has another shape, or the checkpoint is damaged.
    """
    shapes = read_shapes(path)
    named = {_average_name(v.op.name, shapes) if use_moving_averages else v.op.name: v for v in variables}
    _check_model(path, {name: v.shape.as_list() for name, v in named.items()}, shapes)
    _restore(session, path, named)


def _check_model(path: str, expected: Dict[str, List[int]], shapes: Dict[str, List[int]]) -> None:
    """Raises CheckpointError unless `shapes` has all of `expected`, {name: shape}."""
    wrong = [f"{name} has shape {shapes[name]} there and {shape} here"
             for name, shape in sorted(expected.items()) if name in shapes and list(shapes[name]) != shape]
    wrong += [f"{name} is missing there" for name in sorted(expected) if name not in shapes]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(f"{path}: not a checkpoint of this configuration: {'; '.join(wrong[:3])}{more}")


def warm_start(session: Any, path: str, variables: Sequence[Any]) -> List[str]:
    """Restores those variables that a checkpoint has in the same shape.

    Args:
      session: of the variables' graph.
      path: the checkpoint's path.
      variables: the variables.

    Returns:
      The names of the variables that it does not have, sorted.

    Raises:
      CheckpointError: it has none of them, or is damaged.
    """
    restored = _restore_matching(session, path, variables)
    if not restored:
        raise CheckpointError(f"{path}: none of the model's variables is in this checkpoint in the same shape")
    return sorted(v.op.name for v in variables if v.op.name not in restored)


def resume(session: Any, log_dir: str, variables: Sequence[Any]) -> Optional[str]:
    """Restores variables from the newest checkpoint in a folder that is whole.

    The model's variables must be in it. Those of the optimizer may be missing, because it may be another optimizer
    now; they keep their initial values.

    Args:
      session: of the variables' graph.
      log_dir: the folder.
      variables: the model's and the optimizer's variables, and the global step.

    Returns:
      The checkpoint's path; None if the folder has no checkpoint.

    Raises:
      CheckpointError: the checkpoint is of another model, or all are damaged.
    """
    damaged = None
    for path in reversed(list_checkpoints(log_dir)):
        try:
            restore(session, path, [v for v in variables if not is_optimizer_state(v)])
            others = [v for v in variables if is_optimizer_state(v)]
            beside = optimizer_path(path)
            for source in [path, beside] if os.path.exists(beside + ".index") else [path]:
                _restore_matching(session, source, others)
            return path
        except DamagedCheckpoint as error:
            _log.warning("%s; trying the one before", error)
            damaged = error
    if damaged:
        raise CheckpointError(f"{damaged}; no whole checkpoint is left in {log_dir}: move its checkpoints away to "
                              "start anew") from damaged
    return None


def _restore_matching(session: Any, path: str, variables: Sequence[Any]) -> Dict[str, Any]:
    """Restores those variables that the checkpoint has in the same shape, and returns them by name."""
    shapes = read_shapes(path)
    matching = {v.op.name: v for v in variables if list(shapes.get(v.op.name, [-1])) == v.shape.as_list()}
    if matching:
        _restore(session, path, matching)
    return matching


def model_variables() -> List[Any]:
    """Returns the current graph's variables without the global step and those of the optimizer."""
    return [v for v in tf.global_variables() if not is_optimizer_state(v) and v.op.name != "global_step"]


def optimizer_path(path: str) -> str:
    """Returns where the optimizer's variables of a checkpoint are. The published system has them in the checkpoint."""
    return os.path.join(os.path.dirname(path), OPTIMIZER + "-" + path.rpartition("-")[2])


def is_optimizer_state(variable: Any) -> bool:
    """Returns whether a variable is the optimizer's, which only training needs, or a moving average."""
    return variable.op.name.startswith(MOVING_AVERAGE_SCOPE + "/")


def _restore(session: Any, path: str, named: Dict[str, Any]) -> None:
    """Restores {name in the checkpoint: variable}. Values are fed to the initializers, so that the graph doesn't grow.
    """
    reader = _reader(path)
    values = [(variable.initializer, _read_tensor(path, reader, name)) for name, variable in named.items()]
    session.run([initializer for initializer, _ in values],
                {initializer.inputs[1]: value for initializer, value in values})


def _reader(path: str) -> Any:
    try:
        return tf.train.NewCheckpointReader(path)
    except Exception as error:  # TensorFlow 1.4 and 2 raise different types here and below
        raise DamagedCheckpoint(f"{path}: damaged or not a checkpoint ({cause(error)})") from error


def _read_tensor(path: str, reader: Any, name: str) -> np.ndarray:
    try:
        value = reader.get_tensor(name)
        return value.astype(np.float32) if value.dtype == np.float16 else value
    except Exception as error:
        raise DamagedCheckpoint(f"{path}: damaged: {cause(error)}") from error


def _average_name(name: str, shapes: Dict[str, List[int]]) -> str:
    """The name of a variable's moving average; its own name if it has none, like batch statistics."""
    average = f"{MOVING_AVERAGE_SCOPE}/{name}/ExponentialMovingAverage"
    return average if average in shapes else name
