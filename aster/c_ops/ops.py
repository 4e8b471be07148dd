"""ASTER's own ops, from the library that setup.py builds from src/.

A library works with one version of TensorFlow, which its name tells. So one checkout can hold the libraries of
TensorFlow 1.4 and 2.
"""
import ctypes
import os
from typing import Optional, Sequence, Tuple

import numpy as np

from aster.compat import VERSION, defun, tf

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"libaster_ops_tf{VERSION}.so")


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
_functions.aster_divide_curve.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
_functions.aster_divide_curve.restype = None
# Whether the library has GPU kernels. All ops have one then, except decode_records.
HAS_GPU_KERNELS = bool(_functions.aster_has_gpu_kernels())

tf.NotDifferentiable("AsterBeamSearch")
tf.NotDifferentiable("AsterDecodeRecords")
RECORD_DONE, RECORD_TEXT_IS_LEFT, RECORD_IS_LEFT = range(3)


def spline_grid(points: tf.Tensor, inverse: tf.Tensor, lift: tf.Tensor, name: Optional[str] = None) -> tf.Tensor:
    """Computes the sampling grid of a thin-plate spline, adding in the order of the published system (model/tps.py).

    It is differentiable in the points.

    Args:
      points: float32 [B, K, 2], the control points; 4 or more.
      inverse: float32 [K, C], which maps them to the C coefficients.
      lift: float32 [C, P], which maps those to the P pixels.
      name: the name of the operation.

    Returns:
      [B, P, 2].
    """
    return _ops.aster_spline_grid(points, inverse, lift, name=name)


@tf.RegisterGradient("AsterSplineGrid")
def _spline_grid_gradient(op, d_grid):
    points, inverse, lift = op.inputs
    rows = tf.reshape(tf.transpose(d_grid, [0, 2, 1]), tf.stack([-1, tf.shape(lift)[1]]))  # the x and y of each image
    with tf.device("/cpu:0"):  # large numbers cancel, which shows where a GPU multiplies in TF32
        pixels_of_points = tf.matmul(inverse, lift)
    d_rows = tf.matmul(rows, pixels_of_points, transpose_b=True)
    d_points = tf.transpose(tf.reshape(d_rows, tf.stack([-1, 2, tf.shape(inverse)[0]])), [0, 2, 1])
    return d_points, None, None


def bilinear_sample(images: tf.Tensor, grid: tf.Tensor, name: Optional[str] = None) -> tf.Tensor:
    """Reads images at the points of a grid (Jaderberg et al. 2015); differentiable in both.

    Args:
      images: float32 or float64 [B, H, W, C].
      grid: [B, P, 2], (x, y) as fractions of width and height. Pixel coordinates are clipped to [0, W - 2] and
        [0, H - 2], so that points outside the image read its border.
      name: the name of the operation.

    Returns:
      [B, P, C].
    """
    return _ops.aster_bilinear_sample(images, grid, name=name)


@tf.RegisterGradient("AsterBilinearSample")
def _bilinear_sample_gradient(op, d_samples):
    images, grid = op.inputs
    return (_ops.aster_bilinear_sample_image_grad(images, grid, d_samples),
            _ops.aster_bilinear_sample_grid_grad(images, grid, d_samples))


