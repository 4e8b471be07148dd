"""Learning-rate schedules and optimizers (protos/optimizer.proto)."""
import math
import re
from typing import Any, Callable, List, Sequence, Tuple

from aster.compat import tf

_LOCALIZATION = re.compile(r"(^|/)LocalizationNet/")


def learning_rate(config: Any, global_step: Any) -> Any:
    """Builds a schedule.

    Args:
      config: a LearningRate message.
      global_step: scalar tensor.

    Returns:
      The learning rate at this step, scalar.
    """
    kind = config.WhichOneof("learning_rate")
    options = getattr(config, kind)
    if kind == "constant_learning_rate":
        return tf.constant(options.learning_rate)
    if kind == "exponential_decay_learning_rate":
        return tf.train.exponential_decay(options.initial_learning_rate, global_step, options.decay_steps,
                                          options.decay_factor, options.staircase)
    if kind == "cosine_decay_learning_rate":
        top = options.initial_learning_rate
        return _cosine(top, top * options.final_factor, tf.cast(global_step, tf.float32) / float(options.num_steps))
    if kind == "one_cycle_learning_rate":
        return _one_cycle(options, tf.cast(global_step, tf.float32))
    rates = [options.initial_learning_rate] + [entry.learning_rate for entry in options.schedule]
    # the rate's index is the number of steps of the schedule that are reached
    steps = tf.constant([entry.step for entry in options.schedule], tf.int64)
    return tf.gather(tf.constant(rates), tf.reduce_sum(tf.cast(tf.cast(global_step, tf.int64) >= steps, tf.int32)))


def _one_cycle(options, step):
    """Up from a 25th of the maximum, then down to a 10,000th of the first rate (Smith and Topin 2017, whose straight
    lines are cosines here)."""
    top, warmup = options.max_learning_rate, float(options.num_warmup_steps)
    low, end = top / 25.0, top / 25.0e4
    return tf.where(step < warmup, _cosine(low, top, step / max(warmup, 1.0)),
                    _cosine(top, end, (step - warmup) / (options.num_steps - warmup)))


def _cosine(first, last, done):
    """From `first` to `last` along half a cosine; `done` is 0 at its start and 1 at its end."""
    return last + (first - last) * 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))


def make_optimizer(config: Any, global_step: Any, *, warmup_steps: int = 0, factor: float = 1.0) -> Tuple[Any, Any]:
    """Makes an optimizer.

    Args:
      config: an Optimizer message.
      global_step: scalar tensor.
      warmup_steps: in so many steps the rate rises in a straight line to that of the schedule; 0 is no warm-up.
      factor: of the rate.

    Returns:
      A tf.train.Optimizer, and its learning rate, scalar.
    """
    kind = config.WhichOneof("optimizer")
    options = getattr(config, kind)
    rate = learning_rate(options.learning_rate, global_step)
    if warmup_steps:
        rate *= tf.minimum(1.0, (tf.cast(global_step, tf.float32) + 1.0) / warmup_steps)
    if factor != 1.0:
        rate *= factor
    if kind == "rms_prop_optimizer":
        return tf.train.RMSPropOptimizer(rate, options.decay, options.momentum_optimizer_value,
                                         options.epsilon), rate
    if kind == "momentum_optimizer":
        return tf.train.MomentumOptimizer(rate, options.momentum_optimizer_value), rate
    if kind == "adam_optimizer":
        return tf.train.AdamOptimizer(rate), rate
    if kind == "adamw_optimizer":
        return AdamWOptimizer(rate, options.weight_decay), rate
    if kind == "nadam_optimizer":
        return NadamOptimizer(rate), rate
    return tf.train.AdadeltaOptimizer(rate, options.rho, epsilon=1e-8), rate


