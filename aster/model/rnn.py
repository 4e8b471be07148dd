"""Recurrent cells and the bidirectional layer.

The product of a cell with its inputs does not depend on the state. So it is computed for all time steps at once
(`project`), and only the product with the state is left for the loop over time (`step`).
"""
from typing import Any, Callable, NamedTuple, Optional, Tuple, Union

from aster.c_ops import ops
from aster.compat import tf
from aster.model import layers


class CellWeights(NamedTuple):
    """The parameters of a cell whose gates have n pre-activations together.

    input_kernel: [inputs, n].
    bias: [n].
    recurrent: the kernels [num_units, ...] that multiply the state, and peepholes.
    """
    input_kernel: tf.Tensor
    bias: tf.Tensor
    recurrent: Tuple[tf.Tensor, ...]


class LstmState(NamedTuple):
    """c, the memory, and h, the output; each [..., num_units]."""
    c: tf.Tensor
    h: tf.Tensor


class GruState(NamedTuple):
    """h, the output, [..., num_units]."""
    h: tf.Tensor


def project(weights: CellWeights, inputs: tf.Tensor) -> tf.Tensor:
    """Computes what the inputs add to the pre-activations of a cell.

    Args:
      weights: the parameters of the cell.
      inputs: [..., inputs], for example of all time steps.

    Returns:
      [..., n], the bias included.
    """
    return layers.matmul(inputs, weights.input_kernel, weights.bias)


def is_plain_lstm(cell: Any) -> bool:
    """Tells whether ASTER's ops can run this cell over a sequence: an LSTM without peepholes."""
    return isinstance(cell, LstmCell) and not cell.use_peepholes


class LstmCell:
    """The LSTM of Hochreiter & Schmidhuber (1997); peepholes as in Sak et al. (2014).

    Args:
      num_units: size of the state.
      forget_bias: is added to the pre-activation of the forget gate.
      use_peepholes: whether the gates also see the memory c.
      initializer: the initializer of the kernel; None: TensorFlow's default.
      regularizer: a function of the kernel that returns a penalty, or None.
    """

    INPUT_KERNELS = ("lstm_cell/kernel",)  # the variables whose first rows belong to the inputs

    def __init__(self, num_units: int, *, forget_bias: float = 1.0, use_peepholes: bool = False,
                 initializer: Optional[Callable] = None, regularizer: Optional[Callable] = None) -> None:
        self.num_units = num_units
        self.forget_bias = forget_bias
        self.use_peepholes = use_peepholes
        self._initializer = initializer
        self._regularizer = regularizer

    def weights(self, input_size: int) -> CellWeights:
        """Creates (or reuses) the variables lstm_cell/{kernel,bias} for inputs of this size."""
        units = self.num_units
        with tf.variable_scope("lstm_cell"):
            kernel = tf.get_variable("kernel", [input_size + units, 4 * units],
                                     initializer=self._initializer, regularizer=self._regularizer)
            bias = tf.get_variable("bias", [4 * units], initializer=tf.zeros_initializer())
            peepholes: Tuple[tf.Tensor, ...] = ()
            if self.use_peepholes:  # vectors: an orthogonal initializer can't make them
                peepholes = tuple(tf.get_variable(name, [units], initializer=tf.zeros_initializer())
                                  for name in ("w_i_diag", "w_f_diag", "w_o_diag"))
        # split, since the gradients of two slices would each be as large as the kernel
        input_kernel, state_kernel = layers.split(kernel, [input_size, units])
        return CellWeights(input_kernel, bias, (state_kernel,) + peepholes)

    def zero_state(self, batch_shape: list) -> LstmState:
        """Returns a state of zeros, each tensor of shape batch_shape + [num_units]."""
        zeros = tf.zeros(batch_shape + [self.num_units])
        return LstmState(zeros, zeros)

    def step(self, weights: CellWeights, projected: tf.Tensor, state: LstmState) -> LstmState:
        """Makes one time step.

        Args:
          weights: the parameters of this cell.
          projected: [..., 4 * num_units], what `project` gives for the inputs of the step.
          state: the last state, each tensor [..., num_units].

        Returns:
          The next state.
        """
        kernel, peepholes = weights.recurrent[0], weights.recurrent[1:]
        i, j, f, o = tf.split(projected + layers.matmul(state.h, kernel), 4, axis=-1)
        if peepholes:
            i, f = i + state.c * peepholes[0], f + state.c * peepholes[1]
        c = tf.sigmoid(f + self.forget_bias) * state.c + tf.sigmoid(i) * tf.tanh(j)
        if peepholes:
            o = o + c * peepholes[2]
        return LstmState(c, tf.sigmoid(o) * tf.tanh(c))


