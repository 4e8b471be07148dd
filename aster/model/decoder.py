"""The attention decoder: feature sequences -> labels (ASTER section 3.2.2)."""
from typing import NamedTuple

from aster.c_ops import ops
from aster.compat import num_gpus, tf
from aster.data.charset import END_LABEL, START_LABEL
from aster.model import attention, layers, prefix_tree, rnn
from aster.model.beam_search import PAD_LABEL, Decoded, beam_search


class TeacherForced(NamedTuple):
    """A teacher-forced pass: logits [B, S, num_labels], targets int32 [B, S], lengths int32 [B]."""
    logits: tf.Tensor
    targets: tf.Tensor
    lengths: tf.Tensor


Teaching = TeacherForced  # its name in version 0.1


class _Parts(NamedTuple):
    """The variables of a decoder and what doesn't change from step to step."""
    cell: rnn.CellWeights
    label_inputs: tf.Tensor     # [num_labels, n], what each gives to the cell's pre-activations; bias included
    glimpse_kernel: tf.Tensor   # [C, n]
    attentions: list            # of (AttentionWeights, keys, memory)
    dense_kernel: tf.Tensor
    dense_bias: tf.Tensor


class AttentionDecoder:
    """A recurrent decoder with additive attention, in one direction.

    `sync`: the glimpse of a step, taken with the state of the previous step, is input to the cell in the
    same step; otherwise the cell sees the previous glimpse and the glimpse is taken with its output.
    `multi_attention`: one attention per feature sequence, their glimpses concatenated, in place of one over
    all sequences joined in time. `reverse`: the text is learnt and read from right to left. `fused`: use ASTER's
    ops for the loop over the steps where they can do it (LSTM without peepholes; to search, `sync` too).
    """

    def __init__(self, name, cell, num_labels, num_attention_units=128, max_num_steps=40, beam_width=1,
                 reverse=False, sync=True, multi_attention=False, fused=True):
        self.name = name
        self.reverse = reverse
        self._cell = cell
        self._num_labels = num_labels
        self._num_attention_units = num_attention_units
        self._max_num_steps = max_num_steps
        self._beam_width = beam_width
        self._sync = sync
        self._multi_attention = multi_attention
        self._fused = fused and rnn.is_plain_lstm(cell)

    @property
    def max_characters(self):
        """Of the longest text that is taught whole: its end takes a step too."""
        return self._max_num_steps - 1

    def teacher_force(self, sequences, labels, lengths):
        """sequences [[B, T, C], ...], labels int32 [B, L] of the characters in reading order, lengths int32
        [B] -> TeacherForced; steps beyond max_num_steps are cut off."""
        if self.reverse:
            labels = tf.reverse_sequence(labels, lengths, seq_axis=1, batch_axis=0)
        inputs, targets, lengths = self._teacher_forcing(labels, lengths)
        parts = self._build(sequences)
        label_inputs = tf.gather(parts.label_inputs, inputs)
        outputs = (self._run_fused if self._can_fuse(parts) else self._run)(parts, label_inputs)
        outputs.set_shape([None, None, self._cell.num_units])
        return TeacherForced(layers.matmul(outputs, parts.dense_kernel, parts.dense_bias), targets, lengths)

    def _run(self, parts, label_inputs):
        """label_inputs [B, S, n] -> outputs of the cell [B, S, num_units]."""
        def step(state, label_input):
            next_state, _ = self._step(parts, label_input, state)
            return next_state
        state = self._zero_state(parts, tf.shape(label_inputs)[0], 1)
        # the scan's hypotheses are one per image: [S, B, 1, n]
        steps = tf.expand_dims(tf.transpose(label_inputs, [1, 0, 2]), 2)
        return tf.transpose(tf.squeeze(tf.scan(step, steps, state)[-2], [2]), [1, 0, 2])

    def _run_fused(self, parts, label_inputs):
        return ops.attention_lstm(label_inputs, forget_bias=self._cell.forget_bias, attend_first=self._sync,
                                  **self._fused_inputs(parts))

    def _can_fuse(self, parts):
        """Of several memories the ops must know the lengths."""
        lengths = [memory.shape.as_list()[1] for _, _, memory in parts.attentions]
        return self._fused and (len(lengths) == 1 or None not in lengths)

    def _fused_inputs(self, parts):
        """What ops.attention_lstm and ops.beam_search share."""
        weights, keys, memories = zip(*parts.attentions)
        sizes = [layers.static_size(memory, 2) for memory in memories]
        glimpse_kernels = layers.split(parts.glimpse_kernel, sizes)
        values = [layers.matmul(memory, kernel) for memory, kernel in zip(memories, glimpse_kernels)]
        return dict(state_kernel=layers.concat([parts.cell.recurrent[0]] + [w.query_kernel for w in weights], 1),
                    keys=tf.concat(keys, 1), values=tf.concat(values, 1), v=tf.stack([w.v for w in weights]),
                    lengths=[memory.shape.as_list()[1] or 0 for memory in memories])

    def decode(self, sequences, tree=None):
        """sequences [[B, T, C], ...] -> beam_search.Decoded, in the decoder's own direction. Of the texts of a
        prefix_tree.PrefixTree only, if one is given."""
        parts = self._build(sequences)
        if self._can_fuse(parts) and self._sync and not (tree and num_gpus()):
            return Decoded(*ops.beam_search(
                parts.label_inputs, dense_kernel=parts.dense_kernel, dense_bias=parts.dense_bias,
                beam_width=self._beam_width, max_num_steps=self._max_num_steps, start_label=START_LABEL,
                end_label=END_LABEL, pad_label=PAD_LABEL, forget_bias=self._cell.forget_bias,
                tree=tree, **self._fused_inputs(parts)))
        batch_size = tf.shape(sequences[0])[0]

        def step(labels, state):
            label_input = tf.gather(parts.label_inputs, labels)
            state, alignments = self._step(parts, label_input, state)
            logits = layers.matmul(state[-2], parts.dense_kernel, parts.dense_bias)
            return tf.nn.log_softmax(logits), alignments, state
        state = self._zero_state(parts, batch_size, self._beam_width)
        if tree:
            step, state = self._within_tree(step, state, tree)
        alignment_size = sum(tf.shape(memory)[1] for _, _, memory in parts.attentions)
        return beam_search(step, state, batch_size, self._beam_width, self._num_labels, self._max_num_steps,
                           alignment_size)

    def _within_tree(self, step, state, tree):
        """`step` and first state of a search that stays in a tree: the state gets the nodes, int32 [B, W, 1]."""
        table = tf.constant(prefix_tree.next_nodes(tree, self._num_labels))

        def step_within(labels, state):
            state, nodes = state[:-1], state[-1][:, :, 0]
            log_probs, alignments, state = step(labels, state)
            entered = tf.gather_nd(table, tf.stack([nodes, labels], 2))
            # the start label leads to the root; what left the tree has lost already
            nodes = tf.where(tf.equal(labels, START_LABEL), tf.zeros_like(nodes), tf.maximum(entered, 0))
            allowed = tf.gather(table, nodes) >= 0
            log_probs = tf.where(allowed, log_probs, tf.fill(tf.shape(log_probs), tf.float32.min))
            return log_probs, alignments, state + (tf.expand_dims(nodes, 2),)
        return step_within, state + (tf.zeros_like(state[-1][:, :, :1], tf.int32),)

    def _teacher_forcing(self, labels, lengths):
        """Inputs, targets and lengths of the steps: the text between start and end label."""
        batch_size = tf.shape(labels)[0]
        start = tf.fill([batch_size, 1], START_LABEL)
        # what follows a text is the end label, so that it also ends each target
        beyond = tf.logical_not(tf.sequence_mask(lengths, tf.shape(labels)[1]))
        ended = tf.concat([tf.where(beyond, tf.fill(tf.shape(labels), END_LABEL), labels),
                           tf.fill([batch_size, 1], END_LABEL)], 1)
        if self._sync:
            targets, lengths = ended, lengths + 1
        else:
            targets, lengths = tf.concat([start, ended], 1), lengths + 2
        inputs = tf.concat([start, targets[:, :-1]], 1)
        lengths = tf.minimum(lengths, self._max_num_steps)
        steps = tf.reduce_max(lengths)
        return inputs[:, :steps], targets[:, :steps], lengths

    def _build(self, sequences):
        """Creates (or reuses) the variables -> _Parts."""
        memories = sequences if self._multi_attention else [tf.concat(sequences, 1)]
        units, glimpse_size = self._num_attention_units, sum(layers.static_size(m, 2) for m in memories)
        suffixes = [""] + ["_%d" % i for i in range(1, len(memories))]
        wrapper = "sync_attention_wrapper" if self._sync else "attention_wrapper"
        with tf.variable_scope(self.name), tf.variable_scope("Predictor"):
            keys = [attention.keys(memory, units, "memory_layer" + suffix)
                    for memory, suffix in zip(memories, suffixes)]
            with tf.variable_scope("decoder"):
                with tf.variable_scope(wrapper):
                    weights = [attention.weights(self._cell.num_units, units, "bahdanau_attention" + suffix)
                               for suffix in suffixes]
                    cell = self._cell.weights(self._num_labels + glimpse_size)
                with tf.variable_scope("dense"):
                    kernel = tf.get_variable("kernel", [self._cell.num_units, self._num_labels])
                    bias = tf.get_variable("bias", [self._num_labels], initializer=tf.zeros_initializer())
        label_kernel, glimpse_kernel = layers.split(cell.input_kernel, [self._num_labels, glimpse_size])
        return _Parts(cell, label_kernel + cell.bias, glimpse_kernel, list(zip(weights, keys, memories)), kernel, bias)

    def _zero_state(self, parts, batch_size, num_hypotheses):
        """The cell's state and the last glimpse, each [B, W, n]; the cell's output stands last but one."""
        def zeros(size):
            tensor = tf.zeros(tf.stack([batch_size, num_hypotheses, size]))
            tensor.set_shape([None, num_hypotheses, size])
            return tensor
        glimpse_size = sum(layers.static_size(memory, 2) for _, _, memory in parts.attentions)
        cell_state = self._cell.zero_state(batch_size)
        return tuple(zeros(layers.static_size(tensor, 1)) for tensor in cell_state) + (zeros(glimpse_size),)

    def _step(self, parts, label_input, state):
        """label_input [B, W, n], rows of `label_inputs` -> next state and alignments [B, W, T]."""
        cell_state, glimpse = state[:-1], state[-1]
        if self._sync:
            glimpse, alignments = self._attend(parts, cell_state[-1])
        cell_state = self._advance(parts, label_input + layers.matmul(glimpse, parts.glimpse_kernel), cell_state)
        if not self._sync:
            glimpse, alignments = self._attend(parts, cell_state[-1])
        return cell_state + (glimpse,), alignments

    def _attend(self, parts, query):
        """query [B, W, units] -> glimpse [B, W, C] and alignments [B, W, T], over all feature sequences."""
        glimpses, alignments = zip(*(attention.glimpse(query, weights, keys, memory)
                                     for weights, keys, memory in parts.attentions))
        return tf.concat(glimpses, 2), tf.concat(alignments, 2)

    def _advance(self, parts, projected, cell_state):
        """One step of the cell, for [B, W, n] in place of the cell's own [B, n]."""
        leading = tf.shape(projected)[:2]

        def flat(tensor):
            return tf.reshape(tensor, [-1, layers.static_size(tensor, 2)])

        def unflat(tensor, like):
            tensor = tf.reshape(tensor, tf.concat([leading, tf.shape(tensor)[1:]], 0))
            tensor.set_shape(like.shape)
            return tensor
        state = self._cell.step(parts.cell, flat(projected), tuple(flat(t) for t in cell_state))
        return tuple(unflat(new, old) for new, old in zip(state, cell_state))
