"""CTC against all paths through a few columns."""
import collections
import itertools

import numpy as np
import pytest

from aster import losses
from aster.compat import tf
from aster.data.charset import END_LABEL
from aster.model import ctc
from aster.model.prefix_tree import prefix_tree

COLUMNS, LABELS = 5, 5  # blank, end, and three characters


def make_sequences(seed, batch=3, columns=COLUMNS, scale=2.0):
    """Feature sequences whose channels the decoder takes as logits, and their log-probabilities without the end."""
    logits = scale * np.random.RandomState(seed).standard_normal([batch, columns, LABELS]).astype(np.float32)
    possible = np.delete(logits, END_LABEL, 2)
    log_probs = possible - np.log(np.exp(possible).sum(2, keepdims=True))
    return logits, np.insert(log_probs, END_LABEL, -np.inf, 2)


def run(session, logits, tree=None, **options):
    decoder = ctc.CtcDecoder("Ctc", LABELS, **options)
    decoded = decoder.decode([tf.constant(logits)], tree)
    with tf.variable_scope("Ctc", reuse=True):
        kernel = tf.get_variable("Predictor/dense/kernel")
    session.run(tf.global_variables_initializer())
    session.run(kernel.assign(np.eye(LABELS, dtype=np.float32)))
    return session.run(decoded)


def collapse(path):
    return tuple(label for label, _ in itertools.groupby(path) if label != ctc.BLANK)


def texts_of(log_probs):
    """{labels: log-probability} of all texts of the columns of one image."""
    totals = collections.defaultdict(float)
    for path in itertools.product(range(LABELS), repeat=len(log_probs)):
        if END_LABEL not in path:
            totals[collapse(path)] += np.exp(sum(column[label] for column, label in zip(log_probs, path)))
    return {labels: np.log(total) for labels, total in totals.items()}


def text_of(decoded, i):
    labels = decoded.labels[i].tolist()
    assert labels.count(END_LABEL) == 1 and decoded.lengths[i] == labels.index(END_LABEL) + 1
    assert set(labels[labels.index(END_LABEL) + 1:]) <= {-1}
    return tuple(labels[:labels.index(END_LABEL)])


