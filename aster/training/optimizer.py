"""Learning-rate schedules and optimizers (protos/optimizer.proto)."""
import math
import re

from aster.compat import tf


def learning_rate(config, global_step):
    """protos.LearningRate -> scalar tensor."""
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
    steps = tf.constant([entry.step for entry in options.schedule], tf.int64)
    return tf.gather(tf.constant(rates), tf.reduce_sum(tf.cast(tf.cast(global_step, tf.int64) >= steps, tf.int32)))


def _one_cycle(options, step):
    """Up from a 25th of the maximum, then down to a 10,000th of that, along cosines."""
    top, warmup = options.max_learning_rate, float(options.num_warmup_steps)
    low, end = top / 25.0, top / 25.0e4

    def cosine(first, last, done):
        return last + (first - last) * 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(done, 0.0, 1.0)))
    return tf.where(step < warmup, cosine(low, top, step / max(warmup, 1.0)),
                    cosine(top, end, (step - warmup) / (options.num_steps - warmup)))


def make_optimizer(config, global_step):
    """protos.Optimizer -> (tf.train.Optimizer, its learning rate as a scalar tensor)."""
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
    """Adam with Nesterov momentum (Dozat 2016), which TensorFlow has in 1.4's contrib only."""

    def __init__(self, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8, name="Nadam"):
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


def transform_gradients(gradients, clip_norm=0.0, bias_multiplier=0.0):
    """[(gradient, variable)] with the gradients of biases multiplied, then each gradient clipped to a norm.
    0 leaves either out."""
    transformed = []
    for gradient, variable in gradients:
        if bias_multiplier and re.search(r"/bias(es)?$", variable.op.name):
            gradient = gradient * bias_multiplier
        if clip_norm:
            gradient = tf.clip_by_norm(gradient, clip_norm)
        transformed.append((gradient, variable))
    return transformed
