"""Optimizers and schedules against numpy."""
import numpy as np
import pytest
from google.protobuf import text_format

from aster.compat import tf
from aster.protos import optimizer_pb2, train_pb2
from aster.training.optimizer import learning_rate, make_optimizer, make_update, transform_gradients

RATE = "learning_rate { constant_learning_rate { learning_rate: 0.1 } }"
GRADIENTS = [np.array(g, np.float64) for g in ([1.0, -2.0], [0.5, 0.25], [-3.0, 0.0], [0.1, 0.1])]


def sgd_momentum():
    v = 0.0
    for g in GRADIENTS:
        v = 0.9 * v + g
        yield 0.1 * v


def rms_prop():
    s, v = 1.0, 0.0  # TensorFlow starts the mean square at one
    for g in GRADIENTS:
        s = 0.9 * s + 0.1 * g ** 2
        v = 0.9 * v + 0.1 * g / np.sqrt(s + 1.0)
        yield v


def adam(nesterov=False):
    m = v = 0.0
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        step = 0.9 * m + 0.1 * g if nesterov else m
        yield 0.1 * np.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t) * step / (np.sqrt(v) + 1e-8)


def adadelta():
    s = d = 0.0
    for g in GRADIENTS:
        s = 0.95 * s + 0.05 * g ** 2
        step = np.sqrt(d + 1e-8) / np.sqrt(s + 1e-8) * g
        d = 0.95 * d + 0.05 * step ** 2
        yield 0.1 * step


@pytest.mark.parametrize("name, reference", [
    ("momentum_optimizer", sgd_momentum), ("rms_prop_optimizer", rms_prop), ("adam_optimizer", adam),
    ("nadam_optimizer", lambda: adam(nesterov=True)), ("adadelta_optimizer", adadelta)])
def test_optimizer_against_numpy(name, reference):
    config = text_format.Parse(f"{name} {{ {RATE} }}", optimizer_pb2.Optimizer())
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("x", initializer=tf.constant([1.0, 2.0]))
        gradient = tf.placeholder(tf.float32, [2])
        optimizer, _ = make_optimizer(config, tf.train.get_or_create_global_step())
        update = optimizer.apply_gradients([(gradient, variable)])
        session.run(tf.global_variables_initializer())
        expected = np.array([1.0, 2.0])
        for g, step in zip(GRADIENTS, reference()):
            session.run(update, {gradient: g})
            expected = expected - step
            np.testing.assert_allclose(session.run(variable), expected, rtol=2e-4)


def test_adamw_against_numpy():
    """A kernel decays before each step of Adam; a bias does not."""
    config = text_format.Parse(f"adamw_optimizer {{ {RATE} weight_decay: 0.3 }}", optimizer_pb2.Optimizer())
    with tf.Graph().as_default(), tf.Session() as session:
        kernel = tf.get_variable("kernel", initializer=tf.constant([[1.0, 2.0]]))
        bias = tf.get_variable("bias", initializer=tf.constant([1.0, 2.0]))
        gradient = tf.placeholder(tf.float32, [2])
        # one that looks at the kernel must do so before it decays
        pairs = [(gradient[tf.newaxis] + 0.0 * kernel, kernel), (gradient, bias)]
        optimizer, _ = make_optimizer(config, tf.train.get_or_create_global_step())
        update = optimizer.apply_gradients(pairs)
        session.run(tf.global_variables_initializer())
        expected_kernel, expected_bias = np.array([[1.0, 2.0]]), np.array([1.0, 2.0])
        for g, step in zip(GRADIENTS, adam()):
            session.run(update, {gradient: g})
            expected_kernel = expected_kernel * (1 - 0.1 * 0.3) - step
            expected_bias = expected_bias - step
            np.testing.assert_allclose(session.run(kernel), expected_kernel, rtol=2e-4)
            np.testing.assert_allclose(session.run(bias), expected_bias, rtol=2e-4)


