"""Learning-rate schedules and optimizers (protos/optimizer.proto)."""
import math
import re
from typing import Any, List, Sequence, Tuple

from aster.compat import tf


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

    def cosine(first, last, done):
        return last + (first - last) * 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))
    return tf.where(step < warmup, cosine(low, top, step / max(warmup, 1.0)),
                    cosine(top, end, (step - warmup) / (options.num_steps - warmup)))


def make_optimizer(config: Any, global_step: Any) -> Tuple[Any, Any]:
    """Makes an optimizer.

    Args:
      config: an Optimizer message.
      global_step: scalar tensor.

    Returns:
      A tf.train.Optimizer, and its learning rate, scalar.
    """
    kind = config.WhichOneof("optimizer")
    options = getattr(config, kind)
    rate = learning_rate(options.learning_rate, global_step)
    if kind == "rms_prop_optimizer":
        return tf.train.RMSPropOptimizer(rate, options.decay, options.momentum_optimizer_value,
                                         options.epsilon), rate
    if kind == "momentum_optimizer":
        return tf.train.MomentumOptimizer(rate, options.momentum_optimizer_value), rate
    if kind == "adam_optimizer":
        return tf.train.AdamOptimizer(rate), rate
    if kind == "nadam_optimizer":
        return NadamOptimizer(rate), rate
    return tf.train.AdadeltaOptimizer(rate, options.rho, epsilon=1e-8), rate


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


def transform_gradients(gradients: Sequence[Tuple[Any, Any]], *, clip_norm: float = 0.0,
                        bias_multiplier: float = 0.0) -> List[Tuple[Any, Any]]:
    """Multiplies the gradients of biases, then clips each gradient.

    Args:
      gradients: [(gradient, variable)].
      clip_norm: the largest norm of a gradient; 0 clips none.
      bias_multiplier: what the gradients of biases are multiplied by; 0 leaves them as they are.

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
    return transformed
