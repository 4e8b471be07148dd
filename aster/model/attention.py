"""Additive attention (Bahdanau et al. 2015; ASTER section 3.2.2, equations 8 to 10)."""
from typing import NamedTuple

from aster.compat import tf
from aster.model import layers


class AttentionWeights(NamedTuple):
    """query_kernel [Q, A] and v [A]."""
    query_kernel: tf.Tensor
    v: tf.Tensor


def keys(memory, num_units, scope):
    """memory [B, T, C] -> keys [B, T, num_units]; made once, used in every step."""
    with tf.variable_scope(scope):
        kernel = tf.get_variable("kernel", [layers.static_size(memory, 2), num_units])
    return layers.matmul(memory, kernel)


def weights(query_size, num_units, scope):
    """Creates (or reuses) the variables of one attention -> AttentionWeights."""
    with tf.variable_scope(scope):
        v = tf.get_variable("attention_v", [num_units])
        with tf.variable_scope("query_layer"):
            return AttentionWeights(tf.get_variable("kernel", [query_size, num_units]), v)


def glimpse(query, attention_weights, attention_keys, memory):
    """query [B, W, Q] (W hypotheses per image) -> glimpses [B, W, C] and alignments [B, W, T]."""
    query = layers.matmul(query, attention_weights.query_kernel)
    activations = tf.tanh(tf.expand_dims(attention_keys, 1) + tf.expand_dims(query, 2))
    alignments = tf.nn.softmax(tf.reduce_sum(activations * attention_weights.v, 3))
    return tf.matmul(alignments, memory), alignments
