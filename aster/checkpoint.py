"""Finding and reading checkpoints: our own and the published system's, which name variables alike."""
import os

from aster.compat import tf

MOVING_AVERAGE_SCOPE = "OptimizeClones"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another model; the message says which and what to do."""


def find_checkpoint(path):
    """A checkpoint's path (with or without .index), or a folder whose latest is meant -> its path."""
    if os.path.isdir(path):
        state = tf.train.get_checkpoint_state(path)
        if not state or not state.model_checkpoint_path:
            raise CheckpointError("%s: no checkpoint in this folder; has the training saved one yet?" % path)
        # the folder may have moved since: the state file can hold absolute paths
        beside = os.path.join(path, os.path.basename(state.model_checkpoint_path))
        path = beside if tf.train.checkpoint_exists(beside) else state.model_checkpoint_path
    path = path[:-len(".index")] if path.endswith(".index") else path
    if not tf.train.checkpoint_exists(path):
        raise CheckpointError("%s: no such checkpoint; expected %s.index and %s.data-*" % (path, path, path))
    return path


def read_shapes(path):
    """{variable name: shape} of a checkpoint. Raises CheckpointError where it can't be read."""
    try:
        return tf.train.NewCheckpointReader(path).get_variable_to_shape_map()
    except Exception as error:  # TensorFlow 1.4 and 2 raise different types here
        raise CheckpointError("%s: damaged or not a checkpoint (%s)" % (path, _first_line(error)))


def restore(session, path, variables, use_moving_averages=False):
    """Reads `variables` from the checkpoint at `path`; every one must be there, in its shape."""
    shapes = read_shapes(path)
    names = {variable.op.name: variable for variable in variables}
    if use_moving_averages:
        names = {_average_name(name, shapes): variable for name, variable in names.items()}
    wrong = ["%s has shape %s there and %s here" % (name, shapes[name], variable.shape.as_list())
             for name, variable in sorted(names.items())
             if name in shapes and list(shapes[name]) != variable.shape.as_list()]
    wrong += ["%s is missing there" % name for name in sorted(names) if name not in shapes]
    if wrong:
        raise CheckpointError("%s: not a checkpoint of this configuration: %s%s" % (
            path, "; ".join(wrong[:3]), " and %d more" % (len(wrong) - 3) if len(wrong) > 3 else ""))
    _restore(session, path, names)


def warm_start(session, path, variables):
    """Reads those of `variables` that the checkpoint has in the same shape -> names of those that it hasn't."""
    shapes = read_shapes(path)
    found = {v.op.name: v for v in variables if list(shapes.get(v.op.name, [-1])) == v.shape.as_list()}
    if not found:
        raise CheckpointError("%s: none of the model's variables is in this checkpoint in the same shape" % path)
    _restore(session, path, found)
    return sorted(v.op.name for v in variables if v.op.name not in found)


def _restore(session, path, names):
    with session.graph.as_default():
        saver = tf.train.Saver(names)
    try:
        saver.restore(session, path)
    except Exception as error:
        if not isinstance(error, (tf.errors.OpError, ValueError)):
            raise
        raise CheckpointError("%s: damaged: %s" % (path, _first_line(error)))


def _average_name(name, shapes):
    """Variables without an average (batch statistics) are read as they are."""
    average = "%s/%s/ExponentialMovingAverage" % (MOVING_AVERAGE_SCOPE, name)
    return average if average in shapes else name


def _first_line(error):
    lines = (getattr(error, "message", None) or str(error)).splitlines()
    return lines[0] if lines else type(error).__name__
