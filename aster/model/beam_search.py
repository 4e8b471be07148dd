"""Beam search over the steps of a decoder, for all images of a batch at once, by standard operations.

`aster.c_ops.ops.beam_search` does the same in one operation, for the decoders that it knows.
"""
from typing import Any, Callable, NamedTuple

from aster.compat import map_structure, tf
from aster.data.charset import END_LABEL, START_LABEL

PAD_LABEL = -1  # after the end of a hypothesis, as published


class Decoded(NamedTuple):
    """The best hypothesis of each image.

    labels: int32 [B, S], the end label included and PAD_LABEL after it.
    lengths: int32 [B], labels of each hypothesis.
    scores: float32 [B], the summed log-probability.
    step_log_probs: float32 [B, S], the log-probability of each label.
    alignments: float32 [B, S, T], the attention over the feature sequence in each step.
    """
    labels: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor
    step_log_probs: tf.Tensor
    alignments: tf.Tensor


class _Beams(NamedTuple):
    """The W best hypotheses of every image so far, best first."""
    state: Any                  # of the decoder: nested tensors [B, W, ...]
    log_probs: tf.Tensor        # [B, W], the score
    finished: tf.Tensor         # bool [B, W]
    last_labels: tf.Tensor      # int32 [B, W]
    labels: tf.Tensor           # int32 [B, W, steps]
    step_log_probs: tf.Tensor   # [B, W, steps]
    alignments: tf.Tensor       # [B, W, steps, T]
    lengths: tf.Tensor          # int32 [B]: the step in which the best hypothesis was first a finished one


def beam_search(step: Callable, initial_state: Any, *, batch_size: tf.Tensor, beam_width: int, num_labels: int,
                max_num_steps: int, alignment_size: tf.Tensor) -> Decoded:
    """Finds the best hypothesis of each image.

    A hypothesis ends with the end label, and scores are not normalized by length. So nothing can overtake a finished
    hypothesis that leads, and an image is done as soon as its best hypothesis is finished.

    Args:
      step: a function of the last labels, int32 [B, W], and the state. It returns log-probabilities
        [B, W, num_labels], alignments [B, W, T] and the next state.
      initial_state: nested tuples of tensors [B, W, ...].
      batch_size: B, an int32 scalar.
      beam_width: W, hypotheses per image.
      num_labels: labels that a step can choose from.
      max_num_steps: the most labels of a hypothesis.
      alignment_size: T, an int32 scalar.

    Returns:
      Decoded.
    """
    def unfinished(time, beams):
        return tf.logical_and(time < max_num_steps, tf.logical_not(tf.reduce_all(beams.finished[:, 0])))

    def extend(time, beams):
        log_probs, alignments, state = step(beams.last_labels, beams.state)
        log_probs = _only_end_after_end(log_probs, beams.finished, num_labels)
        # the best W of all W * num_labels continuations of an image
        totals = tf.reshape(tf.expand_dims(beams.log_probs, 2) + log_probs, [batch_size, -1])
        scores, index = tf.nn.top_k(totals, beam_width)
        labels = index % num_labels
        inherit = _inheritance(index // num_labels)
        step_log_probs = scores - inherit(beams.log_probs)

        def append(history, new):
            return _set_step(inherit(history), time, new)

        return time + 1, _Beams(
            state=map_structure(inherit, state), log_probs=scores,
            finished=tf.logical_or(inherit(beams.finished), tf.equal(labels, END_LABEL)), last_labels=labels,
            labels=append(beams.labels, labels), step_log_probs=append(beams.step_log_probs, step_log_probs),
            alignments=append(beams.alignments, inherit(alignments)),
            lengths=tf.where(beams.finished[:, 0], beams.lengths, tf.fill([batch_size], time + 1)))

    shape = [batch_size, beam_width, max_num_steps]
    # at first all hypotheses are the same, so only one may live
    alive = tf.tile(tf.one_hot([0], beam_width, on_value=0.0, off_value=tf.float32.min), [batch_size, 1])
    beams = _Beams(initial_state, log_probs=alive, finished=tf.fill(shape[:2], False),
                   last_labels=tf.fill(shape[:2], START_LABEL), labels=tf.fill(shape, PAD_LABEL),
                   step_log_probs=tf.zeros(shape), alignments=tf.zeros(shape + [alignment_size]),
                   lengths=tf.zeros([batch_size], tf.int32))
    num_steps, beams = tf.while_loop(unfinished, extend, (tf.constant(0), beams),
                                     (tf.TensorShape([]), map_structure(_any_batch, beams)))
    labels = beams.labels[:, 0, :num_steps]
    labels = tf.where(tf.sequence_mask(beams.lengths, num_steps), labels, tf.fill(tf.shape(labels), PAD_LABEL))
    return Decoded(labels, beams.lengths, beams.log_probs[:, 0], beams.step_log_probs[:, 0, :num_steps],
                   beams.alignments[:, 0, :num_steps])


def _only_end_after_end(log_probs, finished, num_labels):
    """log_probs [B, W, L], changed so that a finished hypothesis goes on with the end label, which costs nothing."""
    only_end = tf.one_hot(END_LABEL, num_labels, on_value=0.0, off_value=tf.float32.min)
    # on TensorFlow 1.4 tf.where does not broadcast
    finished = tf.tile(tf.expand_dims(finished, 2), [1, 1, num_labels])
    return tf.where(finished, tf.zeros_like(log_probs) + only_end, log_probs)


def _inheritance(parents):
    """parents int32 [B, W], among the last hypotheses -> a function that gives each new one its parent's values."""
    rows = tf.tile(tf.expand_dims(tf.range(tf.shape(parents)[0]), 1), [1, tf.shape(parents)[1]])
    index = tf.stack([rows, parents], 2)

    def inherit(tensor):
        inherited = tf.gather_nd(tensor, index)
        inherited.set_shape(tensor.shape)
        return inherited
    return inherit


def _set_step(history, time, new):
    """history [B, W, steps, ...] with `new` [B, W, ...] as its step `time`."""
    now = tf.equal(tf.range(tf.shape(history)[2]), time)
    now = tf.reshape(now, [1, 1, -1] + [1] * (history.shape.ndims - 3))
    return tf.where(tf.logical_and(now, tf.ones_like(history, tf.bool)),
                    tf.zeros_like(history) + tf.expand_dims(new, 2), history)


def _any_batch(tensor):
    """Its shape for a batch of any size: the loop's tensors forget the size that the first ones may know."""
    return tf.TensorShape([None] + tensor.shape.as_list()[1:])