class GruCell:
    """The GRU of Cho et al. (2014).

    Args:
      num_units: size of the state.
      initializer: the initializer of the kernels; None: TensorFlow's default.
      regularizer: a function of a kernel that returns a penalty, or None.
    """

    INPUT_KERNELS = ("gru_cell/gates/kernel", "gru_cell/candidate/kernel")  # as those of LstmCell

    def __init__(self, num_units: int, *, initializer: Optional[Callable] = None,
                 regularizer: Optional[Callable] = None) -> None:
        self.num_units = num_units
        self._initializer = initializer
        self._regularizer = regularizer

    def weights(self, input_size: int) -> CellWeights:
        """Creates (or reuses) gru_cell/{gates,candidate}/{kernel,bias} for inputs of this size."""
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

    def zero_state(self, batch_shape: list) -> GruState:
        """Returns a state of zeros, of shape batch_shape + [num_units]."""
        return GruState(tf.zeros(batch_shape + [self.num_units]))

    def step(self, weights: CellWeights, projected: tf.Tensor, state: GruState) -> GruState:
        """Makes one time step, as `LstmCell.step` does; projected is [..., 3 * num_units]."""
        gates_h, candidate_h = weights.recurrent
        gates, candidate = tf.split(projected, [2 * self.num_units, self.num_units], axis=-1)
        r, u = tf.split(tf.sigmoid(gates + layers.matmul(state.h, gates_h)), 2, axis=-1)
        candidate = tf.tanh(candidate + layers.matmul(r * state.h, candidate_h))
        return GruState(u * state.h + (1.0 - u) * candidate)


Cell = Union[LstmCell, GruCell]


class BidirectionalRnn:
    """A forward and a backward cell, then a fully connected layer if it is asked for.

    Args:
      forward_cell: reads the sequence from the first to the last time step.
      backward_cell: reads it from the last to the first.
      num_output_units: units of the fully connected layer; 0: there is none.
      fc_style: the style of that layer; None: with ReLU and biases.
      fused: whether ASTER's op makes the loop over time where it can (LSTM without peepholes).
    """

    def __init__(self, forward_cell: Cell, backward_cell: Cell, *, num_output_units: int = 0,
                 fc_style: Optional[layers.LayerStyle] = None, fused: bool = True) -> None:
        self._cells: Tuple[Any, Any] = (forward_cell, backward_cell)
        self._num_output_units = num_output_units
        self._fc_style = fc_style or layers.LayerStyle(layers.variance_scaling())
        self._fused = fused and all(is_plain_lstm(cell) for cell in self._cells)

    def __call__(self, sequence: tf.Tensor, is_training: bool, scope: str) -> tf.Tensor:
        """Runs both cells over a sequence.

        Args:
          sequence: [B, T, C].
          is_training: whether the fully connected layer's batch normalization uses the batch's own mean and variance.
          scope: the scope of the variables.

        Returns:
          [B, T, num_output_units], or without a fully connected layer [B, T, the units of both cells].
        """
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
            outputs = tf.concat([ops.lstm(x, w.recurrent[0], forget_bias=cell.forget_bias, reverse=reverse)
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

        # tf.scan goes along the first axis
        forward, backward = (tf.transpose(x, [1, 0, 2]) for x in inputs)
        forward_states, backward_states = tf.scan(
            step, (forward, tf.reverse(backward, [0])),
            tuple(cell.zero_state([tf.shape(forward)[1]]) for cell in self._cells))
        outputs = tf.concat([forward_states.h, tf.reverse(backward_states.h, [0])], 2)
        return tf.transpose(outputs, [1, 0, 2])
