"""Beam search over the steps of a decoder, for all images of a batch at once."""
from typing import Any, NamedTuple

from aster.compat import tf
from aster.data.charset import END_LABEL, START_LABEL

PAD_LABEL = -1  # after the end of a hypothesis, as published


class Decoded(NamedTuple):
    """The best hypothesis of each image.

    labels int32 [B, S], the end label included and PAD_LABEL after it; lengths int32 [B]; scores float32
    [B], the summed log-probability; step_log_probs float32 [B, S]; alignments float32 [B, S, T], the
    attention over the feature sequence in each step.
    """
    labels: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor
    step_log_probs: tf.Tensor
    alignments: tf.Tensor


class _Beams(NamedTuple):
    """Of every image the W best hypotheses so far, best first."""
    state: Any                  # the decoder's tensors, each [B, W, ...]
    log_probs: tf.Tensor        # [B, W]
    finished: tf.Tensor         # bool [B, W]
    last_labels: tf.Tensor      # int32 [B, W]
    labels: tf.Tensor           # int32 [B, W, steps]
    step_log_probs: tf.Tensor   # [B, W, steps]
    alignments: tf.Tensor       # [B, W, steps, T]
    lengths: tf.Tensor          # int32 [B]: the step in which the best hypothesis was first a finished one


def beam_search(step, initial_state, batch_size, beam_width, num_labels, max_num_steps, alignment_size):
    """-> Decoded.

    `step(labels [B, W], state)` returns log-probabilities [B, W, num_labels], alignments [B, W, T] and the
    next state, a tuple of tensors [B, W, ...]. A hypothesis ends with the end label, and scores are not
    normalised by length; so a finished hypothesis that leads can't be overtaken, and an image is
    done as soon as its best hypothesis is finished.
    """
    lowest = tf.float32.min

    def more(time, beams):
        return tf.logical_and(time < max_num_steps, tf.logical_not(tf.reduce_all(beams.finished[:, 0])))

    def body(time, beams):
        log_probs, alignments, state = step(beams.last_labels, beams.state)
        # a finished hypothesis goes on with the end label, free of charge
        only_end = tf.one_hot(END_LABEL, num_labels, on_value=0.0, off_value=lowest)
        finished = tf.expand_dims(tf.cast(beams.finished, tf.float32), 2)
        log_probs = tf.where(tf.tile(finished > 0.0, [1, 1, num_labels]),
                             tf.zeros_like(log_probs) + only_end, log_probs)
        totals = tf.reshape(tf.expand_dims(beams.log_probs, 2) + log_probs, [batch_size, -1])
        best, index = tf.nn.top_k(totals, beam_width)
        parents, labels = index // num_labels, index % num_labels
        rows = tf.tile(tf.expand_dims(tf.range(batch_size), 1), [1, beam_width])
        parents = tf.stack([rows, parents], 2)

        def follow(tensor):  # what the surviving hypotheses inherit
            inherited = tf.gather_nd(tensor, parents)
            inherited.set_shape(tensor.shape)
            return inherited

        def append(history, values):
            here = tf.equal(tf.range(max_num_steps), time)
            here = tf.reshape(here, [1, 1, -1] + [1] * (history.shape.ndims - 3))
            return tf.where(tf.logical_and(here, tf.ones_like(history, tf.bool)),
                            tf.zeros_like(history) + tf.expand_dims(values, 2), follow(history))

        finished = tf.logical_or(follow(beams.finished), tf.equal(labels, END_LABEL))
        lengths = tf.where(beams.finished[:, 0], beams.lengths, tf.fill([batch_size], time + 1))
        chosen = best - follow(beams.log_probs)
        return time + 1, _Beams(tuple(follow(tensor) for tensor in state), best, finished, labels,
                                append(beams.labels, labels), append(beams.step_log_probs, chosen),
                                append(beams.alignments, follow(alignments)), lengths)

    shape = [batch_size, beam_width, max_num_steps]
    # at first all hypotheses are the same: only one may live
    alive = tf.tile(tf.one_hot([0], beam_width, on_value=0.0, off_value=lowest), [batch_size, 1])
    beams = _Beams(initial_state, alive, tf.fill([batch_size, beam_width], False),
                   tf.fill([batch_size, beam_width], START_LABEL), tf.fill(shape, PAD_LABEL),
                   tf.zeros(shape), tf.zeros(shape + [alignment_size]), tf.zeros([batch_size], tf.int32))
    any_batch = _Beams(*[tuple(_any_batch(t) for t in field) if isinstance(field, tuple) else _any_batch(field)
                         for field in beams])
    steps, beams = tf.while_loop(more, body, (tf.constant(0), beams), (tf.TensorShape([]), any_batch))
    labels = beams.labels[:, 0, :steps]
    labels = tf.where(tf.sequence_mask(beams.lengths, steps), labels, tf.fill(tf.shape(labels), PAD_LABEL))
    return Decoded(labels, beams.lengths, beams.log_probs[:, 0], beams.step_log_probs[:, 0, :steps],
                   beams.alignments[:, 0, :steps])


def _any_batch(tensor):
    """Its shape for a batch of any size: the loop's tensors forget the size that the first ones may know."""
    return tf.TensorShape([None] + tensor.shape.as_list()[1:])
