"""The terms of the training loss."""
from aster.compat import tf


def sequence_cross_entropy(logits, targets, lengths, weight=1.0, sequence_normalize=False,
                           sample_normalize=True):
    """Cross-entropy summed over the valid steps of each text (ASTER, equation 12) -> scalar.

    logits [B, S, L], targets int32 [B, S], lengths int32 [B]. sequence_normalize divides each text's sum by its
    length, sample_normalize the whole by B.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    losses = tf.reduce_sum(losses * tf.sequence_mask(lengths, tf.shape(targets)[1], tf.float32), 1)
    if sequence_normalize:
        losses = losses / tf.cast(tf.maximum(lengths, 1), tf.float32)
    loss = tf.reduce_sum(losses)
    if sample_normalize:
        loss = loss / tf.cast(tf.maximum(tf.shape(targets)[0], 1), tf.float32)
    return weight * loss


def l2_regression(predicted, annotated, mask, weight=1.0):
    """Half the squared distance of control points [B, K, 2], summed over the points and averaged over the
    samples that are annotated (mask [B] of 0 and 1) -> scalar, 0 where none is."""
    distances = 0.5 * tf.reduce_sum(tf.square(predicted - annotated), [1, 2])
    # where() and not a product: coordinates of a masked sample may be anything, NaN too
    distances = tf.where(mask > 0.0, distances, tf.zeros_like(distances))
    return weight * tf.reduce_sum(distances) / tf.maximum(tf.reduce_sum(mask), 1.0)