class AdamWOptimizer(tf.train.AdamOptimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2). Variables of two or more dimensions
    decay, which are kernels and embeddings."""

    def __init__(self, learning_rate: Any, weight_decay: float) -> None:
        """Takes the learning rate, a number or a scalar tensor; in each step it is multiplied by the weight decay."""
        super().__init__(learning_rate)
        self._decay_rate = learning_rate * weight_decay

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: Any = None) -> Any:
        """Decays the variables, then does what Adam does."""
        pairs = list(grads_and_vars)
        with tf.control_dependencies([gradient for gradient, _ in pairs]):  # they are of the variables before the decay
            decays = [tf.assign_sub(variable, self._decay_rate * variable)
                      for _, variable in pairs if len(variable.shape) > 1]
        with tf.control_dependencies(decays):
            return super().apply_gradients(pairs, global_step, name)


class NadamOptimizer(tf.train.Optimizer):
    """Adam with Nesterov momentum (Dozat 2016). TensorFlow has it only in 1.4's contrib."""

    def __init__(self, learning_rate: Any, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
                 name: str = "Nadam") -> None:
        """Takes the learning rate, a number or a scalar tensor; the rest are Adam's symbols."""
        super().__init__(use_locking=False, name=name)
        self._rate, self._beta1, self._beta2, self._epsilon = learning_rate, beta1, beta2, epsilon

    def _create_slots(self, var_list):
        for variable in var_list:
            self._zeros_slot(variable, "m", self._name)
            self._zeros_slot(variable, "v", self._name)
            self._get_or_make_slot(variable, tf.zeros([]), "updates", self._name)

    def _apply_dense(self, grad, var):
        m, v, updates = (self.get_slot(var, name) for name in ("m", "v", "updates"))
        updates = tf.assign_add(updates, 1.0)
        m = tf.assign(m, self._beta1 * m + (1.0 - self._beta1) * grad)
        v = tf.assign(v, self._beta2 * v + (1.0 - self._beta2) * tf.square(grad))
        rate = self._rate * tf.sqrt(1.0 - self._beta2 ** updates) / (1.0 - self._beta1 ** updates)
        step = self._beta1 * m + (1.0 - self._beta1) * grad
        return tf.assign_sub(var, rate * step / (tf.sqrt(v) + self._epsilon))

    _resource_apply_dense = _apply_dense


def make_update(config: Any, global_step: Any) -> Tuple[Callable[[Sequence[Tuple[Any, Any]]], Any], Any]:
    """Makes the optimizers of a configuration: one of the localization network at its own rate, one of the rest.

    Args:
      config: a TrainConfig message.
      global_step: the variable that counts steps.

    Returns:
      A function of [(gradient, variable)] that makes the op of an update, in which the global step becomes one more;
      and the learning rate of all but the localization network, scalar. The function's first call makes the
      optimizers' variables, and each later call uses them.
    """
    factor, warmup_steps = config.localization_learning_rate_factor, config.learning_rate_warmup_steps
    optimizer, rate = make_optimizer(config.optimizer, global_step, warmup_steps=warmup_steps)
    own, _ = make_optimizer(config.optimizer, global_step, warmup_steps=warmup_steps, factor=factor)

    def update(gradients: Sequence[Tuple[Any, Any]]) -> Any:
        localization: List[Tuple[Any, Any]] = []
        others: List[Tuple[Any, Any]] = []
        for pair in gradients:
            is_localization = factor != 1.0 and _LOCALIZATION.search(pair[1].op.name)
            (localization if is_localization else others).append(pair)
        if not localization:
            return optimizer.apply_gradients(gradients, global_step=global_step)
        if not others:
            return own.apply_gradients(localization, global_step=global_step)
        with tf.control_dependencies([own.apply_gradients(localization)]):  # its rate is that of the step before
            return optimizer.apply_gradients(others, global_step=global_step)
    return update, rate


def transform_gradients(gradients: Sequence[Tuple[Any, Any]], *, clip_norm: float = 0.0, bias_multiplier: float = 0.0,
                        global_norm: float = 0.0) -> List[Tuple[Any, Any]]:
    """Multiplies the gradients of biases, then clips each gradient, then all of them together (Pascanu et al. 2013).

    Args:
      gradients: [(gradient, variable)].
      clip_norm: the largest norm of a gradient; 0 clips none.
      bias_multiplier: what the gradients of biases are multiplied by; 0 leaves them as they are.
      global_norm: the largest norm of all gradients together; 0 clips none.

    Returns:
      [(gradient, variable)].
    """
    transformed = []
    for gradient, variable in gradients:
        if bias_multiplier and re.search(r"/bias(es)?$", variable.op.name):
            gradient = gradient * bias_multiplier
        if clip_norm:
            gradient = tf.clip_by_norm(gradient, clip_norm)
        transformed.append((gradient, variable))
    if global_norm:
        norm = tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(gradient) for gradient, _ in transformed]))
        scale = global_norm / tf.maximum(norm, global_norm)  # 0 where the norm is too large for a float
        transformed = [(gradient * scale, variable) for gradient, variable in transformed]
    return transformed
