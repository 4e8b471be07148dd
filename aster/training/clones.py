"""Data parallelism: clones of the model share variables, and their gradients are averaged."""
import contextlib
import logging
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from aster import clone_means
from aster.checkpoint import only_get_variable
from aster.compat import num_gpus, tf
from aster.training import exchange
from aster.training.collectives import Collectives

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


def build_clones(model: Any, shares: Sequence[Any], devices: Sequence[str], *, freeze: Sequence[str] = (),
                 sync_batch_norm: bool = False, shared_variables: bool = False,
                 collectives: Optional[Collectives] = None, with_copies: bool = False) -> Clones:
    """Builds the model's training pass once for each device. All clones share their variables, which live on the first
    clone's device. From there, a GPU reaches them without the host.

    The losses and gradients are those of one clone that has the whole batch. This does not hold where batch
    normalization takes the statistics of each clone's share, which it does unless `sync_batch_norm` is set.

    Args:
      model: a RecognitionModel.
      shares: for each clone, a named tuple of tensors [B / n, ...] (see `dataset.Batch`), its share of the batch.
      devices: the device of each clone.
      freeze: regular expressions. Variables whose whole name matches one of them are not trained.
      sync_batch_norm: whether batch normalization takes the statistics of the whole batch.
      shared_variables: whether variables live on the CPU, as those of parameter servers do.
      collectives: joins them with the clones of other workers, whose losses and gradients are those of all workers'
        batches then. None: these are all.
      with_copies: whether each step begins with copies of the parameters for all devices, and ends with a sum of the
        gradients over all devices; see `exchange.can_exchange`. False: each clone exchanges them with the first one
        alone.

    Returns:
      The Clones.

    Raises:
      ValueError: no variable is left to train, the clones don't train the same variables, or a part makes a variable
        that reading would not have.
    """
    count = len(devices)
    count_of_all = count * (collectives.num_workers if collectives else 1)
    if count_of_all > 1:
        clone_means.begin(count_of_all, sync_batch_norm)
    home = "/cpu:0" if shared_variables else devices[0]
    passes, totals, variables = [], [], []
    copies: List[Dict[str, Any]] = [{} for _ in devices]  # {name of a parameter: what a clone has in its place}
    for i, (share, device) in enumerate(zip(shares, devices)):
        with only_get_variable(), _scope_of_clone(i, device, home, copies[i]):
            result = model.training_pass(share.images, share.texts, share.control_points, share.keypoint_mask)
            total = tf.add_n(list(result.losses.values())
                             + tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
            if i == 0:  # before the others add theirs: all would update the same variables
                update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            variables.append(_trainable(freeze))
        passes.append(result)
        totals.append(total)
        if i == 0 and with_copies:
            _copy_parameters(devices, copies, [own_share.images for own_share in shares])
    if count_of_all > 1:
        clone_means.connect(count, collectives.mean if collectives else None)
    losses = {name: _mean([clone.losses[name] for clone in passes]) for name in passes[0].losses}
    if with_copies or (count > 1 and sync_batch_norm):
        _check_same([{v.op.name for v in own} for own in variables])
    if with_copies:
        means = _gradients_of_copies(_mean(totals), variables[0], copies, devices)
    elif count > 1 and sync_batch_norm:  # gradients flow from each clone to the others
        means = _gradients(_mean(totals), variables[0], colocate=True)  # each clone's on its own device
    else:
        gradients = []
        for i, device in enumerate(devices):
            with _scope_of_clone(i, device, home, {}):
                gradients.append(_gradients(totals[i], variables[i]))
        with tf.device(home):
            means = _average(gradients)
    clones = Clones(_mean(totals), losses, means, update_ops, passes[0])
    return _join_workers(clones, collectives) if collectives else clones


def _join_workers(clones, collectives):
    """The means over all workers. The gradients of the last layers are there first, so they are sent first."""
    for gradient, variable in clones.gradients:
        gradient.set_shape(variable.shape)  # that of rows of an embedding is not known otherwise
    means = collectives.step_means([gradient for gradient, _ in reversed(clones.gradients)]
                                   + [clones.total_loss] + list(clones.losses.values()))
    count = len(clones.gradients)
    gradients = zip(reversed(means[:count]), [variable for _, variable in clones.gradients])
    return clones._replace(total_loss=means[count], losses=dict(zip(clones.losses, means[count + 1:])),
                           gradients=list(gradients))


@contextlib.contextmanager
def _scope_of_clone(i, device, home, copies):
    def copy_or_variable(getter, *arguments, **options):
        variable = getter(*arguments, **options)
        name = getattr(getattr(variable, "op", None), "name", None)  # in parts, a variable has none
        return copies.get(name, variable)
    placement = device if device == home else lambda op: home if op.type in _VARIABLE_OPS else device
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE,
                           custom_getter=copy_or_variable if copies else None), \
            tf.name_scope(f"clone_{i}"), tf.device(placement):
        yield