@pytest.mark.parametrize("seed", range(6))
def test_prefix_beam_search_finds_the_best_text(session, seed):
    logits, log_probs = make_sequences(seed)
    decoded = run(session, logits, beam_width=60)  # nothing is lost
    for i in range(len(logits)):
        texts = texts_of(log_probs[i])
        best = max(texts, key=texts.get)
        assert text_of(decoded, i) == best
        np.testing.assert_allclose(decoded.scores[i], texts[best], rtol=1e-4)
        np.testing.assert_allclose(decoded.step_log_probs[i].sum(), decoded.scores[i], rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_a_narrow_beam_gives_a_text_and_no_more_than_its_probability(session, seed):
    logits, log_probs = make_sequences(seed, columns=6)
    decoded = run(session, logits, beam_width=3)
    for i in range(len(logits)):
        assert decoded.scores[i] <= texts_of(log_probs[i])[text_of(decoded, i)] + 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_the_best_path(session, seed):
    logits, log_probs = make_sequences(seed)
    decoded = run(session, logits)
    for i in range(len(logits)):
        path = log_probs[i].argmax(1)
        assert text_of(decoded, i) == collapse(path)
        np.testing.assert_allclose(decoded.scores[i], log_probs[i].max(1).sum(), rtol=1e-4)
        for step, label in enumerate(text_of(decoded, i)):
            column = decoded.alignments[i, step].argmax()
            assert path[column] == label and (column == 0 or path[column - 1] != label)


@pytest.mark.parametrize("seed", range(6))
def test_in_a_tree_only_its_words_are_read(session, seed):
    logits, log_probs = make_sequences(seed, batch=4)
    words = [(2,), (2, 3), (2, 2), (3, 4, 3), (4, 4), (4,), (2, 3, 4)]
    decoded = run(session, logits, prefix_tree(words))
    for i in range(len(logits)):
        texts = texts_of(log_probs[i])
        best = max(words, key=texts.get)
        assert text_of(decoded, i) == best
        np.testing.assert_allclose(decoded.scores[i], texts[best], rtol=1e-4)


def test_no_columns_for_any_word(session):
    logits, _ = make_sequences(0, columns=2)
    decoded = run(session, logits, prefix_tree([(2, 3, 4)]))
    assert (decoded.scores < -1e20).all() and np.isfinite(decoded.scores).all()
    assert [text_of(decoded, i) for i in range(3)] == [()] * 3


def test_a_table_that_is_too_large_is_told(monkeypatch):
    monkeypatch.setattr(ctc, "_MAX_TABLE", 10)
    with pytest.raises(ValueError, match="Ctc: the lexicon or word list needs .* GB with 5 labels"):
        ctc.CtcDecoder("Ctc", LABELS).decode([tf.zeros([1, 3, 4])], prefix_tree([(2, 3)]))


def test_the_loss_is_that_of_all_paths(session):
    logits, log_probs = make_sequences(1, batch=4)
    labels = np.array([[2, 3, 0], [2, 2, 0], [0, 0, 0], [3, 4, 3]], np.int32)
    lengths = np.array([2, 2, 0, 3], np.int32)
    decoder = ctc.CtcDecoder("Ctc", LABELS, loss_weight=0.5, sequence_normalize=True)
    assert decoder.teacher_force([tf.constant(logits)], tf.constant(labels), tf.constant(lengths)) is None
    (name, loss), = losses.added()
    with tf.variable_scope("Ctc", reuse=True):
        kernel = tf.get_variable("Predictor/dense/kernel")
    gradient, = tf.gradients(loss, kernel)
    session.run(tf.global_variables_initializer())
    session.run(kernel.assign(np.eye(LABELS, dtype=np.float32)))
    expected = [-texts_of(log_probs[i])[tuple(labels[i, :lengths[i]])] / max(lengths[i], 1) for i in range(4)]
    assert name == "Ctc"
    np.testing.assert_allclose(session.run(loss), 0.5 * np.mean(expected), rtol=1e-4)
    assert np.isfinite(session.run(gradient)).all() and not session.run(gradient)[:, END_LABEL].any()


def test_a_text_that_does_not_fit_has_no_part(session):
    logits, _ = make_sequences(1, batch=2, columns=3)
    labels = tf.constant([[2, 2, 3], [2, 3, 0]])  # the first needs a blank between its equal characters
    decoder = ctc.CtcDecoder("Ctc", LABELS)
    decoder.teacher_force([tf.constant(logits)], labels, tf.constant([3, 2]))
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        decoder.teacher_force([tf.constant(logits[1:])], labels[1:], tf.constant([2]))
    session.run(tf.global_variables_initializer())
    decoder.max_characters = 1  # none of the two
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        decoder.teacher_force([tf.constant(logits)], labels, tf.constant([3, 2]))
    both, one, none = session.run([loss for _, loss in losses.added()])
    assert none == 0
    assert np.isfinite(both) and both == pytest.approx(one, rel=1e-5)
    gradient = session.run(tf.gradients(losses.added()[0][1], tf.trainable_variables()))
    assert all(np.isfinite(values).all() for values in gradient)


def test_fewer_columns_than_characters_are_told(session, caplog):
    del session
    for name, columns in ("few", 3), ("enough", 4):
        ctc.CtcDecoder(name, 5, max_characters=4).teacher_force(
            [tf.zeros([1, columns, 2])], tf.constant([[2, 3]]), tf.constant([2]))
    message, = caplog.messages
    assert message.startswith("predictor few: max_characters is 4, but its feature sequences have 3 columns")


def test_a_loss_must_be_a_scalar(session):
    del session
    with pytest.raises(ValueError, match="the loss 'mine' must be a scalar, not of shape"):
        losses.add("mine", tf.zeros([2]))
