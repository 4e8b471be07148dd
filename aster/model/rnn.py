"""Recurrent cells and the bidirectional layer.

A cell's product with its inputs doesn't depend on its state, so it is made for all time steps at once
(`project`); only the product with the state is left for the loop (`step`).
"""
from typing import NamedTuple, Tuple

from aster.c_ops import ops
from aster.compat import tf
from aster.model import layers


class CellWeights(NamedTuple):
    """input_kernel [inputs, n], bias [n] for the n pre-activations; `recurrent`: the cell's own tensors."""
    input_kernel: tf.Tensor
    bias: tf.Tensor
    recurrent: Tuple[tf.Tensor, ...]


def project(weights, features):
    """features [..., inputs] -> pre-activations [..., n]."""
    return layers.matmul(features, weights.input_kernel, weights.bias)


def is_plain_lstm(cell):
    """Whether ASTER's ops can run this cell over a sequence."""
    return isinstance(cell, LstmCell) and not cell.use_peepholes


class LstmCell:
    """Hochreiter & Schmidhuber 1997; peepholes as in Sak et al. 2014. The state is (c, h), each [B, num_units]."""

    def __init__(self, num_units, forget_bias=1.0, use_peepholes=False, initializer=None, regularizer=None):
        self.num_units = num_units
        self.forget_bias = forget_bias
        self.use_peepholes = use_peepholes
        self._initializer = initializer
        self._regularizer = regularizer

    def weights(self, input_size):
        """Creates (or reuses) the variables lstm_cell/{kernel,bias} for inputs of this size -> CellWeights."""
        units = self.num_units
        with tf.variable_scope("lstm_cell"):
            kernel = tf.get_variable("kernel", [input_size + units, 4 * units],
                                     initializer=self._initializer, regularizer=self._regularizer)
            bias = tf.get_variable("bias", [4 * units], initializer=tf.zeros_initializer())
            peepholes = ()
            if self.use_peepholes:  # vectors: an orthogonal initializer can't make them
                peepholes = tuple(tf.get_variable(name, [units], initializer=tf.zeros_initializer())
                                  for name in ("w_i_diag", "w_f_diag", "w_o_diag"))
        # split, since the gradients of two slices would each be as large as the kernel
        input_kernel, state_kernel = layers.split(kernel, [input_size, units])
        return CellWeights(input_kernel, bias, (state_kernel,) + peepholes)

    def zero_state(self, batch_size):
        zeros = tf.zeros(tf.stack([batch_size, self.num_units]))
        zeros.set_shape([None, self.num_units])
        return zeros, zeros

    def step(self, weights, projected, state):
        """projected [B, 4 * num_units], state -> the next state; its last tensor is the output."""
        c, h = state
        kernel, peepholes = weights.recurrent[0], weights.recurrent[1:]
        i, j, f, o = tf.split(projected + tf.matmul(h, kernel), 4, axis=1)
        if peepholes:
            i, f = i + c * peepholes[0], f + c * peepholes[1]
        c = tf.sigmoid(f + self.forget_bias) * c + tf.sigmoid(i) * tf.tanh(j)
        if peepholes:
            o = o + c * peepholes[2]
        return c, tf.sigmoid(o) * tf.tanh(c)


class GruCell:
    """Cho et al. 2014. The state is (h,), [B, num_units]."""

    def __init__(self, num_units, initializer=None, regularizer=None):
        self.num_units = num_units
        self._initializer = initializer
        self._regularizer = regularizer

    def weights(self, input_size):
        """Creates (or reuses) gru_cell/{gates,candidate}/{kernel,bias} for inputs of this size -> CellWeights."""
        def layer(scope, size, bias):
            with tf.variable_scope(scope):
                kernel = tf.get_variable("kernel", [input_size + self.num_units, size],
                                         initializer=self._initializer, regularizer=self._regularizer)
                bias = tf.get_variable("bias", [size], initializer=tf.constant_initializer(bias))
            return tuple(layers.split(kernel, [input_size, self.num_units])) + (bias,)

        with tf.variable_scope("gru_cell"):
            gates_in, gates_h, gates_bias = layer("gates", 2 * self.num_units, 1.0)
            candidate_in, candidate_h, candidate_bias = layer("candidate", self.num_units, 0.0)
        return CellWeights(layers.concat([gates_in, candidate_in], 1),
                           layers.concat([gates_bias, candidate_bias], 0), (gates_h, candidate_h))

    def zero_state(self, batch_size):
        zeros = tf.zeros(tf.stack([batch_size, self.num_units]))
        zeros.set_shape([None, self.num_units])
        return (zeros,)

    def step(self, weights, projected, state):
        """projected [B, 3 * num_units], state -> the next state, which is the output."""
        h, = state
        units = self.num_units
        gates_h, candidate_h = weights.recurrent
        r, u = tf.split(tf.sigmoid(projected[:, :2 * units] + tf.matmul(h, gates_h)), 2, axis=1)
        candidate = tf.tanh(projected[:, 2 * units:] + tf.matmul(r * h, candidate_h))
        return (u * h + (1.0 - u) * candidate,)


class BidirectionalRnn:
    """A forward and a backward cell, then a fully connected layer if num_output_units > 0. `fused`: use ASTER's
    op for the loop over time where it can do it (LSTM without peepholes)."""

    def __init__(self, forward_cell, backward_cell, num_output_units=0, fc_style=None, fused=True):
        self._cells = (forward_cell, backward_cell)
        self._num_output_units = num_output_units
        self._fc_style = fc_style
        self._fused = fused and all(is_plain_lstm(cell) for cell in self._cells)

    def __call__(self, sequence, is_training, scope):
        """[B, T, C] -> [B, T, num_output_units or the units of both cells]."""
        with tf.variable_scope(scope):
            with tf.variable_scope("bidirectional_rnn"):
                outputs = self._run(sequence)
            if self._num_output_units > 0:
                outputs = layers.fully_connected(outputs, self._num_output_units, self._fc_style,
                                                 is_training, "fully_connected")
        return outputs

    def _run(self, sequence):
        weights, inputs = [], []
        for cell, scope in zip(self._cells, ("fw", "bw")):
            with tf.variable_scope(scope):
                weights.append(cell.weights(layers.static_size(sequence, 2)))
            inputs.append(project(weights[-1], sequence))

        if self._fused:
            outputs = tf.concat([ops.lstm(x, w.recurrent[0], cell.forget_bias, reverse)
                                 for cell, w, x, reverse in zip(self._cells, weights, inputs, (False, True))], 2)
        else:
            outputs = self._scan(weights, inputs)
        outputs.set_shape([sequence.shape[0], sequence.shape[1],
                           sum(cell.num_units for cell in self._cells)])
        return outputs

    def _scan(self, weights, inputs):
        """Pre-activations [B, T, n] of each cell -> their outputs, [B, T, units of both]."""
        def step(states, projected):
            return tuple(cell.step(w, x, state)
                         for cell, w, x, state in zip(self._cells, weights, projected, states))

        forward, backward = (tf.transpose(x, [1, 0, 2]) for x in inputs)
        states = tf.scan(step, (forward, tf.reverse(backward, [0])),
                         tuple(cell.zero_state(tf.shape(forward)[1]) for cell in self._cells))
        outputs = tf.concat([states[0][-1], tf.reverse(states[1][-1], [0])], 2)
        return tf.transpose(outputs, [1, 0, 2])
