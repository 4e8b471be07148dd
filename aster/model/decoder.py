"""The attention decoder: feature sequences -> labels (ASTER section 3.2.2)."""
from typing import Any, Dict, List, NamedTuple, Optional

from aster.c_ops import ops
from aster.compat import tf
from aster.data.charset import END_LABEL, START_LABEL
from aster.model import attention, layers, prefix_tree, rnn
from aster.model.beam_search import PAD_LABEL, Decoded, beam_search


class TeacherForced(NamedTuple):
    """What a teacher-forced pass gives: the decoder gets the true labels as inputs.

    Attributes:
      logits: [B, S, num_labels].
      targets: int32 [B, S], the label that each step should predict.
      lengths: int32 [B], how many steps of each text count in the loss.
    """
    logits: tf.Tensor
    targets: tf.Tensor
    lengths: tf.Tensor


Teaching = TeacherForced  # its name in version 0.1


class DecoderState(NamedTuple):
    """What one step hands to the next, for W hypotheses of each image.

    Attributes:
      cell: the state of the recurrent cell, an LstmState or a GruState, each tensor [B, W, num_units].
      glimpse: [B, W, C], the features that the last step attended to.
    """
    cell: Any
    glimpse: tf.Tensor


class _TreeState(NamedTuple):
    """The state of a search in a prefix tree: the decoder's, and the node int32 [B, W] that each hypothesis is at."""
    decoder: DecoderState
    node: tf.Tensor


class _Weights(NamedTuple):
    """The parameters of a decoder in the form that its steps need, and its attentions over the feature sequences."""
    cell: rnn.CellWeights
    label_inputs: tf.Tensor     # [num_labels, n], what each label adds to the cell's pre-activations; bias included
    glimpse_kernel: tf.Tensor   # [C, n]
    attentions: List[attention.Attention]
    output_kernel: tf.Tensor    # [num_units, num_labels]
    output_bias: tf.Tensor      # [num_labels]


