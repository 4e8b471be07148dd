"""The cells and the bidirectional layer against numpy, step by step."""
import numpy as np
import pytest
from reference import lstm_cell, sigmoid

from aster.compat import tf
from aster.model import rnn


def numpy_lstm(x, v, forget_bias, peepholes):
    c = h = np.zeros([x.shape[0], v["bias"].size // 4])
    peepholes = [v["w_i_diag"], v["w_f_diag"], v["w_o_diag"]] if peepholes else [0.0, 0.0, 0.0]
    outputs = []
    for t in range(x.shape[1]):
        sums = np.concatenate([x[:, t], h], 1).dot(v["kernel"]) + v["bias"]
        h, c = lstm_cell(sums, c, forget_bias, peepholes)
        outputs.append(h)
    return np.stack(outputs, 1)


def numpy_gru(x, v, *_):
    h = np.zeros([x.shape[0], v["candidate/bias"].size])
    outputs = []
    for t in range(x.shape[1]):
        r, u = np.split(sigmoid(np.concatenate([x[:, t], h], 1).dot(v["gates/kernel"]) + v["gates/bias"]), 2, 1)
        c = np.tanh(np.concatenate([x[:, t], r * h], 1).dot(v["candidate/kernel"]) + v["candidate/bias"])
        h = u * h + (1.0 - u) * c
        outputs.append(h)
    return np.stack(outputs, 1)


@pytest.mark.parametrize("cell, scope, reference, peepholes", [
    (lambda: rnn.LstmCell(3, forget_bias=0.5), "lstm_cell", numpy_lstm, False),
    (lambda: rnn.LstmCell(3, forget_bias=0.5, use_peepholes=True), "lstm_cell", numpy_lstm, True),
    (lambda: rnn.GruCell(3), "gru_cell", numpy_gru, False)])
def test_bidirectional_rnn_against_numpy(session, cell, scope, reference, peepholes):
    rng = np.random.RandomState(1)
    x = rng.standard_normal([2, 5, 4]).astype(np.float32)
    outputs = rnn.BidirectionalRnn(cell(), cell())(tf.placeholder_with_default(x, [None, 5, 4]), False, "Rnn")
    assert outputs.shape.as_list() == [None, 5, 6]
    variables = tf.global_variables()
    sizes = [tf.reduce_sum(tf.abs(gradient)) for gradient in tf.gradients(outputs, variables)]
    session.run(tf.global_variables_initializer())
    for variable in variables:  # the initial values may be zero
        session.run(variable.initializer, {variable.initializer.inputs[1]:
                                           rng.uniform(-1, 1, variable.shape.as_list())})
    values = {v.op.name: value for v, value in zip(variables, session.run(variables))}
    actual = session.run(outputs)
    assert all(size > 0 for size in session.run(sizes))

    def direction(name):
        prefix = f"Rnn/bidirectional_rnn/{name}/{scope}/"
        return {key[len(prefix):]: value for key, value in values.items() if key.startswith(prefix)}
    expected = np.concatenate([reference(x, direction("fw"), 0.5, peepholes),
                               reference(x[:, ::-1], direction("bw"), 0.5, peepholes)[:, ::-1]], 2)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_gru_gates_start_open(session):
    rnn.GruCell(3).weights(4)
    session.run(tf.global_variables_initializer())
    biases = {v.op.name: session.run(v).tolist() for v in tf.global_variables() if v.op.name.endswith("bias")}
    assert biases == {"gru_cell/gates/bias": [1.0] * 6, "gru_cell/candidate/bias": [0.0] * 3}
