"""The op of batch normalization against TensorFlow's own."""
import numpy as np
import pytest

from aster.c_ops import ops
from aster.compat import tf
from aster.model import layers

SHAPE = 3, 4, 5, 6


def random_arrays(seed=0):
    """x, scale, offset, and weights of the results."""
    random = np.random.RandomState(seed)
    x = random.normal(random.uniform(-3, 3, SHAPE[-1]), 1.0, SHAPE)
    return [array.astype(np.float32) for array in (
        x, random.normal(1, 1, SHAPE[-1]), random.normal(0, 1, SHAPE[-1]), random.normal(size=SHAPE))]


@pytest.mark.parametrize("relu", [False, True])
def test_results_and_gradients_are_tensorflows(session, relu):
    x, scale, offset, weights = map(tf.constant, random_arrays())

    def with_gradients(results):
        return list(results) + tf.gradients(tf.reduce_sum(results[0] * weights), [x, scale, offset])
    expected = list(tf.nn.fused_batch_norm(x, scale, offset, epsilon=0.01))
    if relu:
        expected[0] = tf.nn.relu(expected[0])
    results = ops.batch_norm(x, scale, offset, epsilon=0.01, relu=relu)
    for result, wanted in zip(*session.run((with_gradients(results), with_gradients(expected)))):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def test_bfloat16_is_float32_but_for_rounding(session):
    x, scale, offset, weights = random_arrays()
    values = tf.cast(x, tf.bfloat16)

    def with_gradient(images):
        y, mean, variance = ops.batch_norm(images, scale, offset, epsilon=0.01, relu=True)
        gradient = tf.gradients(tf.reduce_sum(tf.cast(y, tf.float32) * weights), images)[0]
        return [tf.cast(tensor, tf.float32) for tensor in (y, gradient)] + [mean, variance]
    rounded, exact = session.run((with_gradient(values), with_gradient(tf.cast(values, tf.float32))))
    for result, wanted in zip(rounded[:2], exact[:2]):
        np.testing.assert_allclose(result, wanted, rtol=0.01, atol=0.02)
    for result, wanted in zip(rounded[2:], exact[2:]):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


def test_rows_of_a_fully_connected_layer(session):
    x = random_arrays()[0].reshape(-1, SHAPE[-1])
    ones, zeros = np.ones(SHAPE[-1], np.float32), np.zeros(SHAPE[-1], np.float32)
    y, mean, _ = session.run(ops.batch_norm(x, ones, zeros, epsilon=0.01, relu=False))
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 0.01), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("x, scale, problem", [
    (np.zeros([0, 3], np.float32), np.ones(3, np.float32), "nothing to normalize"),
    (np.zeros([2, 3], np.float32), np.ones(4, np.float32), r"must be \[3\], not \[4\]")])
def test_wrong_shapes(session, x, scale, problem):
    with pytest.raises(tf.errors.InvalidArgumentError, match=problem):
        session.run(ops.batch_norm(x, scale, np.zeros_like(scale), epsilon=0.01, relu=False))


@pytest.mark.parametrize("activate", [True, False])
def test_a_layer_computes_the_same_with_and_without_the_op(session, activate):
    images = random_arrays()[0]

    def layer(fused, scope):
        style = layers.LayerStyle(tf.constant_initializer(0.1), batch_norm=layers.BatchNorm(scale=True, fused=fused))
        outputs = layers.conv2d(tf.constant(images), 7, (3, 3), style, True, scope, activate=activate)
        averages = [variable for variable in tf.global_variables(scope) if "moving" in variable.op.name]
        return outputs, averages, [op.type for op in tf.get_default_graph().get_operations()]
    (with_op, averages, kinds), (without, others, _) = layer(True, "a"), layer(False, "b")
    assert "AsterBatchNorm" in kinds and "Relu" not in kinds
    session.run(tf.global_variables_initializer())
    session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    for result, wanted in zip(*session.run(([with_op] + averages, [without] + others))):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)
