"""Data parallelism: clones of the model share variables, and their gradients are averaged."""
import logging
import re
from typing import Any, List, NamedTuple

from aster.compat import num_gpus, tf

_log = logging.getLogger(__name__)
_VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable")


class Clones(NamedTuple):
    """total_loss: mean over the clones; losses: mean of each term by name; gradients: [(mean gradient,
    variable)]; update_ops: of the first clone; first: the first clone's TrainingPass."""
    total_loss: Any
    losses: dict
    gradients: List[Any]
    update_ops: List[Any]
    first: Any


def clone_devices(num_clones, on_cpu):
    """A device per clone. Raises ValueError where there are fewer GPUs than clones."""
    gpus = 0 if on_cpu else num_gpus()
    if on_cpu or (num_clones == 1 and gpus == 0):
        return ["/cpu:%d" % i for i in range(num_clones)]
    if gpus < num_clones:
        raise ValueError("--num_clones %d needs as many GPUs, and TensorFlow sees %d; lower it, or add "
                         "--clone_on_cpu" % (num_clones, gpus))
    return ["/gpu:%d" % i for i in range(num_clones)]


def build_clones(model, batch, devices, freeze=()):
    """Builds the model's training pass for each device on its part of the batch -> Clones.

    Variables whose whole name matches one of the regular expressions `freeze` get no gradient.
    """
    passes, totals, gradients = [], [], []
    for i, device in enumerate(devices):
        part = type(batch)(*[None if tensor is None else tensor[i::len(devices)] for tensor in batch])
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE), \
                tf.name_scope("clone_%d" % i), tf.device(_placement(device, len(devices))):
            result = model.training_pass(part.images, part.texts, part.control_points, part.keypoint_mask)
            total = tf.add_n(list(result.losses.values())
                             + tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
            if i == 0:
                update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            gradients.append(_gradients(total, _trainable(freeze)))
        passes.append(result)
        totals.append(total)
    losses = {name: _mean([one.losses[name] for one in passes]) for name in passes[0].losses}
    return Clones(_mean(totals), losses, _average(gradients), update_ops, passes[0])


def _placement(device, num_clones):
    """Variables that several clones share live on the CPU."""
    if num_clones == 1:
        return device
    return lambda op: "/cpu:0" if op.type in _VARIABLE_OPS else device


def _trainable(freeze):
    for pattern in freeze:
        if not any(re.match(f"(?:{pattern})$", v.op.name) for v in tf.trainable_variables()):
            _log.warning("train_config.freeze_variables: %r matches no variable as a whole, so that it freezes "
                         "nothing; one is called %s", pattern, tf.trainable_variables()[0].op.name)
    variables = [v for v in tf.trainable_variables()
                 if not any(re.match(f"(?:{pattern})$", v.op.name) for pattern in freeze)]
    if not variables:
        raise ValueError("train_config.freeze_variables leaves nothing to train")
    return variables


def _gradients(loss, variables):
    pairs = zip(tf.gradients(loss, variables), variables)
    return [(tf.convert_to_tensor(gradient), variable) for gradient, variable in pairs if gradient is not None]


def _average(clones):
    """[[(gradient, variable)] per clone] -> [(mean gradient, variable)]."""
    names = [set(variable.op.name for _, variable in clone) for clone in clones]
    for i, other in enumerate(names):
        if other != names[0]:
            raise ValueError("clone %d has other gradients than clone 0, which differ in %s"
                             % (i, sorted(other.symmetric_difference(names[0]))))
    return [(_mean([gradient for gradient, _ in same]), same[0][1]) for same in zip(*clones)]


def _mean(tensors):
    return tensors[0] if len(tensors) == 1 else tf.add_n(tensors) / float(len(tensors))