@pytest.mark.parametrize("text, expected", [
    ("constant_learning_rate { learning_rate: 0.5 }", {0: 0.5, 1000: 0.5}),
    ("exponential_decay_learning_rate { initial_learning_rate: 1.0 decay_steps: 10 decay_factor: 0.5 }",
     {0: 1.0, 9: 1.0, 10: 0.5, 25: 0.25}),
    ("exponential_decay_learning_rate { initial_learning_rate: 1.0 decay_steps: 10 decay_factor: 0.25"
     " staircase: false }",
     {0: 1.0, 5: 0.5, 10: 0.25}),
    ("manual_step_learning_rate { initial_learning_rate: 1.0 schedule { step: 5 learning_rate: 0.1 } "
     "schedule { step: 8 learning_rate: 0.01 } }", {0: 1.0, 4: 1.0, 5: 0.1, 7: 0.1, 8: 0.01, 99: 0.01}),
    ("one_cycle_learning_rate { max_learning_rate: 1.0 num_warmup_steps: 4 num_steps: 12 }",
     {0: 0.04, 2: 0.52, 4: 1.0, 8: 0.500002, 12: 4e-6, 99: 4e-6}),
    ("cosine_decay_learning_rate { initial_learning_rate: 1.0 num_steps: 8 final_factor: 0.1 }",
     {0: 1.0, 2: 0.1 + 0.45 * (1 + np.sqrt(0.5)), 4: 0.55, 8: 0.1, 99: 0.1})])
def test_schedules(text, expected):
    config = text_format.Parse(text, optimizer_pb2.LearningRate())
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = learning_rate(config, step)
        for at, value in expected.items():
            np.testing.assert_allclose(session.run(rate, {step: at}), value, rtol=1e-6)


def test_clipping_and_bias_multiplier():
    with tf.Graph().as_default(), tf.Session() as session:
        names = ["a/weights", "a/biases", "b/bias", "c/biases_of"]
        pairs = [(tf.constant([3.0, 4.0]), tf.get_variable(name, [2])) for name in names]
        scaled = session.run([g for g, _ in transform_gradients(pairs, bias_multiplier=2.0)])
        clipped = session.run([g for g, _ in transform_gradients(pairs, clip_norm=1.0, bias_multiplier=0.1)])
    np.testing.assert_allclose(scaled, [[3, 4], [6, 8], [6, 8], [3, 4]])
    np.testing.assert_allclose(clipped, [[0.6, 0.8], [0.3, 0.4], [0.3, 0.4], [0.6, 0.8]], rtol=1e-6)


def test_clipping_of_all_gradients_together():
    for values, expected in (([3.0], [4.0, 12.0]), ([3.0 / 13], [4.0 / 13, 12.0 / 13])), \
            (([0.3], [0.4, 0.0]), ([0.3], [0.4, 0.0])), (([3e38], [3e38, 3e38]), ([0.0], [0.0, 0.0])):
        with tf.Graph().as_default(), tf.Session() as session:
            pairs = [(tf.constant(value), tf.get_variable(f"v{i}", [len(value)])) for i, value in enumerate(values)]
            clipped = session.run([g for g, _ in transform_gradients(pairs, global_norm=1.0)])
        for a, b in zip(clipped, expected):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_warm_up_of_any_schedule():
    config = text_format.Parse("""momentum_optimizer { learning_rate { manual_step_learning_rate {
        initial_learning_rate: 1.0 schedule { step: 6 learning_rate: 0.1 } } } }""", optimizer_pb2.Optimizer())
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        _, rate = make_optimizer(config, step, warmup_steps=4)
        rates = [session.run(rate, {step: at}) for at in range(8)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["momentum_optimizer", "rms_prop_optimizer", "adam_optimizer", "nadam_optimizer",
                                       "adadelta_optimizer"])
def test_the_localization_network_at_a_rate_of_its_own(optimizer):
    """It moves by a tenth of what it would, whatever the optimizer, and the rest as before."""
    moved = {}
    for factor in 1.0, 0.1:
        config = text_format.Parse(f"""optimizer {{ {optimizer} {{ {RATE} }} }}
            localization_learning_rate_factor: {factor}""", train_pb2.TrainConfig())
        with tf.Graph().as_default(), tf.Session() as session:
            variables = [tf.get_variable(name, initializer=[1.0, 2.0]) for name in (
                "LocalizationNet/conv1/weights", "Predictor/LocalizationNetwork/weights")]
            step = tf.train.get_or_create_global_step()
            make, rate = make_update(config, step)
            update = make([(tf.constant(GRADIENTS[0], tf.float32), v) for v in variables])
            session.run(tf.global_variables_initializer())
            before = session.run(variables)
            for _ in range(3):
                session.run(update)
            moved[factor] = [new - old for old, new in zip(before, session.run(variables))]
            assert session.run(step) == 3 and session.run(rate) == pytest.approx(0.1)
    np.testing.assert_allclose(moved[0.1][0], 0.1 * moved[1.0][0], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(moved[0.1][1], moved[1.0][1], rtol=1e-6)
