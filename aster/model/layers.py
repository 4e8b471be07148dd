"""Convolutions, fully connected layers and batch normalization, with the published variable names.

While reading images, `tf.get_variable` gives numpy arrays (see `checkpoint.constants`). `matmul`, `split` and `concat`
take those as well as tensors.
"""
import functools
import math
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from aster import clone_means
from aster.c_ops import ops
from aster.compat import runs_at_once, tf

# a collection of a graph: (op, variable, the batch's own value, decay) of each moving average; the op is its update
AVERAGE_UPDATES = "average_updates"


class BatchNorm(NamedTuple):
    """Hyperparameters of batch normalization.

    decay: the decay of the moving averages of mean and variance.
    center: whether there is a learned offset (beta).
    scale: whether there is a learned factor (gamma).
    epsilon: is added to the variance.
    train: False: training too normalizes by the moving averages, and leaves them as they are.
    fused: whether ASTER's op normalizes by the statistics of the batch. It is for GPUs.
    """
    decay: float = 0.999
    center: bool = True
    scale: bool = False
    epsilon: float = 0.001
    train: bool = True
    fused: bool = False


class LayerStyle(NamedTuple):
    """What all layers of one network have in common.

    initializer: the initializer of the kernels.
    regularizer: a function of a kernel that returns a penalty, or None.
    activation: a function of tensors, or None.
    batch_norm: None: layers have biases instead.
    fold: whether batch normalization is folded into the convolutions while reading. That saves time and changes
      results by rounding only.
    """
    initializer: Any
    regularizer: Optional[Callable] = None
    activation: Optional[Callable] = tf.nn.relu
    batch_norm: Optional[BatchNorm] = None
    fold: bool = True


def variance_scaling(factor: float = 2.0, mode: str = "FAN_IN", uniform: bool = False) -> Callable:
    """Makes an initializer with zero mean and variance factor / n (He et al. 2015).

    Args:
      factor: 2 suits layers with ReLU.
      mode: what n is: FAN_IN (inputs of a unit), FAN_OUT (outputs) or FAN_AVG (their mean).
      uniform: whether values are uniform; otherwise they are normal, truncated at two deviations.

    Returns:
      A function of shape and dtype, as `tf.get_variable` needs it.
    """
    def initializer(shape, dtype=tf.float32, **_):
        shape = [int(size) for size in shape]
        receptive_field = int(np.prod(shape[:-2]))
        fan_in, fan_out = receptive_field * shape[-2], receptive_field * shape[-1]
        n = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "FAN_AVG": (fan_in + fan_out) / 2.0}[mode]
        if uniform:
            limit = math.sqrt(3.0 * factor / n)
            return tf.random_uniform(shape, -limit, limit, dtype)
        # 1.3 makes up for the variance that truncation at two deviations takes away
        return tf.truncated_normal(shape, 0.0, math.sqrt(1.3 * factor / n), dtype)
    return initializer


def conv2d(inputs: tf.Tensor, channels: int, kernel_size: Tuple[int, int], style: LayerStyle, is_training: bool,
           scope: str, *, stride: Tuple[int, int] = (1, 1), padding: str = "SAME", activate: bool = True) -> tf.Tensor:
    """Convolves images, with batch normalization or biases, and activation as the style says.

    Args:
      inputs: [B, H, W, C]. It is computed in their type; the variables and the batch statistics are float32.
      channels: the number of channels of the result.
      kernel_size: (height, width).
      style: the style of the network's layers.
      is_training: whether batch normalization uses the batch's own mean and variance.
      scope: the scope of the variables weights, and biases or BatchNorm/*.
      stride: (height, width).
      padding: SAME or VALID.
      activate: False: without the activation of the style.

    Returns:
      [B, H', W', channels].

    Raises:
      ValueError: there are no channels.
    """
    if channels < 1:
        raise ValueError(f"{scope}: a convolution needs 1 or more channels, not {channels}")
    with tf.variable_scope(scope):
        shape = list(kernel_size) + [static_size(inputs, 3), channels]
        kernel = tf.get_variable("weights", shape, initializer=style.initializer, regularizer=style.regularizer)
        fold = style.batch_norm and style.fold and not is_training
        if fold:
            scale, offset = _affine(channels, style.batch_norm)
            kernel = kernel * scale
        outputs = tf.nn.conv2d(inputs, tf.cast(kernel, inputs.dtype), strides=[1] + list(stride) + [1], padding=padding)
        if not fold:
            return _finish(outputs, style, is_training, activate)
        return _activate(tf.nn.bias_add(outputs, tf.cast(offset, inputs.dtype)), style, activate)


def fully_connected(inputs: tf.Tensor, units: int, style: LayerStyle, is_training: bool, scope: str) -> tf.Tensor:
    """Multiplies the last axis with a kernel, with batch normalization or biases, and activation as the style says.

    Args:
      inputs: [..., C].
      units: the number of units of the result.
      style: the style of the network's layers.
      is_training: whether batch normalization uses the batch's own mean and variance.
      scope: the scope of the variables weights, and biases or BatchNorm/*.

    Returns:
      [..., units].
    """
    with tf.variable_scope(scope):
        size = static_size(inputs, -1)
        kernel = tf.get_variable("weights", [size, units], initializer=style.initializer,
                                 regularizer=style.regularizer)
        if style.batch_norm:
            return _finish(matmul(inputs, kernel), style, is_training)
        bias = tf.get_variable("biases", [units], initializer=tf.zeros_initializer())
        return _activate(matmul(inputs, kernel, bias), style, True)