class AttentionDecoder:
    """A recurrent decoder with additive attention, in one direction.

    Args:
      name: the scope of its variables.
      cell: an rnn.LstmCell or rnn.GruCell.
      num_labels: size of the output, start and end label included.
      num_attention_units: size of the attention.
      max_num_steps: the most labels of a text, its end label included.
      beam_width: hypotheses per image in `decode`; 1 is greedy.
      reverse: whether texts are learned and decoded from right to left.
      sync: True: the glimpse of a step is taken with the state of the previous step, and is an input of the cell in
        the same step. False: the cell gets the previous glimpse, and the glimpse is taken with the cell's output.
      multi_attention: True: one attention per feature sequence, their glimpses concatenated. False: one attention
        over all sequences, joined in time.
      fused: whether ASTER's ops make the loop over the steps where they can: with an LSTM without peepholes; `decode`
        also needs `sync`.
    """

    def __init__(self, name: str, cell: rnn.Cell, num_labels: int, *, num_attention_units: int = 128,
                 max_num_steps: int = 40, beam_width: int = 1, reverse: bool = False, sync: bool = True,
                 multi_attention: bool = False, fused: bool = True) -> None:
        self.name = name
        self.reverse = reverse
        self._cell: Any = cell
        self._num_labels = num_labels
        self._num_attention_units = num_attention_units
        self._max_num_steps = max_num_steps
        self._beam_width = beam_width
        self._sync = sync
        self._multi_attention = multi_attention
        self._fused = fused and rnn.is_plain_lstm(cell)

    @property
    def max_characters(self) -> int:
        """Characters of the longest text that fits; its end label takes a step too."""
        return self._max_num_steps - 1

    def label_axes(self) -> Dict[str, int]:
        """Tells where labels have parameters of their own, so that these can follow their characters to other labels.

        Returns:
          {name of a variable: its axis that begins with one place for each label}.
        """
        scope = "/".join(filter(None, (self.name, "Predictor", "decoder")))
        kernels = {f"{scope}/{self._wrapper}/{kernel}": 0 for kernel in self._cell.INPUT_KERNELS}
        return dict(kernels, **{f"{scope}/dense/kernel": 1, f"{scope}/dense/bias": 0})

    @property
    def _wrapper(self):
        """The published name of the scope of cell and attention."""
        return "sync_attention_wrapper" if self._sync else "attention_wrapper"

    def teacher_force(self, sequences: List[tf.Tensor], labels: tf.Tensor, lengths: tf.Tensor) -> TeacherForced:
        """Makes the pass for training: the input of each step is the true label of the step before.

        Args:
          sequences: feature sequences, [[B, T, C], ...].
          labels: int32 [B, L], the characters of each text in reading order.
          lengths: int32 [B], characters of each text.

        Returns:
          TeacherForced. Steps beyond max_num_steps are cut off.
        """
        if self.reverse:
            labels = tf.reverse_sequence(labels, lengths, seq_axis=1, batch_axis=0)
        inputs, targets, lengths = self._teacher_forcing(labels, lengths)
        weights = self._build(sequences)
        label_inputs = tf.gather(weights.label_inputs, inputs)
        if self._can_fuse(weights):
            outputs = ops.attention_lstm(label_inputs, forget_bias=self._cell.forget_bias, attend_first=self._sync,
                                         **self._op_inputs(weights))
        else:
            outputs = self._scan(weights, label_inputs)
        outputs.set_shape([None, None, self._cell.num_units])
        return TeacherForced(self._logits(weights, outputs), targets, lengths)

    def decode(self, sequences: List[tf.Tensor], tree: Optional[prefix_tree.PrefixTree] = None) -> Decoded:
        """Finds the most likely text of each image by beam search.

        Args:
          sequences: feature sequences, [[B, T, C], ...].
          tree: if given, only its texts can be decoded.

        Returns:
          Decoded; the labels run in the direction of the decoder, from right to left if it is `reverse`.
        """
        weights = self._build(sequences)
        if self._can_fuse(weights) and self._sync:
            return Decoded(*ops.beam_search(
                weights.label_inputs, dense_kernel=weights.output_kernel, dense_bias=weights.output_bias,
                beam_width=self._beam_width, max_num_steps=self._max_num_steps, start_label=START_LABEL,
                end_label=END_LABEL, pad_label=PAD_LABEL, forget_bias=self._cell.forget_bias,
                tree=tree, **self._op_inputs(weights)))

        def step(labels, state):
            state, alignments = self._step(weights, tf.gather(weights.label_inputs, labels), state)
            return tf.nn.log_softmax(self._logits(weights, state.cell.h)), alignments, state

        batch_size = tf.shape(sequences[0])[0]
        state = self._zero_state(weights, batch_size, self._beam_width)
        if tree:
            step, state = self._within_tree(step, state, tree)
        return beam_search(step, state, batch_size=batch_size, beam_width=self._beam_width,
                           num_labels=self._num_labels, max_num_steps=self._max_num_steps,
                           alignment_size=sum(tf.shape(a.memory)[1] for a in weights.attentions))

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
        else:  # as published, the first step predicts the start label
            targets, lengths = tf.concat([start, ended], 1), lengths + 2
        inputs = tf.concat([start, targets[:, :-1]], 1)
        lengths = tf.minimum(lengths, self._max_num_steps)
        num_steps = tf.reduce_max(lengths)  # of the longest text in the batch: the others are done by then
        return inputs[:, :num_steps], targets[:, :num_steps], lengths

    def _build(self, sequences):
        """Creates (or reuses) the variables -> _Weights."""
        memories = sequences if self._multi_attention else [tf.concat(sequences, 1)]
        units, glimpse_size = self._num_attention_units, sum(layers.static_size(m, 2) for m in memories)
        suffixes = [""] + [f"_{i}" for i in range(1, len(memories))]
        with tf.variable_scope(self.name), tf.variable_scope("Predictor"):
            keys = [attention.keys(memory, units, "memory_layer" + suffix)
                    for memory, suffix in zip(memories, suffixes)]
            with tf.variable_scope("decoder"):
                with tf.variable_scope(self._wrapper):
                    kernels = [attention.weights(self._cell.num_units, units, "bahdanau_attention" + suffix)
                               for suffix in suffixes]
                    cell = self._cell.weights(self._num_labels + glimpse_size)
                with tf.variable_scope("dense"):
                    output_kernel = tf.get_variable("kernel", [self._cell.num_units, self._num_labels])
                    output_bias = tf.get_variable("bias", [self._num_labels], initializer=tf.zeros_initializer())
        # the cell's input is a one-hot label and the glimpse: the label's product is a row of the kernel
        label_kernel, glimpse_kernel = layers.split(cell.input_kernel, [self._num_labels, glimpse_size])
        attentions = [attention.Attention(query_kernel, v, key, memory)
                      for (query_kernel, v), key, memory in zip(kernels, keys, memories)]
        return _Weights(cell, label_kernel + cell.bias, glimpse_kernel, attentions, output_kernel, output_bias)

    def _can_fuse(self, weights):
        """Whether the ops serve: with several memories, their lengths must be known when the graph is built."""
        lengths = [a.memory.shape.as_list()[1] for a in weights.attentions]
        return self._fused and (len(lengths) == 1 or None not in lengths)

    def _op_inputs(self, weights):
        """What ops.attention_lstm and ops.beam_search share."""
        attentions = weights.attentions
        # The memories are projected to the gates before the ops attend to them: a glimpse then costs T x 4U
        # products in place of C x 4U, and the ops never see the glimpse itself.
        sizes = [layers.static_size(a.memory, 2) for a in attentions]
        values = [layers.matmul(a.memory, kernel)
                  for a, kernel in zip(attentions, layers.split(weights.glimpse_kernel, sizes))]
        # one product with the state gives gates and queries
        state_kernel = layers.concat([weights.cell.recurrent[0]] + [a.query_kernel for a in attentions], 1)
        return dict(state_kernel=state_kernel, keys=tf.concat([a.keys for a in attentions], 1),
                    values=tf.concat(values, 1), v=tf.stack([a.v for a in attentions]),
                    lengths=[a.memory.shape.as_list()[1] or 0 for a in attentions])

    def _scan(self, weights, label_inputs):
        """label_inputs [B, S, n] -> outputs of the cell [B, S, num_units], by standard operations."""
        def step(state, label_input):
            state, _ = self._step(weights, label_input, state)
            return state

        state = self._zero_state(weights, tf.shape(label_inputs)[0], 1)
        # tf.scan goes along the first axis, and each image has one hypothesis: [S, B, 1, n]
        steps = tf.expand_dims(tf.transpose(label_inputs, [1, 0, 2]), 2)
        outputs = tf.scan(step, steps, state).cell.h
        return tf.transpose(tf.squeeze(outputs, [2]), [1, 0, 2])

    def _zero_state(self, weights, batch_size, num_hypotheses):
        shape = [batch_size, num_hypotheses]
        return DecoderState(self._cell.zero_state(shape),
                            tf.zeros(shape + [layers.static_size(weights.glimpse_kernel, 0)]))

    def _step(self, weights, label_input, state):
        """label_input [B, W, n], rows of label_inputs -> the next state, and alignments [B, W, T]."""
        glimpse = state.glimpse
        if self._sync:
            glimpse, alignments = self._attend(weights, state.cell.h)
        projected = label_input + layers.matmul(glimpse, weights.glimpse_kernel)
        cell_state = self._cell.step(weights.cell, projected, state.cell)
        if not self._sync:
            glimpse, alignments = self._attend(weights, cell_state.h)
        return DecoderState(cell_state, glimpse), alignments

    def _attend(self, weights, query):
        """query [B, W, num_units] -> glimpse [B, W, C] and alignments [B, W, T], over all feature sequences."""
        glimpses, alignments = zip(*(attention.attend(query, a) for a in weights.attentions))
        return tf.concat(glimpses, 2), tf.concat(alignments, 2)

    def _logits(self, weights, outputs):
        return layers.matmul(outputs, weights.output_kernel, weights.output_bias)

    def _within_tree(self, step, state, tree):
        """`step` and first state of a search -> those of a search that stays in a tree."""
        table = tf.constant(prefix_tree.next_nodes(tree, self._num_labels))  # [nodes, num_labels], -1: no such edge

        def step_within(labels, state):
            log_probs, alignments, decoder_state = step(labels, state.decoder)
            entered = tf.gather_nd(table, tf.stack([state.node, labels], 2))
            # The start label leads to the root. A hypothesis outside the tree (-1) may go on from any node: its
            # score is the lowest number already, so that it can't win.
            node = tf.where(tf.equal(labels, START_LABEL), tf.zeros_like(entered), tf.maximum(entered, 0))
            allowed = tf.gather(table, node) >= 0  # [B, W, num_labels]
            log_probs = tf.where(allowed, log_probs, tf.fill(tf.shape(log_probs), tf.float32.min))
            return log_probs, alignments, _TreeState(decoder_state, node)

        return step_within, _TreeState(state, tf.zeros_like(state.glimpse[:, :, 0], tf.int32))
