"""Finding and restoring checkpoints: our own and the published system's, which name variables alike."""
import contextlib
import logging
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from aster import character_sets
from aster.checkpoint_files import (  # noqa: F401 - step_of is for callers
    BEST,
    OPTIMIZER,
    CheckpointError,
    DamagedCheckpoint,
    Reader,
    exists,
    list_checkpoints,
    open_reader,
    step_of,
)
from aster.compat import tf
from aster.files import find_file

_log = logging.getLogger(__name__)

MOVING_AVERAGE_SCOPE = "OptimizeClones"
GET_VARIABLE = "In parts of your own, make variables by tf.get_variable (docs/extending.md)"
PLACE_IN_DATA = "place_in_data"  # in that scope, saved as the optimizer's variables are, by a training with a seed


def find_checkpoint(path: str, base_dir: Optional[str] = None) -> str:
    """Finds a checkpoint.

    Args:
      path: the path of a checkpoint, with or without .index; or of a folder, for the latest checkpoint in it.
      base_dir: the experiment folder, if a configuration names the path; see `files.find_file`.

    Returns:
      The checkpoint's path, without .index.

    Raises:
      CheckpointError: there is none.
    """
    if base_dir is not None:  # a file beside the experiment comes before a folder elsewhere
        beside = os.path.join(base_dir, path)
        path = beside if os.path.isdir(beside) or exists(beside) else find_file(path, base_dir)
    if os.path.isdir(path):
        paths = list_checkpoints(path)
        if not paths:
            raise CheckpointError(f"{path}: no checkpoint in this folder; has the training saved one yet?")
        return paths[-1]
    path = path[:-len(".index")] if path.endswith(".index") else path
    if not exists(path):
        raise CheckpointError(f"{path}: no such checkpoint; expected a folder with checkpoints, or {path}.index and "
                              f"{path}.data-*")
    return path


def read_shapes(path: str) -> Dict[str, List[int]]:
    """Reads the shapes of a checkpoint's variables.

    Args:
      path: the checkpoint's path.

    Returns:
      {variable name: shape}.

    Raises:
      DamagedCheckpoint: it can't be read.
    """
    with open_reader(path) as reader:
        return reader.shapes


def global_step(path: str) -> int:
    """Reads the step at which a checkpoint was saved.

    Args:
      path: the checkpoint's path.

    Returns:
      The step; 0 if the checkpoint does not say.

    Raises:
      DamagedCheckpoint: it can't be read.
    """
    with open_reader(path) as reader:
        return int(reader.read("global_step")) if "global_step" in reader.shapes else 0


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
      CheckpointError: from tf.get_variable, if the checkpoint lacks the variable or has it in another shape; or a
        variable was made in another way, so that it can't get the checkpoint's value.
    """
    before = tf.global_variables()
    with open_reader(path) as reader:
        def value(getter, name, shape=None, **_):  # TensorFlow 1.4 refuses one with annotations
            stored = _average_name(name, reader.shapes) if use_moving_averages else name
            _check_model(path, {stored: tf.TensorShape(shape).as_list()}, reader.shapes)
            return reader.read(stored)
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=value):
            yield
    for variable in _new_variables(before):
        raise CheckpointError(f"{path}: the variable {variable.op.name} can't get its value from a checkpoint, because "
                              f"it was not made by tf.get_variable. {GET_VARIABLE}")


@contextlib.contextmanager
def only_get_variable() -> Iterator[None]:
    """Checks at the end of a `with` that tf.get_variable has made all of its variables.

    Yields:
      Nothing.

    Raises:
      ValueError: reading would not have a variable.
    """
    known = tf.global_variables()

    def note(getter, *arguments, **options):
        known.append(getter(*arguments, **options))
        return known[-1]
    with tf.variable_scope(tf.get_variable_scope(), custom_getter=note):
        yield
    for variable in _new_variables(known):
        raise ValueError(f"the variable {variable.op.name} was not made by tf.get_variable, so neither reading nor "
                         f"other clones would have it. {GET_VARIABLE}")


def _new_variables(known):
    """The graph's variables that are not known. Integers, such as a seed's state, need no value of a checkpoint."""
    ids = set(map(id, known))
    return [variable for variable in tf.global_variables()
            if id(variable) not in ids and variable.dtype.is_floating]


def restore(session: Any, path: str, variables: Sequence[Any], *, use_moving_averages: bool = False) -> None:
    """Restores variables, all of which a checkpoint must have in the same shape.

    Args:
      session: a session of the variables' graph.
      path: the checkpoint's path.
      variables: the variables.
      use_moving_averages: take the moving averages of variables that have them.

    Raises:
      CheckpointError: a variable is missing or has another shape, or the checkpoint is damaged.
    """
    with open_reader(path) as reader:
        named = {_average_name(v.op.name, reader.shapes) if use_moving_averages else v.op.name: v for v in variables}
        _check_model(path, {name: v.shape.as_list() for name, v in named.items()}, reader.shapes)
        _restore(session, reader, named)


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
      session: a session of the variables' graph.
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


def resume(session: Any, log_dir: str, variables: Sequence[Any],
           characters: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """Restores variables from the newest checkpoint in a folder that is whole.

    The model's variables must be in it. Those of the optimizer may be missing, because it may be another optimizer
    now; they keep their initial values, and the log says so.

    Args:
      session: a session of the variables' graph.
      log_dir: the folder.
      variables: the model's and the optimizer's variables, and the global step.
      characters: the character sets of the configuration, {name of a predictor: its characters}.

    Returns:
      The checkpoint's path; None if the folder has no checkpoint.

    Raises:
      CheckpointError: the checkpoint is of another model or has other character sets, or all are damaged.
    """
    damaged, without_optimizer = None, None
    for path in reversed(list_checkpoints(log_dir)):
        if without_optimizer and not exists(optimizer_path(path)):
            break  # an older one would be no better
        character_sets.check(path, characters or {})
        try:
            _restore_model(session, path, variables)
        except DamagedCheckpoint as error:
            _log.warning("%s; trying the one before", error.problem)
            damaged = error
            continue
        try:
            _restore_optimizer(session, path, variables)
            return path
        except DamagedCheckpoint as error:
            _log.warning("%s; trying the one before", error.problem)
            without_optimizer = without_optimizer or path
    if without_optimizer:
        _log.warning("no older checkpoint is whole: %s is used, and the optimizer's state starts anew",
                     without_optimizer)
        _restore_model(session, without_optimizer, variables)
    elif damaged:
        best = list_checkpoints(os.path.join(log_dir, BEST))
        kept = f" The best checkpoint is kept: {best[-1]}" if best else ""
        raise CheckpointError(f"{damaged.problem}; no whole checkpoint is left in {log_dir}, and nothing is changed "
                              "there: copy the damaged files again from where they came, or train in another "
                              f"experiment folder.{kept}") from damaged
    return without_optimizer


def _restore_model(session: Any, path: str, variables: Sequence[Any]) -> None:
    """Restores the model's variables, all of which must be there, and those of the optimizer that are."""
    restore(session, path, [v for v in variables if not is_optimizer_state(v)])
    _restore_matching(session, path, [v for v in variables if is_optimizer_state(v)])


