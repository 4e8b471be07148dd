"""Convolutions, fully connected layers and batch normalization, with the published variable names."""
import math
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from aster.compat import tf


class BatchNorm(NamedTuple):
    """Hyperparameters of batch normalization; with `train` False, training too uses the moving averages."""
    decay: float = 0.999
    center: bool = True
    scale: bool = False
    epsilon: float = 0.001
    train: bool = True


class LayerStyle(NamedTuple):
    """How every layer of one network is made. None: no regularizer, activation or batch norm. `fold`: while reading,
    batch norm is folded into the convolutions, which saves time and changes results by rounding only."""
    initializer: Any
    regularizer: Optional[Callable] = None
    activation: Optional[Callable] = tf.nn.relu
    batch_norm: Optional[BatchNorm] = None
    fold: bool = True


def variance_scaling(factor=2.0, mode="FAN_IN", uniform=False):
    """Zero mean and variance factor / n, where n is the fan in, fan out or their mean (He et al. 2015)."""
    def initializer(shape, dtype=tf.float32, **_):
        shape = [int(size) for size in shape]
        field = 1.0
        for size in shape[:-2]:
            field *= size
        fan_in, fan_out = field * shape[-2], field * shape[-1]
        n = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "FAN_AVG": (fan_in + fan_out) / 2.0}[mode]
        if uniform:
            limit = math.sqrt(3.0 * factor / n)
            return tf.random_uniform(shape, -limit, limit, dtype)
        # 1.3 makes up for the variance that truncation at two deviations takes away
        return tf.truncated_normal(shape, 0.0, math.sqrt(1.3 * factor / n), dtype)
    return initializer


def conv2d(inputs, channels, kernel_size, style, is_training, scope, stride=(1, 1), padding="SAME",
           activate=True):
    """[B, H, W, C] -> [B, H', W', channels]; `kernel_size` and `stride` are (height, width)."""
    with tf.variable_scope(scope):
        shape = list(kernel_size) + [static_size(inputs, 3), channels]
        kernel = tf.get_variable("weights", shape, initializer=style.initializer,
                                 regularizer=style.regularizer)
        fold = style.batch_norm and style.fold and not is_training
        if fold:
            scale, offset = _affine(channels, style.batch_norm)
            kernel = kernel * scale
        outputs = tf.nn.conv2d(inputs, kernel, strides=[1] + list(stride) + [1], padding=padding)
        if not fold:
            return _finish(outputs, style, is_training, activate)
        return _activate(tf.nn.bias_add(outputs, offset), style, activate)


def fully_connected(inputs, units, style, is_training, scope):
    """[..., C] -> [..., units], over the last axis."""
    with tf.variable_scope(scope):
        size = static_size(inputs, -1)
        kernel = tf.get_variable("weights", [size, units],
                                 initializer=style.initializer, regularizer=style.regularizer)
        if style.batch_norm:
            return _finish(matmul(inputs, kernel), style, is_training)
        bias = tf.get_variable("biases", [units], initializer=tf.zeros_initializer())
        return _activate(matmul(inputs, kernel, bias), style, True)


def _finish(outputs, style, is_training, activate=True):
    if style.batch_norm:
        outputs = batch_norm(outputs, style.batch_norm, is_training)
    else:
        bias = tf.get_variable("biases", [static_size(outputs, -1)], initializer=tf.zeros_initializer())
        outputs = outputs + bias
    return _activate(outputs, style, activate)


def _activate(outputs, style, activate):
    return style.activation(outputs) if activate and style.activation else outputs


def _affine(size, hyperparams):
    """(scale, offset), each [size]: what batch normalization by the moving averages does to its input."""
    beta, gamma, mean, variance = _norm_variables(size, hyperparams)
    scale = gamma * (variance + hyperparams.epsilon) ** -0.5
    return scale, beta - mean * scale


def _norm_variables(size, hyperparams):
    """(beta, gamma, moving mean, moving variance), each [size]."""
    with tf.variable_scope("BatchNorm"):
        def variable(name, value, trainable):
            return tf.get_variable(name, [size], initializer=tf.constant_initializer(value),
                                   trainable=trainable)
        beta = variable("beta", 0.0, True) if hyperparams.center else np.zeros([size], np.float32)
        gamma = variable("gamma", 1.0, True) if hyperparams.scale else np.ones([size], np.float32)
        return beta, gamma, variable("moving_mean", 0.0, False), variable("moving_variance", 1.0, False)


def batch_norm(inputs, hyperparams, is_training):
    """Batch normalization over the last axis of [B, C] or [B, H, W, C]; in training it adds the updates
    of the moving averages to tf.GraphKeys.UPDATE_OPS."""
    size = static_size(inputs, -1)
    images = inputs if inputs.shape.ndims == 4 else tf.reshape(inputs, [-1, 1, 1, size])
    beta, gamma, mean, variance = _norm_variables(size, hyperparams)
    if is_training and hyperparams.train:
        outputs, batch_mean, batch_variance = tf.nn.fused_batch_norm(
            images, gamma, beta, epsilon=hyperparams.epsilon, is_training=True)
        for average, value in ((mean, batch_mean), (variance, batch_variance)):
            update = tf.assign_sub(average, (1.0 - hyperparams.decay) * (average - value))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
    else:
        outputs, _, _ = tf.nn.fused_batch_norm(
            images, gamma, beta, mean, variance, epsilon=hyperparams.epsilon, is_training=False)
    return tf.reshape(outputs, tf.shape(inputs)) if inputs.shape.ndims != 4 else outputs


def max_pool(inputs, stride):
    """Window 2x2, `stride` is (height, width)."""
    return tf.nn.max_pool(inputs, [1, 2, 2, 1], [1] + list(stride) + [1], "VALID")


def matmul(inputs, kernel, bias=None):
    """[..., C] x [C, D] (+ [D]) -> [..., D]."""
    if inputs.shape.ndims == 2:
        return _matmul(inputs, kernel, bias)
    size = static_size(kernel, 1)
    outputs = _matmul(tf.reshape(inputs, [-1, static_size(kernel, 0)]), kernel, bias)
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [size]], 0))
    outputs.set_shape(inputs.shape[:-1].concatenate([size]))
    return outputs


def _matmul(inputs, kernel, bias):
    """For 2 axes. Of constants TensorFlow makes one operation with the bias, which lays the kernel out only once."""
    if bias is None and isinstance(kernel, np.ndarray):
        bias = np.zeros([static_size(kernel, 1)], np.float32)
    outputs = tf.matmul(inputs, kernel)
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)


def split(kernel, sizes):
    """Cuts a kernel along its first axis; an array (see checkpoint.constants) into arrays, to stay constant."""
    if isinstance(kernel, np.ndarray):
        return np.split(kernel, np.cumsum(sizes)[:-1])
    return tf.split(kernel, sizes)


def concat(kernels, axis):
    """Joins kernels; arrays to an array."""
    if all(isinstance(kernel, np.ndarray) for kernel in kernels):
        return np.concatenate(kernels, axis)
    return tf.concat(kernels, axis)


def static_size(tensor, axis):
    """The size of an axis that must be known when the graph is built."""
    size = tf.TensorShape(tensor.shape).as_list()[axis]  # of an array too, see checkpoint.constants
    if size is None:
        raise ValueError("axis %d of %s must have a known size, got shape %s"
                         % (axis, tensor.name, tensor.shape))
    return size
