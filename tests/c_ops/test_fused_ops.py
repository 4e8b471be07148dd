"""The ops that replace loops and gathers, against plain numpy and against their own numeric gradients."""
import numpy as np
import pytest
import reference

from aster.c_ops import ops
from aster.compat import tf
from aster.data.charset import END_LABEL, START_LABEL
from aster.model import sampler
from aster.model.decoder import AttentionDecoder
from aster.model.rnn import BidirectionalRnn, LstmCell

DTYPES = [np.float32, np.float64]


def attention_lstm_inputs(dtype, batch=5, units=7, lengths=(4, 2)):
    return reference.attention_lstm_arrays(dtype, steps=3, batch=batch, units=units, attention_units=5,
                                           lengths=lengths)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths, units, attend_first, reverse", [
    ((4, 2), 7, True, False), ((4, 2), 7, False, False), ((4, 2), 7, False, True), ((3,), 16, True, True),
    ((), 33, True, False), ((), 33, True, True)])
def test_attention_lstm(session, dtype, lengths, units, attend_first, reverse):
    arrays = attention_lstm_inputs(dtype, units=units, lengths=lengths)
    options = dict(lengths=lengths, forget_bias=0.5, attend_first=attend_first, reverse=reverse)
    result = session.run(ops.attention_lstm(*arrays, **options))
    assert result.dtype == dtype
    expected = reference.attention_lstm(*arrays, **options)
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths, attend_first, reverse", [
    ((4, 2), True, False), ((3,), False, True), ((), True, False), ((), True, True)])
def test_attention_lstm_gradients(session, dtype, lengths, attend_first, reverse):
    arrays = attention_lstm_inputs(dtype, batch=3, lengths=lengths)
    inputs = [tf.constant(array) for array in arrays]
    h = ops.attention_lstm(*inputs, lengths=lengths, forget_bias=0.5, attend_first=attend_first, reverse=reverse)
    loss = tf.reduce_sum(h * tf.constant(np.random.RandomState(1).normal(size=h.shape.as_list()).astype(dtype)))
    for tensor, array in list(zip(inputs, arrays))[:5 if lengths else 2]:
        step, most = (1e-2, 2e-2) if dtype == np.float32 else (1e-5, 1e-7)
        assert tf.test.compute_gradient_error(tensor, array.shape, loss, [], array, step) < most


def test_a_single_memory_may_have_any_length(session):
    arrays = attention_lstm_inputs(np.float32, lengths=(4,))
    keys, values = (tf.placeholder(tf.float32, [None, None, array.shape[2]]) for array in arrays[2:4])
    inputs = [tf.constant(arrays[0]), arrays[1], keys, values, tf.constant(arrays[4])]
    h = ops.attention_lstm(*inputs, lengths=[0])
    gradient = tf.gradients(h, keys)[0]
    known = ops.attention_lstm(*[tf.constant(array) for array in arrays], lengths=[4])
    feeds = {keys: arrays[2], values: arrays[3]}
    np.testing.assert_array_equal(session.run(h, feeds), session.run(known))
    assert session.run(gradient, feeds).shape == arrays[2].shape
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected state_kernel"):
        session.run(h, {keys: arrays[2][:, :0], values: arrays[3][:, :0]})