def _restore_optimizer(session: Any, path: str, variables: Sequence[Any]) -> None:
    """Restores what is saved of the optimizer's variables beside a checkpoint, and says what neither file has."""
    beside = optimizer_path(path)
    expected = [v for v in variables if is_optimizer_state(v)]
    of_optimizer = [v for v in expected if v.op.name != f"{MOVING_AVERAGE_SCOPE}/{PLACE_IN_DATA}"]
    saved = dict(read_shapes(path))
    if exists(beside):
        saved.update(read_shapes(beside))
        _restore_matching(session, beside, expected)
    missing = [v for v in of_optimizer if list(saved.get(v.op.name, [-1])) != v.shape.as_list()]
    if missing:
        reason = f"there is no {beside}"
        if exists(beside):
            reason = f"{beside} " + ("is of another optimizer" if len(missing) == len(of_optimizer) else "lacks them")
        _log.warning("%d of the optimizer's %d variables start anew, since they are not saved with %s: %s",
                     len(missing), len(of_optimizer), path, reason)


def _restore_matching(session: Any, path: str, variables: Sequence[Any]) -> Dict[str, Any]:
    """Restores those variables that the checkpoint has in the same shape, and returns them by name."""
    with open_reader(path) as reader:
        matching = {v.op.name: v for v in variables if list(reader.shapes.get(v.op.name, [-1])) == v.shape.as_list()}
        if matching:
            _restore(session, reader, matching)
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


def _restore(session: Any, reader: Reader, named: Dict[str, Any]) -> None:
    """Restores {name in the checkpoint: variable}."""
    assign(session, [(variable, reader.read(name)) for name, variable in named.items()])


def assign(session: Any, values: Sequence[Tuple[Any, Any]]) -> None:
    """Gives values to variables, pairs of both. They are fed to the initializers, so that the graph doesn't grow."""
    session.run([variable.initializer for variable, _ in values],
                {variable.initializer.inputs[1]: value for variable, value in values})


def average_name(name: str) -> str:
    """Returns the name of the moving average of a variable."""
    return f"{MOVING_AVERAGE_SCOPE}/{name}/ExponentialMovingAverage"


def _average_name(name: str, shapes: Dict[str, List[int]]) -> str:
    """The name of a variable's moving average; its own name if it has none, like batch statistics."""
    average = average_name(name)
    return average if average in shapes else name
