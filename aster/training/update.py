"""The end of a training step: the check of the gradients, the optimizer, and the moving averages."""
import contextlib
import logging
from typing import Any, List, Optional, Sequence, Tuple

from aster import checkpoint
from aster.compat import CAN_COMPILE, GPU_REMEDY, compiled, session_config, tf
from aster.errors import cause
from aster.model.layers import AVERAGE_UPDATES
from aster.training.clones import Clones
from aster.training.optimizer import make_update, transform_gradients

_log = logging.getLogger(__name__)


def train_op(clones: Clones, config: Any, global_step: Any, *, compile_for: Optional[str] = None) -> Tuple[Any, Any]:
    """Builds one step of training.

    Args:
      clones: what `build_clones` made.
      config: a TrainConfig message.
      global_step: the variable that counts steps.
      compile_for: the device of the variables, for which XLA compiles all that follows the gradients; see
        `device_to_compile_for`. None: it runs as some thousand operations, whose starts take most of a GPU's step.

    Returns:
      The op of one step, and its learning rate, scalar. The op fails and changes no parameter if the loss or a
      gradient is not finite.
    """
    gradients, variables = zip(*clones.gradients)
    ops = {id(op) for op in clones.update_ops}
    statistics = [kept for kept in tf.get_collection(AVERAGE_UPDATES) if id(kept[0]) in ops] if compile_for else []
    with tf.variable_scope(checkpoint.MOVING_AVERAGE_SCOPE):
        update_parameters, rate = make_update(config, global_step)
        averages = make_averages(config, global_step)

        def update(gradients: Sequence[Any], values: Sequence[Any]) -> Any:
            pairs = transformed(list(zip(gradients, variables)), config)
            updates = [update_parameters(pairs)]
            updates += update_averages(averages, variables, updates)
            updates += [tf.assign_sub(average, (1.0 - decay) * (average - value))
                        for (_, average, _, decay), value in zip(statistics, values)]
            with tf.control_dependencies(updates):
                return tf.constant(True)
        # the check is of the gradients before clipping, which would make all of them wrong and hide the name
        with tf.control_dependencies([check_finite(clones.total_loss, clones.gradients, compile_for)]):
            updated = update(gradients, [])
            if compile_for:
                with tf.device(compile_for):  # what is above never runs then, but made the variables, as this can't
                    updated = compiled(update, list(gradients), [value for _, _, value, _ in statistics])
    ops -= {id(op) for op, _, _, _ in statistics}
    return tf.group(updated, *[op for op in clones.update_ops if id(op) in ops]), rate


def device_to_compile_for(devices: Sequence[str], clones: Clones) -> Optional[str]:
    """Chooses whether `train_op` is compiled.

    Args:
      devices: the device of each clone.
      clones: the clones.

    Returns:
      The device of the first clone, if that is a GPU for which TensorFlow can compile and the variables are there;
      otherwise None. What a GPU lacks is logged.
    """
    if not CAN_COMPILE or not devices[0].startswith("/gpu"):
        return None
    variables = [variable for _, variable in clones.gradients]
    variables += [average for _, average, _, _ in tf.get_collection(AVERAGE_UPDATES)]
    place = tf.DeviceSpec.from_string(devices[0]).to_string()
    elsewhere = [variable.op.name for variable in variables if variable.device != place]
    if elsewhere:  # such as a part of your own may have
        _log.warning("the end of a step is not compiled, so steps take longer: the variable %s is not on %s",
                     elsewhere[0], devices[0])
        return None
    problem = compile_problem(devices[0])
    if problem:
        _log.warning("the end of a step is not compiled, so steps take longer: TensorFlow can't compile for %s (%s); "
                     "to install what it lacks: %s", devices[0], problem, GPU_REMEDY)
    return None if problem else devices[0]


def compile_problem(device: str) -> str:
    """Says why TensorFlow 2 can't compile functions for a device, such as "/gpu:0". It tries; "" means that it can."""
    with tf.Graph().as_default() as graph, tf.device(device):
        base = tf.placeholder_with_default(tf.fill([2], 0.5), [2])  # not a constant, computed ahead
        power = compiled(lambda base: base ** base, base)  # needs libdevice, as optimizers do
        with contextlib.closing(tf.Session(graph=graph, config=session_config())) as session:
            try:
                session.run(power)
            except tf.errors.OpError as error:
                return cause(error)
    return ""


def transformed(gradients: Sequence[Tuple[Any, Any]], config: Any) -> List[Tuple[Any, Any]]:
    """Returns gradients, [(gradient, variable)], clipped and multiplied as a TrainConfig message says."""
    return transform_gradients(gradients, clip_norm=config.gradient_clipping_by_norm,
                               bias_multiplier=config.bias_grad_multiplier,
                               global_norm=config.gradient_clipping_by_global_norm)


def make_averages(config: Any, global_step: Any) -> Optional[Any]:
    """Makes the moving averages of the parameters.

    Args:
      config: a TrainConfig message.
      global_step: the variable that counts steps.

    Returns:
      A tf.train.ExponentialMovingAverage, or None where the configuration wants no averages.
    """
    if not config.optimizer.use_moving_average:
        return None
    # with the number of updates, the averages of a short run forget the initial values
    return tf.train.ExponentialMovingAverage(config.optimizer.moving_average_decay, global_step)


def update_averages(averages: Optional[Any], variables: Sequence[Any], updates: Sequence[Any]) -> List[Any]:
    """Lets the moving averages follow the parameters.

    Args:
      averages: what `make_averages` made.
      variables: the parameters.
      updates: the ops that change them, which come first.

    Returns:
      The op; none where there are no averages.
    """
    if averages is None:
        return []
    with tf.control_dependencies(updates):
        return [averages.apply(list(variables))]


def check_finite(loss: Any, gradients: Sequence[Tuple[Any, Any]], compile_for: Optional[str] = None) -> Any:
    """Makes an op that fails if a number is not finite, with the name of its gradient.

    Args:
      loss: scalar.
      gradients: [(gradient, variable)].
      compile_for: the device for which XLA compiles the check; None: it does not.

    Returns:
      The op.
    """
    values = [loss] + [gradient for gradient, _ in gradients]
    names = ["the loss"] + ["the gradient of " + variable.op.name for _, variable in gradients]

    def name_it(values: Sequence[Any]) -> Any:
        return tf.group(*[tf.check_numerics(value, name) for value, name in zip(values, names)])
    # A check of each gradient takes longer, and therefore runs only to find the name.
    if compile_for:
        with tf.device(compile_for):
            finite = compiled(lambda values: tf.stack([tf.reduce_all(tf.is_finite(value)) for value in values]), values)
        return tf.cond(tf.reduce_all(finite), tf.no_op, lambda: name_it(
            tf.unstack(tf.where(finite, tf.zeros([len(names)]), tf.fill([len(names)], float("nan"))))))
    # the sum of all squares is finite only if every number is
    total = tf.add_n([loss] + [tf.nn.l2_loss(gradient) for gradient, _ in gradients])
    return tf.cond(tf.is_finite(total), tf.no_op, lambda: name_it(values))