def _finish(outputs, style, is_training, activate=True):
    """Batch normalization or biases, then the activation."""
    if style.batch_norm:
        if activate and style.activation is tf.nn.relu and _by_op(style.batch_norm, is_training):
            return batch_norm(outputs, style.batch_norm, is_training, relu=True)
        outputs = batch_norm(outputs, style.batch_norm, is_training)
    else:
        bias = tf.get_variable("biases", [static_size(outputs, -1)], initializer=tf.zeros_initializer())
        outputs = outputs + tf.cast(bias, outputs.dtype)
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


def _by_op(hyperparams, is_training):
    """Whether ASTER's op normalizes."""
    return hyperparams.fused and hyperparams.train and is_training and not clone_means.syncs_batch_norm()


def batch_norm(inputs: tf.Tensor, hyperparams: BatchNorm, is_training: bool, *, relu: bool = False) -> tf.Tensor:
    """Normalizes the last axis over the batch (Ioffe & Szegedy 2015).

    In training it adds the updates of the moving averages to tf.GraphKeys.UPDATE_OPS; outside of graphs they have run.

    Args:
      inputs: [B, C] or [B, H, W, C].
      hyperparams: the settings of batch normalization.
      is_training: whether mean and variance are those of the batch; otherwise they are the moving averages.
      relu: whether ASTER's op, if it is what normalizes, makes a ReLU too.

    Returns:
      The shape of the inputs.
    """
    size = static_size(inputs, -1)
    images = inputs if inputs.shape.ndims == 4 else tf.reshape(inputs, [-1, 1, 1, size])
    beta, gamma, mean, variance = _norm_variables(size, hyperparams)
    if is_training and hyperparams.train:
        normalize = clone_means.batch_norm_of_all_clones if clone_means.syncs_batch_norm() else tf.nn.fused_batch_norm
        if _by_op(hyperparams, is_training):
            normalize = functools.partial(ops.batch_norm, relu=relu)
        outputs, batch_mean, batch_variance = normalize(images, gamma, beta, epsilon=hyperparams.epsilon)
        for average, value in ((mean, batch_mean), (variance, batch_variance)):
            update = tf.assign_sub(average, (1.0 - hyperparams.decay) * (average - value))
            if not runs_at_once():
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
                tf.add_to_collection(AVERAGE_UPDATES, (update, average, value, hyperparams.decay))
    else:
        outputs, _, _ = tf.nn.fused_batch_norm(
            images, gamma, beta, mean, variance, epsilon=hyperparams.epsilon, is_training=False)
    return tf.reshape(outputs, tf.shape(inputs)) if inputs.shape.ndims != 4 else outputs


def max_pool(inputs: tf.Tensor, stride: Tuple[int, int]) -> tf.Tensor:
    """Takes the maximum over windows of 2x2; `stride` is (height, width)."""
    return tf.nn.max_pool(inputs, [1, 2, 2, 1], [1] + list(stride) + [1], "VALID")


def matmul(inputs: tf.Tensor, kernel: tf.Tensor, bias: Optional[tf.Tensor] = None) -> tf.Tensor:
    """Multiplies the last axis with a kernel.

    Args:
      inputs: [..., C].
      kernel: [C, D].
      bias: [D].

    Returns:
      [..., D].
    """
    if inputs.shape.ndims == 2:
        return _matmul(inputs, kernel, bias)
    size = static_size(kernel, 1)
    outputs = _matmul(tf.reshape(inputs, [-1, static_size(kernel, 0)]), kernel, bias)
    outputs = tf.reshape(outputs, tf.concat([tf.shape(inputs)[:-1], [size]], 0))
    outputs.set_shape(inputs.shape[:-1].concatenate([size]))
    return outputs


def _matmul(inputs, kernel, bias):
    """For 2 axes. Of a product with constants TensorFlow makes one operation with the bias, which lays the kernel out
    only once; so constants get a bias of zeros where they have none."""
    if bias is None and isinstance(kernel, np.ndarray):
        bias = np.zeros([static_size(kernel, 1)], np.float32)
    outputs = tf.matmul(inputs, kernel)
    return outputs if bias is None else tf.nn.bias_add(outputs, bias)


def split(kernel: tf.Tensor, sizes: Sequence[int]) -> List[tf.Tensor]:
    """Cuts a kernel along its first axis into pieces of these sizes; arrays into arrays, so that they stay constant."""
    if isinstance(kernel, np.ndarray):
        return np.split(kernel, np.cumsum(sizes)[:-1])
    return tf.split(kernel, sizes)


def concat(kernels: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    """Joins kernels along an axis; arrays to an array, so that they stay constant."""
    if all(isinstance(kernel, np.ndarray) for kernel in kernels):
        return np.concatenate(kernels, axis)
    return tf.concat(kernels, axis)


def static_size(tensor: tf.Tensor, axis: int) -> int:
    """Returns the size of an axis.

    Raises:
      ValueError: it is not known when the graph is built.
    """
    size = tf.TensorShape(tensor.shape).as_list()[axis]  # arrays too have a shape
    if size is None:
        raise ValueError(f"axis {axis} of {tensor.name} must have a known size, got shape {tensor.shape}")
    return size
