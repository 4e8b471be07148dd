"""ASTER's own ops, from the library that setup.py builds out of src/.

A library serves one version of TensorFlow, which its name tells, so that one
checkout can hold those of both stacks.
"""
import ctypes
import os

import numpy as np

from aster.compat import tf

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    f"libaster_ops_tf{tf.__version__}.so")


def _load():
    """Returns the TensorFlow ops and the plain C functions of the library."""
    try:
        return tf.load_op_library(PATH), ctypes.CDLL(PATH)
    except (tf.errors.OpError, OSError) as error:
        problem = f"does not load ({error})" if os.path.exists(PATH) else "is not built"
        raise ImportError(f"the op library of this TensorFlow, {PATH}, {problem}; in ASTER's checkout run: "
                          "python setup.py build_ext --inplace") from None


_ops, _functions = _load()
_functions.aster_masked_crc32c.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_functions.aster_masked_crc32c.restype = ctypes.c_uint32
HAS_GPU_KERNELS = bool(_functions.aster_has_gpu_kernels())  # of all ops but spline_grid

tf.NotDifferentiable("AsterBeamSearch")


def spline_grid(points, inverse, lift, name=None):
    """The sampling grid of a thin-plate spline, added up in the published system's order (model/tps.py); for CPUs.

    Args:
      points: float32 [B, K, 2], the control points.
      inverse: float32 [K, C], which maps them to the C coefficients.
      lift: float32 [C, P], which maps those to the P pixels.

    Returns:
      [B, P, 2]; differentiable in the points.
    """
    return _ops.aster_spline_grid(points, inverse, lift, name=name)


@tf.RegisterGradient("AsterSplineGrid")
def _spline_grid_gradient(op, d_grid):
    points, inverse, lift = op.inputs
    rows = tf.reshape(tf.transpose(d_grid, [0, 2, 1]), tf.stack([-1, tf.shape(lift)[1]]))  # the x and y of each image
    d_rows = tf.matmul(rows, tf.matmul(inverse, lift), transpose_b=True)
    d_points = tf.transpose(tf.reshape(d_rows, tf.stack([-1, 2, tf.shape(inverse)[0]])), [0, 2, 1])
    return d_points, None, None


def bilinear_sample(images, grid, name=None):
    """Bilinear sampling (Jaderberg et al. 2015), differentiable in both.

    Args:
      images: float32 or float64 [B, H, W, C].
      grid: [B, P, 2], (x, y) as fractions of width and height; coordinates in pixels are clipped to
        [0, W - 2] and [0, H - 2], so that points outside read the border.

    Returns:
      [B, P, C].
    """
    return _ops.aster_bilinear_sample(images, grid, name=name)


@tf.RegisterGradient("AsterBilinearSample")
def _bilinear_sample_gradient(op, d_samples):
    images, grid = op.inputs
    return (_ops.aster_bilinear_sample_image_grad(images, grid, d_samples),
            _ops.aster_bilinear_sample_grid_grad(images, grid, d_samples))


def attention_lstm(inputs, state_kernel, keys, values, v, lengths, forget_bias=1.0, attend_first=True, reverse=False,
                   name=None):
    """An LSTM without peepholes over whole sequences, its glimpses added to its pre-activations.

    With B samples, S steps, U units, N attentions (Bahdanau et al. 2015) of A units, each over memories of its own
    that have T values together.

    Args:
      inputs: float32 or float64 [B, S, 4U], what the steps' inputs give to the gates i, j, f, o; biases included.
      state_kernel: [U, 4U + N A], projects the state to gates and to the queries of each attention.
      keys: [B, T, A].
      values: [B, T, 4U], the memories projected to what they give to the gates.
      v: [N, A].
      lengths: N ints, whose sum is T. [0]: a single memory of any length.
      attend_first: whether the first step has a glimpse.
      reverse: whether the steps go from the last to the first.

    Returns:
      The outputs h [B, S, U].
    """
    return _ops.aster_attention_lstm(inputs, state_kernel, keys, values, v, lengths=lengths, forget_bias=forget_bias,
                                     attend_first=attend_first, reverse=reverse,
                                     constant_kernels=_constant(state_kernel), name=name)[0]


