import numpy as np
import pytest

from aster import losses
from aster.compat import tf


@pytest.mark.parametrize("sequence_normalize", [False, True])
@pytest.mark.parametrize("sample_normalize", [False, True])
def test_sequence_cross_entropy(session, sequence_normalize, sample_normalize):
    rng = np.random.RandomState(0)
    logits = rng.standard_normal([3, 4, 5]).astype(np.float32)
    targets, lengths = rng.randint(0, 5, [3, 4]), np.array([4, 1, 2])
    log_probs = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    sums = [-sum(log_probs[i, t, targets[i, t]] for t in range(lengths[i])) for i in range(3)]
    if sequence_normalize:
        sums = np.array(sums) / lengths
    expected = 0.5 * np.sum(sums) / (3 if sample_normalize else 1)
    loss = session.run(losses.sequence_cross_entropy(
        tf.constant(logits), tf.constant(targets, tf.int32), tf.constant(lengths, tf.int32), weight=0.5,
        sequence_normalize=sequence_normalize, sample_normalize=sample_normalize))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_label_smoothing_is_the_cross_entropy_with_a_mixed_target(session):
    rng = np.random.RandomState(1)
    logits = rng.standard_normal([2, 3, 5]).astype(np.float32)
    targets, lengths = rng.randint(0, 5, [2, 3]), np.array([3, 1])
    log_probs = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    mixed = 0.8 * np.eye(5)[targets] + 0.2 / 5
    losses_of_steps = -(mixed * log_probs).sum(2)
    loss = session.run(losses.sequence_cross_entropy(
        tf.constant(logits), tf.constant(targets, tf.int32), tf.constant(lengths, tf.int32), label_smoothing=0.2))
    np.testing.assert_allclose(loss, (losses_of_steps[0].sum() + losses_of_steps[1, 0]) / 2, rtol=1e-5)


def test_masked_samples_do_not_count_even_if_they_are_nan(session):
    predicted = np.zeros([2, 4, 2], np.float32)
    annotated = np.ones([2, 4, 2], np.float32)
    annotated[1] = np.nan
    values = [session.run(losses.l2_regression(predicted, annotated, tf.constant(mask)))
              for mask in ([1.0, 0.0], [0.0, 0.0])]
    assert values == [4.0, 0.0]


@pytest.mark.parametrize("name", [None, 3, b"mine", "", "my loss", "_mine", "verlust ü", "mine/", "mine\n", "/mine"])
def test_a_name_that_can_not_be_used_is_refused(session, name):
    del session
    with pytest.raises(ValueError, match="the name of a loss is .*, expected a text of letters, digits and"):
        losses.add(name, 1.0)
    assert not losses.added()


@pytest.mark.parametrize("make, message", [
    (lambda: tf.constant(1), "must be float32, not int32; use tf.cast"),
    (lambda: tf.constant(1.0, tf.float64), "must be float32, not float64; use tf.cast"),
    (lambda: np.float64(1.0), "must be float32, not float64"),
    (lambda: None, "must be a scalar, float32, not None"),
    (lambda: "one", "must be a scalar, float32, not 'one'")])
def test_another_type_is_refused(session, make, message):
    del session
    with pytest.raises(ValueError, match="the loss 'mine' " + message):
        losses.add("mine", make())


def test_total_is_the_sum(session):
    del session
    with pytest.raises(ValueError, match="'total', which the training loss has already"):
        losses.add("total", 1.0)
    for loss in 1, 1.0, tf.constant(1.0), np.float32(1):
        losses.add("a.b/c-d_1", loss)
    assert len(losses.added()) == 4
