"""Data parallelism: clones of the model share variables, and their gradients are averaged."""
import logging
import re
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from aster.compat import num_gpus, tf

_log = logging.getLogger(__name__)
_VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable")


class Clones(NamedTuple):
    """What the clones of a model give for one batch.

    Attributes:
      total_loss: scalar, the mean over the clones of the sum of all losses and regularizers.
      losses: {name: scalar}, the mean over the clones of each loss.
      gradients: [(mean gradient, variable)].
      update_ops: the first clone's updates of batch statistics.
      first: the first clone's TrainingPass.
    """
    total_loss: Any
    losses: Dict[str, Any]
    gradients: List[Tuple[Any, Any]]
    update_ops: List[Any]
    first: Any


def clone_devices(num_clones: int, on_cpu: bool) -> List[str]:
    """Chooses the device of each clone.

    Args:
      num_clones: how many clones there are.
      on_cpu: put them on the CPU, even if there are GPUs.

    Returns:
      A device name for each clone. A single clone runs on the CPU if there is no GPU.

    Raises:
      ValueError: there are fewer GPUs than clones.
    """
    gpus = 0 if on_cpu else num_gpus()
    if on_cpu or (num_clones == 1 and gpus == 0):
        return [f"/cpu:{i}" for i in range(num_clones)]
    if gpus < num_clones:
        raise ValueError(f"--num_clones {num_clones} needs as many GPUs, and TensorFlow sees {gpus}; lower it, or add "
                         "--clone_on_cpu")
    return [f"/gpu:{i}" for i in range(num_clones)]


def build_clones(model: Any, batch: Any, devices: Sequence[str], *, freeze: Sequence[str] = ()) -> Clones:
    """Builds the model's training pass once for each device. All clones share their variables.

    Args:
      model: a RecognitionModel.
      batch: a named tuple of tensors [B, ...] (see `dataset.Batch`). Each clone gets every n-th sample.
      devices: the device of each clone.
      freeze: regular expressions. Variables whose whole name matches one of them are not trained.

    Returns:
      The Clones.

    Raises:
      ValueError: no variable is left to train.
    """
    passes, totals, gradients = [], [], []
    for i, device in enumerate(devices):
        share = type(batch)(*[None if tensor is None else tensor[i::len(devices)] for tensor in batch])
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE), \
                tf.name_scope(f"clone_{i}"), tf.device(_placement(device, len(devices))):
            result = model.training_pass(share.images, share.texts, share.control_points, share.keypoint_mask)
            total = tf.add_n(list(result.losses.values())
                             + tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
            if i == 0:  # before the others add theirs: all would update the same variables
                update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            gradients.append(_gradients(total, _trainable(freeze)))
        passes.append(result)
        totals.append(total)
    losses = {name: _mean([clone.losses[name] for clone in passes]) for name in passes[0].losses}
    return Clones(_mean(totals), losses, _average(gradients), update_ops, passes[0])


def _placement(device, num_clones):
    """Variables that several clones share live on the CPU."""
    if num_clones == 1:
        return device
    return lambda op: "/cpu:0" if op.type in _VARIABLE_OPS else device


def _trainable(freeze):
    for pattern in freeze:
        if not any(re.match(f"(?:{pattern})$", v.op.name) for v in tf.trainable_variables()):
            _log.warning("train_config.freeze_variables: %r matches no variable's whole name, so it freezes "
                         "nothing; the name of a variable looks like this: %s", pattern,
                         tf.trainable_variables()[0].op.name)
    variables = [v for v in tf.trainable_variables()
                 if not any(re.match(f"(?:{pattern})$", v.op.name) for pattern in freeze)]
    if not variables:
        raise ValueError("train_config.freeze_variables leaves nothing to train; remove one of its patterns")
    return variables


def _gradients(loss, variables):
    pairs = zip(tf.gradients(loss, variables), variables)
    return [(tf.convert_to_tensor(gradient), variable) for gradient, variable in pairs if gradient is not None]


def _average(clones):
    """[[(gradient, variable)] per clone] -> [(mean gradient, variable)]."""
    names = [set(variable.op.name for _, variable in clone) for clone in clones]
    for i, other in enumerate(names):
        if other != names[0]:
            raise ValueError(f"clone {i} and clone 0 must have gradients for the same variables; only one of them has "
                             f"{sorted(other.symmetric_difference(names[0]))}")
    return [(_mean([gradient for gradient, _ in same]), same[0][1]) for same in zip(*clones)]


def _mean(tensors):
    return tensors[0] if len(tensors) == 1 else tf.add_n(tensors) / float(len(tensors))