def test_attention_lstm_says_what_does_not_fit(session):
    arrays = attention_lstm_inputs(np.float32)
    arrays[2] = arrays[2][:, :-1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected state_kernel \[U, 4U \+ N A\]"):
        session.run(ops.attention_lstm(*arrays, lengths=[4, 2]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("height, width, channels", [(5, 7, 3), (2, 2, 1), (64, 256, 3), (3, 4, 17)])
def test_bilinear_sample(session, dtype, height, width, channels):
    random = np.random.RandomState(0)
    images = tf.constant(random.uniform(-1, 1, [2, height, width, channels]).astype(dtype))
    grid = tf.constant(random.uniform(-0.2, 1.2, [2, 50, 2]).astype(dtype))
    weights = random.normal(size=[2, 50, channels])
    results = [sample(images, grid) for sample in (ops.bilinear_sample, sampler.bilinear_sample)]
    gradients = [tf.gradients(tf.reduce_sum(result * weights), [images, grid]) for result in results]
    (ours, ours_gradients), (plain, plain_gradients) = session.run(list(zip(results, gradients)))
    np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-6)
    for one, other in zip(ours_gradients, plain_gradients):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * height * width)


def test_bilinear_sample_gradients(session):
    random = np.random.RandomState(0)
    images, grid = random.uniform(size=[2, 4, 5, 3]), random.uniform(0.1, 0.55, [2, 6, 2])
    inputs = [tf.constant(images), tf.constant(grid)]
    samples = ops.bilinear_sample(*inputs)
    for tensor, array in zip(inputs, (images, grid)):
        assert tf.test.compute_gradient_error(tensor, array.shape, samples, [2, 6, 3], array, 1e-6) < 1e-6


def test_points_that_are_not_numbers_give_samples_that_are_none(session):
    grid = np.float32([[[np.nan, 0.5], [np.inf, 0.5], [-np.inf, 0.5], [0.5, np.nan], [0.5, 0.5]]])
    samples = session.run(ops.bilinear_sample(np.ones([1, 4, 4, 1], np.float32), grid))
    assert np.isnan(samples[0, :, 0]).tolist() == [True, False, False, True, False]


def test_no_images_at_all(session):
    assert session.run(ops.bilinear_sample(np.zeros([0, 4, 4, 3], "f"), np.zeros([0, 9, 2], "f"))).shape == (0, 9, 3)


def decode(session, fused, labels=11, known_lengths=True, **options):
    """Scores and gradients of one decoder, with the same variables for every call in the session's graph."""
    random = np.random.RandomState(3)
    sequences = [random.normal(size=[6, length, 5]).astype(np.float32) for length in (4, 3)]
    sequences = [tf.placeholder_with_default(sequence, [6, length if known_lengths else None, 5])
                 for sequence, length in zip(sequences, (4, 3))]
    with tf.variable_scope("", reuse=tf.AUTO_REUSE):
        decoder = AttentionDecoder("D", LstmCell(9), labels, num_attention_units=6, max_num_steps=7, fused=fused,
                                   **options)
        forced = decoder.teacher_force(sequences, tf.constant(random.randint(2, labels, [6, 4]), tf.int32),
                                       tf.constant([4, 2, 0, 1, 3, 4]))
        decoded = decoder.decode(sequences)
    weights = tf.cast(tf.range(tf.size(forced.logits)), tf.float32) % 3.0 - 1.0
    loss = tf.reduce_sum(tf.reshape(forced.logits, [-1]) * weights)
    variables = sorted(tf.trainable_variables(), key=lambda variable: variable.name)
    gradients = [tf.convert_to_tensor(gradient) for gradient in tf.gradients(loss, variables + sequences)]
    return variables, (forced.logits, gradients), decoded


@pytest.mark.parametrize("options", [
    dict(beam_width=1), dict(beam_width=5), dict(beam_width=5, multi_attention=True), dict(beam_width=3, sync=False),
    dict(beam_width=8, reverse=True), dict(beam_width=4, labels=3),
    dict(beam_width=2, sync=False, multi_attention=True), dict(beam_width=5, known_lengths=False),
    dict(beam_width=2, known_lengths=False, multi_attention=True),
])
def test_the_decoder_is_that_of_plain_ops(session, options):
    variables, forced, decoded = zip(*(decode(session, fused, **options) for fused in (True, False)))
    session.run(tf.global_variables_initializer())
    for seed, (scale, sharpness) in enumerate([(0.5, 1), (1.0, 1), (1.5, 1), (0.5, 20)]):
        random = np.random.RandomState(seed)
        for variable in variables[0]:
            own = scale * (sharpness if "dense/kernel" in variable.name else 1)  # most texts are beyond doubt, then
            variable.load(random.normal(0, own, variable.shape.as_list()).astype(np.float32), session)
        (logits, gradients), (plain_logits, plain_gradients) = session.run(forced)
        np.testing.assert_allclose(logits, plain_logits, rtol=1e-4, atol=1e-4 * sharpness)
        for gradient, plain in zip(gradients, plain_gradients):
            np.testing.assert_allclose(gradient, plain, rtol=1e-3, atol=1e-4 * sharpness * (1 + abs(plain).max()))
        ours, plain = session.run(decoded)
        np.testing.assert_array_equal(ours.lengths, plain.lengths)
        np.testing.assert_array_equal(ours.labels, plain.labels)
        np.testing.assert_allclose(ours.scores, plain.scores, rtol=1e-4, atol=1e-4)
        until_end = np.arange(ours.labels.shape[1]) <= (ours.labels != END_LABEL).cumprod(1).sum(1)[:, None]
        until_end &= ours.labels >= 0
        np.testing.assert_allclose(ours.step_log_probs[until_end], plain.step_log_probs[until_end], atol=1e-4)
        np.testing.assert_allclose(ours.alignments[until_end], plain.alignments[until_end], atol=1e-4)


def test_beam_search_with_weights_that_are_not_numbers_ends(session):
    inputs = attention_lstm_inputs(np.float32, lengths=(4,))[1:]
    found = session.run(ops.beam_search(
        np.full([6, 28], np.nan, "f"), *inputs, dense_kernel=np.ones([7, 6], "f"), dense_bias=np.zeros([6], "f"),
        lengths=[4], beam_width=3, max_num_steps=5, start_label=START_LABEL, end_label=END_LABEL, pad_label=-1))
    assert found[0].shape[0] == 5 and found[1].max() <= 5


def test_the_bidirectional_rnn_is_that_of_plain_ops(session):
    sequence = tf.constant(np.random.RandomState(0).normal(size=[3, 6, 4]).astype(np.float32))
    results = []
    for fused in (True, False):
        with tf.variable_scope("", reuse=tf.AUTO_REUSE):
            rnn = BidirectionalRnn(LstmCell(5), LstmCell(5), fused=fused)
            outputs = rnn(sequence, True, "R")
        loss = tf.reduce_sum(outputs * outputs)
        results.append((outputs, tf.gradients(loss, tf.trainable_variables() + [sequence])))
    session.run(tf.global_variables_initializer())
    (outputs, gradients), (plain, plain_gradients) = session.run(results)
    np.testing.assert_allclose(outputs, plain, atol=1e-6)
    for gradient, other in zip(gradients, plain_gradients):
        np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-4)