def _constant(*kernels):
    """Whether all are arrays, which the ops then prepare only once."""
    return all(isinstance(kernel, np.ndarray) for kernel in kernels)


def lstm(inputs, state_kernel, forget_bias=1.0, reverse=False, name=None):
    """attention_lstm without attention: inputs [B, S, 4U], state_kernel [U, 4U] -> [B, S, U]."""
    size = tf.shape(inputs)
    none = tf.zeros([0, 1], inputs.dtype)
    return attention_lstm(inputs, state_kernel, tf.zeros(tf.stack([size[0], 0, 1]), inputs.dtype),
                          tf.zeros(tf.stack([size[0], 0, size[2]]), inputs.dtype), none, [], forget_bias,
                          reverse=reverse, name=name)


@tf.RegisterGradient("AsterAttentionLstm")
def _attention_lstm_gradient(op, d_h, *_):
    """The op goes back through the steps; what is summed over them is one product each, made here."""
    inputs, state_kernel, keys, values, v = op.inputs
    h, c, gates, queries, alignments = op.outputs
    lengths, reverse = op.get_attr("lengths"), op.get_attr("reverse")
    d_projection, d_keys, d_v = _ops.aster_attention_lstm_grad(
        state_kernel, keys, values, v, c, gates, queries, alignments, d_h, lengths=lengths,
        forget_bias=op.get_attr("forget_bias"), attend_first=op.get_attr("attend_first"), reverse=reverse)
    d_inputs = d_projection[:, :, :tf.shape(inputs)[2]]
    before = tf.zeros_like(h[:, :1])
    last_h = tf.concat([h[:, 1:], before] if reverse else [before, h[:, :-1]], 1)
    size = tf.shape(state_kernel)
    d_kernel = tf.matmul(tf.reshape(last_h, [-1, size[0]]), tf.reshape(d_projection, [-1, size[1]]), transpose_a=True)
    if not lengths:
        return d_inputs, d_kernel, None, None, None
    d_values = tf.matmul(alignments, d_inputs, transpose_a=True)
    return d_inputs, d_kernel, d_keys, d_values, tf.reduce_sum(d_v, 0)


def beam_search(label_inputs, state_kernel, keys, values, v, dense_kernel, dense_bias, lengths, beam_width,
                max_num_steps, start_label, end_label, pad_label, forget_bias=1.0, tree=None, name=None):
    """A whole beam search with an attention_lstm whose outputs a dense layer turns into L labels.

    Args:
      label_inputs: [L, 4U], what each label gives to the gates; biases included.
      dense_kernel, dense_bias: [U, L] and [L].
      tree: a model.prefix_tree.PrefixTree of the only texts that may be read; for CPUs. None: any text.
      others: as in attention_lstm.

    Returns:
      labels int32 [B, steps], those of the end included and pad_label after it; lengths int32 [B];
      scores [B]; log-probabilities of the labels [B, steps]; alignments [B, steps, T].
    """
    nothing = np.zeros([0], np.int32)
    return _ops.aster_beam_search(
        label_inputs, state_kernel, keys, values, v, dense_kernel, dense_bias,
        *(tree or (nothing, nothing, nothing)), lengths=lengths,
        forget_bias=forget_bias, constant_kernels=_constant(state_kernel, dense_kernel), beam_width=beam_width,
        max_num_steps=max_num_steps, start_label=start_label, end_label=end_label, pad_label=pad_label, name=name)


def masked_crc32c(data):
    """The checksum of TFRecord files (CRC-32C, masked) of some bytes, as an int."""
    return _functions.aster_masked_crc32c(data, len(data))
