"""Additive attention (Bahdanau et al. 2015; ASTER section 3.2.2, equations 8 to 10)."""
from typing import NamedTuple, Tuple

from aster.compat import tf
from aster.model import layers


class Attention(NamedTuple):
    """One attention over one feature sequence, for all steps.

    query_kernel: [Q, A].
    v: [A].
    keys: [B, T, A], the sequence's product with a kernel of its own.
    memory: [B, T, C], the sequence.
    """
    query_kernel: tf.Tensor
    v: tf.Tensor
    keys: tf.Tensor
    memory: tf.Tensor


def keys(memory: tf.Tensor, num_units: int, scope: str) -> tf.Tensor:
    """Computes the keys of a feature sequence, once for all steps.

    Args:
      memory: [B, T, C].
      num_units: A, size of the attention.
      scope: the scope of the variable.

    Returns:
      [B, T, A].
    """
    with tf.variable_scope(scope):
        kernel = tf.get_variable("kernel", [layers.static_size(memory, 2), num_units])
    return layers.matmul(memory, kernel)


def weights(query_size: int, num_units: int, scope: str) -> Tuple[tf.Tensor, tf.Tensor]:
    """Creates (or reuses) the variables of one attention.

    Args:
      query_size: Q, size of the queries.
      num_units: A, size of the attention.
      scope: the scope of the variables.

    Returns:
      query_kernel [Q, A] and v [A].
    """
    with tf.variable_scope(scope):
        v = tf.get_variable("attention_v", [num_units])
        with tf.variable_scope("query_layer"):
            return tf.get_variable("kernel", [query_size, num_units]), v


def attend(query: tf.Tensor, attention: Attention) -> Tuple[tf.Tensor, tf.Tensor]:
    """Takes a glimpse of the feature sequence for each query.

    Args:
      query: [B, W, Q], for W hypotheses per image.
      attention: over the feature sequences [B, T, C] of the images.

    Returns:
      The glimpses [B, W, C] and the alignments [B, W, T], which sum to 1 over T.
    """
    query = layers.matmul(query, attention.query_kernel)
    # [B, W, T, A]: every query with every key
    activations = tf.tanh(tf.expand_dims(attention.keys, 1) + tf.expand_dims(query, 2))
    alignments = tf.nn.softmax(tf.reduce_sum(activations * attention.v, 3))
    return tf.matmul(alignments, attention.memory), alignments
