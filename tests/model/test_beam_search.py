"""Beam search against a search through all texts of a tiny model."""
import itertools

import numpy as np
import pytest

from aster.compat import tf
from aster.model.beam_search import beam_search

NUM_LABELS, STEPS = 4, 4  # start, end and two characters


def table(seed):
    """Log-probabilities [B, step, previous label, label]."""
    logits = np.random.RandomState(seed).standard_normal([3, STEPS, NUM_LABELS, NUM_LABELS]) * 2
    return (logits - np.log(np.exp(logits).sum(3, keepdims=True))).astype(np.float32)


def best_by_brute_force(log_probs):
    """(score, labels) of the best hypothesis of one image: it ends with the end label, or after STEPS labels."""
    def hypotheses():
        for n in range(1, STEPS + 1):
            for labels in itertools.product(range(NUM_LABELS), repeat=n):
                if 1 not in labels[:-1] and (labels[-1] == 1 or n == STEPS):
                    yield sum(log_probs[t, previous, label] for t, (previous, label)
                              in enumerate(zip((0,) + labels, labels))), labels
    return max(hypotheses())


def search(session, log_probs, beam_width):
    probabilities = tf.placeholder(tf.float32, (None,) + log_probs.shape[1:])
    batch_size = tf.shape(probabilities)[0]

    def step(labels, state):
        time, = state
        rows = tf.tile(tf.expand_dims(tf.range(batch_size), 1), [1, beam_width])
        index = tf.stack([rows, tf.cast(time[:, :, 0], tf.int32), labels], 2)
        alignments = tf.one_hot(tf.cast(time[:, :, 0], tf.int32), STEPS)
        return tf.gather_nd(probabilities, index), alignments, (time + 1.0,)
    time = tf.zeros([batch_size, beam_width, 1])
    time.set_shape([None, beam_width, 1])
    decoded = beam_search(step, (time,), batch_size=batch_size, beam_width=beam_width, num_labels=NUM_LABELS,
                          max_num_steps=STEPS, alignment_size=STEPS)
    return session.run(decoded._asdict(), {probabilities: log_probs})


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_best(session, seed):
    log_probs = table(seed)
    result = search(session, log_probs, beam_width=64)
    for i in range(len(log_probs)):
        score, labels = best_by_brute_force(log_probs[i])
        length = result["lengths"][i]
        assert result["labels"][i, :len(labels)].tolist() == list(labels)
        assert (result["labels"][i, length:] == -1).all()
        assert set(result["labels"][i, len(labels):length]) <= {1}  # published lengths may count end labels twice
        np.testing.assert_allclose(result["scores"][i], score, atol=1e-5)
        np.testing.assert_allclose(result["step_log_probs"][i, :length].sum(), score, atol=1e-4)
        for t in range(len(labels)):
            assert result["alignments"][i, t].argmax() == t


@pytest.mark.parametrize("seed", range(4))
def test_width_one_is_greedy(session, seed):
    log_probs = table(seed)
    result = search(session, log_probs, beam_width=1)
    for i in range(len(log_probs)):
        labels, previous = [], 0
        while len(labels) < STEPS and previous != 1:
            previous = int(log_probs[i, len(labels), previous].argmax())
            labels.append(previous)
        assert result["labels"][i, :len(labels)].tolist() == labels


@pytest.mark.parametrize("beam_width", [1, 3, 5])
def test_a_batch_gives_what_single_images_give(session, beam_width):
    log_probs = table(3)
    together = search(session, log_probs, beam_width)
    for i in range(len(log_probs)):
        alone = search(session, log_probs[i:i + 1], beam_width)
        assert alone["labels"][0].tolist() == together["labels"][i, :alone["labels"].shape[1]].tolist()
        assert alone["scores"][0] == together["scores"][i]