def _copy_parameters(devices, copies, after):
    """Builds the copies of all parameters that there are, for each device but the first. They come after the data: when
    these end, TensorFlow would stop the copies half-way."""
    variables = [v for v in tf.trainable_variables()
                 if v.dtype.base_dtype == tf.float32 and v.shape.is_fully_defined()]
    for of_clone, values in zip(copies[1:], exchange.copies(variables, devices, after)):
        of_clone.update(zip([v.op.name for v in variables], values))


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


def _gradients(loss, variables, colocate=False):
    pairs = zip(tf.gradients(loss, variables, colocate_gradients_with_ops=colocate), variables)
    return [(tf.convert_to_tensor(gradient), variable) for gradient, variable in pairs if gradient is not None]


def _gradients_of_copies(mean_total, variables, copies, devices):
    """-> [(gradient, variable)], where each clone but the first has copies."""
    own = [v for v in variables if v.op.name in copies[1]]
    inputs = [variables] + [[of_clone[v.op.name] for v in own] for of_clone in copies[1:]]
    gradients = iter(tf.gradients(mean_total, sum(inputs, []), colocate_gradients_with_ops=True))
    first, *others = [{v.op.name: next(gradients) for v in of_clone}
                      for of_clone in [variables] + [own] * (len(devices) - 1)]
    # A part that keeps a variable to itself uses it in all clones. It has no copy, or no use for it.
    own = [v for v in own if any(of_clone[v.op.name] is not None for of_clone in others)]
    _check_same([{v.op.name for v in own if of_clone[v.op.name] is not None} for of_clone in [first] + others])
    own.reverse()  # those of the last layers are there first
    values = []
    for device, of_clone in zip(devices, [first] + others):
        with tf.device(device):
            values.append([tf.convert_to_tensor(of_clone[v.op.name]) for v in own])
        for gradient, variable in zip(values[-1], own):
            gradient.set_shape(variable.shape)  # that of rows of an embedding is not known otherwise
    first.update(zip([v.op.name for v in own], exchange.sums(values, devices)))
    return [(tf.convert_to_tensor(first[v.op.name]), v) for v in variables if first[v.op.name] is not None]


def _average(clones):
    """[[(gradient, variable)] per clone] -> [(mean gradient, variable)]."""
    _check_same([set(variable.op.name for _, variable in clone) for clone in clones])
    return [(_mean([gradient for gradient, _ in same]), same[0][1]) for same in zip(*clones)]


def _check_same(names):
    """Raises ValueError unless all clones have gradients for variables of the same names."""
    for i, other in enumerate(names):
        if other != names[0]:
            raise ValueError(f"clone {i} and clone 0 must have gradients for the same variables; only one of them has "
                             f"{sorted(other.symmetric_difference(names[0]))}")


def _mean(tensors):
    return tensors[0] if len(tensors) == 1 else tf.add_n(tensors) / float(len(tensors))