def batch_norm(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, *, epsilon: float, relu: bool,
               name: Optional[str] = None) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalizes the last axis by the mean and variance over all others (Ioffe & Szegedy 2015), then may apply a ReLU.

    It is differentiable in all three. On GPUs it is faster than TensorFlow's own, on CPUs slower.

    Args:
      x: float32 or bfloat16 [..., C].
      scale: float32 [C], gamma of the paper.
      offset: float32 [C], beta of the paper.
      epsilon: is added to the variance.
      relu: whether negative results become 0.
      name: the name of the operation.

    Returns:
      The result, in the type and shape of x; the mean, float32 [C]; and the variance, float32 [C], divided by one less
      than the number of values, as a moving average wants it.
    """
    return tuple(_ops.aster_batch_norm(x, scale, offset, epsilon=epsilon, relu=relu, name=name)[:3])


@tf.RegisterGradient("AsterBatchNorm")
def _batch_norm_gradient(op, d_y, *_):
    x, scale, offset = op.inputs
    _, mean, _, inverse_deviation = op.outputs
    return _ops.aster_batch_norm_grad(d_y, x, scale, offset, mean, inverse_deviation, relu=op.get_attr("relu"))


def attention_lstm(inputs: tf.Tensor, state_kernel: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, v: tf.Tensor, *,
                   lengths: Sequence[int], forget_bias: float = 1.0, attend_first: bool = True, reverse: bool = False,
                   name: Optional[str] = None) -> tf.Tensor:
    """Runs an LSTM without peepholes over whole sequences and adds its glimpses to its pre-activations.

    There are B samples, S steps and U units. N attentions (Bahdanau et al. 2015) of A units each look at a memory of
    their own; all memories together have T entries.

    Args:
      inputs: float32 or float64 [B, S, 4U], what the steps' inputs add to the pre-activations of the gates i, j, f, o;
        biases included.
      state_kernel: [U, 4U + N A], projects the state to the gates and to the queries of each attention.
      keys: [B, T, A].
      values: [B, T, 4U], the memories, projected to what they add to the gates.
      v: [N, A].
      lengths: entries of each of the N memories. [0]: a single memory of any length.
      forget_bias: is added to the pre-activation of the forget gate.
      attend_first: whether the first step has a glimpse.
      reverse: whether the steps go from the last to the first.
      name: the name of the operation.

    Returns:
      The outputs h, [B, S, U].
    """
    return _ops.aster_attention_lstm(inputs, state_kernel, keys, values, v, lengths=lengths, forget_bias=forget_bias,
                                     attend_first=attend_first, reverse=reverse, name=name)[0]


def lstm(inputs: tf.Tensor, state_kernel: tf.Tensor, *, forget_bias: float = 1.0, reverse: bool = False,
         name: Optional[str] = None) -> tf.Tensor:
    """Runs an LSTM without peepholes over whole sequences: attention_lstm without attention.

    Args:
      inputs: float32 or float64 [B, S, 4U], as in attention_lstm.
      state_kernel: [U, 4U].
      forget_bias: is added to the pre-activation of the forget gate.
      reverse: whether the steps go from the last to the first.
      name: the name of the operation.

    Returns:
      The outputs h, [B, S, U].
    """
    inputs = tf.convert_to_tensor(inputs)
    inputs.shape.assert_has_rank(3)
    size = tf.shape(inputs)
    no_keys = tf.zeros(tf.stack([size[0], 0, 1]), inputs.dtype)
    no_values = tf.zeros(tf.stack([size[0], 0, size[2]]), inputs.dtype)
    return attention_lstm(inputs, state_kernel, no_keys, no_values, tf.zeros([0, 1], inputs.dtype), lengths=[],
                          forget_bias=forget_bias, reverse=reverse, name=name)


@tf.RegisterGradient("AsterAttentionLstm")
def _attention_lstm_gradient(op, d_h, *_):
    """The op goes back through the steps. What is summed over the steps is one matrix product each, made here."""
    inputs, state_kernel, keys, values, v = op.inputs
    h, c, gates, queries, alignments = op.outputs
    lengths, reverse = op.get_attr("lengths"), op.get_attr("reverse")
    d_projection, d_keys, d_v = _ops.aster_attention_lstm_grad(
        state_kernel, keys, values, v, c, gates, queries, alignments, d_h, lengths=lengths,
        forget_bias=op.get_attr("forget_bias"), attend_first=op.get_attr("attend_first"), reverse=reverse)
    # the projection of the state is added to the inputs, so that the gates' gradients are also those of the inputs
    d_inputs = d_projection[:, :, :tf.shape(inputs)[2]]
    zero_h = tf.zeros_like(h[:, :1])
    last_h = tf.concat([h[:, 1:], zero_h] if reverse else [zero_h, h[:, :-1]], 1)  # which each step started from
    size = tf.shape(state_kernel)
    d_kernel = tf.matmul(tf.reshape(last_h, [-1, size[0]]), tf.reshape(d_projection, [-1, size[1]]), transpose_a=True)
    if not lengths:
        return d_inputs, d_kernel, None, None, None
    d_values = tf.matmul(alignments, d_inputs, transpose_a=True)
    return d_inputs, d_kernel, d_keys, d_values, tf.reduce_sum(d_v, 0)


def beam_search(label_inputs: tf.Tensor, state_kernel: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, v: tf.Tensor,
                dense_kernel: tf.Tensor, dense_bias: tf.Tensor, *, lengths: Sequence[int], beam_width: int,
                max_num_steps: int, start_label: int, end_label: int, pad_label: int, forget_bias: float = 1.0,
                tree: Optional[Tuple[np.ndarray, np.ndarray, np.ndarray]] = None,
                name: Optional[str] = None) -> Tuple[tf.Tensor, ...]:
    """Makes a whole beam search. An attention_lstm makes the steps; a dense layer turns its outputs into L labels.

    Args:
      label_inputs: [L, 4U], what each label adds to the pre-activations of the gates; biases included.
      state_kernel: as in attention_lstm.
      keys: as in attention_lstm.
      values: as in attention_lstm.
      v: as in attention_lstm.
      dense_kernel: [U, L].
      dense_bias: [L].
      lengths: as in attention_lstm.
      beam_width: hypotheses per sample, 1000 at most.
      max_num_steps: the most labels of a hypothesis, 10000 at most.
      start_label: the first input.
      end_label: ends a hypothesis.
      pad_label: stands after the end label.
      forget_bias: as in attention_lstm.
      tree: a model.prefix_tree.PrefixTree; only its texts can be decoded. None: any text can be.
      name: the name of the operation.

    Returns:
      labels int32 [B, steps], end labels included;
      lengths int32 [B];
      scores [B], the summed log-probability;
      the log-probability of each label [B, steps];
      alignments [B, steps, T].
    """
    nothing = np.zeros([0], np.int32)
    return _ops.aster_beam_search(
        label_inputs, state_kernel, keys, values, v, dense_kernel, dense_bias,
        *(tree or (nothing, nothing, nothing)), lengths=lengths,
        forget_bias=forget_bias, beam_width=beam_width, max_num_steps=max_num_steps, start_label=start_label,
        end_label=end_label, pad_label=pad_label, name=name)


def decode_records(records: tf.Tensor, text_table: bytes, *, num_control_points: int, max_pixels: int
                   ) -> Tuple[tf.Tensor, ...]:
    """Decodes records whose image is a plain JPEG or PNG file, by TensorFlow's decoders. It has a kernel for CPUs only.

    Args:
      records: string [n], a tf.train.Example each.
      text_table: 128 bytes, what each ASCII character of a text becomes: 0 where it is left out, 255 where the caller
        has to decide.
      num_control_points: K, even; 0 if the caller needs none.
      max_pixels: larger images are left to the caller.

    Returns:
      pixels string [n], the bytes of a uint8 [H, W, 3] each;
      sizes int32 [n, 2], H and W;
      texts, lexicons and filenames, string [n] each, as in the record, but for what the table changes;
      control_points float32 [n, K, 2], as `data.keypoints.control_points` gives them, and keypoint_mask float32 [n];
      states int32 [n]: RECORD_DONE; RECORD_TEXT_IS_LEFT where the caller has to decide about all but the pixels;
      RECORD_IS_LEFT where nothing could be decoded.
    """
    return _ops.aster_decode_records(records, text_table, decode_jpeg=_jpeg_decoder, decode_png=_png_decoder,
                                     num_control_points=num_control_points, max_pixels=max_pixels)


# The op calls these as functions of the graph, and so gets their errors, which would else end the whole graph.
@defun(tf.string)
def _jpeg_decoder(file):
    return tf.image.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE")  # as Pillow


@defun(tf.string)
def _png_decoder(file):
    return tf.image.decode_png(file, 3)


def masked_crc32c(data: bytes) -> int:
    """Computes the checksum that TFRecord files hold of their data: CRC-32C, masked."""
    return _functions.aster_masked_crc32c(data, len(data))


def divide_curve(curve: np.ndarray, num_points: int) -> np.ndarray:
    """Spreads points evenly along a curve; see `data.keypoints.divide_curve`, which checks its arguments.

    Args:
      curve: float64 [n, 2], n >= 1.
      num_points: at least 1.

    Returns:
      float32 [num_points, 2].
    """
    curve, points = np.ascontiguousarray(curve, np.float64), np.empty([num_points, 2], np.float32)
    _functions.aster_divide_curve(curve.ctypes.data, len(curve), num_points, points.ctypes.data)
    return points
