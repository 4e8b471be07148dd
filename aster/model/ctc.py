"""The CTC decoder: feature sequences -> labels without attention (Graves et al. 2006).

A linear layer gives every column of the feature sequence a distribution over the characters and the blank. A text is
what is left of a path through the columns when repeated labels are merged and blanks are removed. The blank has the
label of the start, START_LABEL, which CTC does not need otherwise. The end label is never written by the layer: it is
put behind the text, as other decoders write it.
"""
import logging
from typing import Any, Dict, List, NamedTuple, Optional

from aster import losses
from aster.compat import tf
from aster.data.charset import END_LABEL, START_LABEL
from aster.errors import warn_once
from aster.model import layers, prefix_tree
from aster.model.beam_search import PAD_LABEL, Decoded

_log = logging.getLogger(__name__)
BLANK = START_LABEL
_IMPOSSIBLE = -1e30  # a log-probability; two of them can be added without an overflow
_MAX_TABLE = 2 * 10 ** 9  # bytes
_MIN_TREE_WIDTH = 16  # hypotheses in a tree, where most are no words at the end


class _Beams(NamedTuple):
    """The W best prefixes of each image, best first. A prefix is what is left of paths to the columns so far."""
    keys: tf.Tensor        # int64 [B, W], the node in the tree, or a hash of the labels
    blank: tf.Tensor       # [B, W], log-probability of the paths that end with a blank
    label: tf.Tensor       # [B, W], of the paths that end with the prefix's last label
    last: tf.Tensor        # int32 [B, W], its last label; BLANK for the empty prefix
    lengths: tf.Tensor     # int32 [B, W]
    labels: tf.Tensor      # int32 [B, W, T + 1]
    columns: tf.Tensor     # int32 [B, W, T + 1], the column in which each label was first written


class CtcDecoder:
    """A linear layer, trained and decoded by CTC.

    Args:
      name: the scope of its variables.
      num_labels: size of the output, start and end label included.
      max_characters: the length of the longest text that is learnt, and of the longest word of a lexicon.
      beam_width: prefixes per image in `decode`; 1 takes the best path.
      loss_weight: the factor of the loss.
      sequence_normalize: whether the loss of each text is divided by its length.
    """
    reverse = False
    skips_long_texts = True  # texts of more than max_characters have no part in its loss

    def __init__(self, name: str, num_labels: int, *, max_characters: int = 25, beam_width: int = 1,
                 loss_weight: float = 1.0, sequence_normalize: bool = False) -> None:
        self.name = name
        self.max_characters = max_characters
        self._num_labels = num_labels
        self._beam_width = beam_width
        self._loss_weight = loss_weight
        self._sequence_normalize = sequence_normalize

    def label_axes(self) -> Dict[str, int]:
        """Tells where labels have parameters of their own; see AttentionDecoder."""
        return {f"{self.name}/Predictor/dense/kernel": 1, f"{self.name}/Predictor/dense/bias": 0}

    def teacher_force(self, sequences: List[tf.Tensor], labels: tf.Tensor, lengths: tf.Tensor) -> None:
        """Adds the CTC loss of a batch, its mean over the texts that fit.

        Args:
          sequences: feature sequences, [[B, T, C], ...], joined in time.
          labels: int32 [B, L], the characters of each text in reading order.
          lengths: int32 [B], characters of each text. A text that does not fit in the T columns has no part in the
            loss; equal neighbours need a blank between them.
        """
        self._check_columns(sequences)
        logits = self._logits(sequences)
        # of the op, the classes are the characters, and then the blank
        classes = tf.concat([logits[:, :, END_LABEL + 1:], logits[:, :, BLANK:BLANK + 1]], 2)
        fits, is_empty = _fits(labels, lengths, tf.shape(logits)[1]), tf.equal(lengths, 0)
        fits = tf.logical_and(fits, lengths <= self.max_characters)
        # the op refuses texts that are empty or do not fit: it gets one character for them, whose loss does not count
        labels = tf.maximum(tf.pad(labels, [[0, 0], [0, 1]]), END_LABEL + 1)
        given = tf.where(tf.logical_and(fits, tf.logical_not(is_empty)), lengths, tf.ones_like(lengths))
        present = tf.where(tf.sequence_mask(given, tf.shape(labels)[1]))
        truth = tf.SparseTensor(present, tf.gather_nd(labels, present) - (END_LABEL + 1),
                                tf.cast(tf.shape(labels), tf.int64))
        num_columns = tf.fill([tf.shape(logits)[0]], tf.shape(logits)[1])
        with tf.device("/cpu:0"):  # the op has no kernel for GPUs
            loss = tf.nn.ctc_loss(truth, tf.transpose(classes, [1, 0, 2]), num_columns)
        only_blanks = -tf.reduce_sum(tf.nn.log_softmax(logits)[:, :, BLANK], 1)
        loss = tf.where(is_empty, only_blanks, loss)
        if self._sequence_normalize:
            loss /= tf.cast(tf.maximum(lengths, 1), tf.float32)
        counts = tf.cast(fits, tf.float32)
        losses.add(self.name, self._loss_weight * tf.reduce_sum(loss * counts) / losses.count_of_all_clones(counts))

    def decode(self, sequences: List[tf.Tensor], tree: Optional[prefix_tree.PrefixTree] = None) -> Decoded:
        """Finds a text for each image: by prefix beam search, or the text of the best path.

        Args:
          sequences: feature sequences, [[B, T, C], ...], joined in time.
          tree: if given, only its texts can be decoded.

        Returns:
          Decoded. The alignment of a label is the column in which it was first written. The log-probability of a step
          is the text's, divided by its number of labels: CTC has none for a single label.
        """
        log_probs = tf.nn.log_softmax(self._logits(sequences))
        if self._beam_width == 1 and not tree:
            return _decode_greedily(log_probs)
        return self._search(log_probs, tree)

    def _check_columns(self, sequences):
        """Warns where the feature sequences have fewer columns than a text may have characters."""
        columns = [sequence.shape.as_list()[1] for sequence in sequences]
        if None not in columns and sum(columns) < self.max_characters:
            warn_once(_log, f"predictor {self.name}: max_characters is {self.max_characters}, but its feature "
                            f"sequences have {sum(columns)} columns, and CTC learns nothing from longer texts; widen "
                            "the images, or lower max_characters")

    def _next_nodes(self, tree):
        size = 4 * (len(tree.starts) - 1) * self._num_labels
        if size > _MAX_TABLE:
            raise ValueError(f"predictor {self.name}: the lexicon or word list needs {size / 1e9:.1f} GB with "
                             f"{self._num_labels} labels, expected {_MAX_TABLE / 1e9:.0f} GB or less; name fewer words")
        return prefix_tree.next_nodes(tree, self._num_labels)

    def _logits(self, sequences):
        memory = tf.concat(sequences, 1)
        with tf.variable_scope(self.name), tf.variable_scope("Predictor"), tf.variable_scope("dense"):
            kernel = tf.get_variable("kernel", [layers.static_size(memory, 2), self._num_labels])
            bias = tf.get_variable("bias", [self._num_labels], initializer=tf.zeros_initializer())
        # no path goes through the end label
        return layers.matmul(memory, kernel, bias) + _IMPOSSIBLE * tf.one_hot(END_LABEL, self._num_labels)

    def _search(self, log_probs, tree):
        """Prefix beam search (Graves 2012, section 7.5), in a tree or without."""
        table = None if tree is None else tf.constant(self._next_nodes(tree))
        width = self._beam_width if tree is None else max(self._beam_width, _MIN_TREE_WIDTH)
        shape, num_columns = tf.stack([tf.shape(log_probs)[0], width]), tf.shape(log_probs)[1]
        first = tf.tile(tf.one_hot([0], width, on_value=0.0, off_value=_IMPOSSIBLE), [shape[0], 1])
        # prefixes that are not there yet have keys that no other has
        keys = tf.tile(-tf.expand_dims(tf.range(width, dtype=tf.int64), 0), [shape[0], 1])
        history = tf.fill(tf.concat([shape, [num_columns + 1]], 0), PAD_LABEL)
        beams = _Beams(keys, first, tf.fill(shape, _IMPOSSIBLE), tf.fill(shape, BLANK), tf.zeros(shape, tf.int32),
                       history, history)
        shapes = _Beams(*[tf.TensorShape([None, width])] * 5, *[tf.TensorShape([None, width, None])] * 2)
        _, beams = tf.while_loop(
            lambda column, _: column < num_columns,
            lambda column, beams: (column + 1, _extend(beams, log_probs[:, column], column, table, width)),
            (tf.constant(0), beams), (tf.TensorShape([]), shapes))
        scores = _log_add(beams.blank, beams.label)
        if table is not None:  # only words that are whole
            is_word = tf.gather(table, tf.maximum(tf.cast(beams.keys, tf.int32), 0))[:, :, END_LABEL] >= 0
            scores = tf.where(is_word, scores, tf.fill(tf.shape(scores), _IMPOSSIBLE))
            # where no word is whole, nothing is read
            beams = beams._replace(lengths=tf.where(is_word, beams.lengths, tf.zeros_like(beams.lengths)))
        return _best(beams, scores, num_columns)


def _fits(labels, lengths, num_columns):
    """Which texts have a path through the columns: bool [B]."""
    is_repeated = tf.cast(tf.equal(labels[:, 1:], labels[:, :-1]), tf.int32)
    pairs = tf.sequence_mask(lengths - 1, tf.shape(is_repeated)[1], tf.int32)
    return lengths + tf.reduce_sum(is_repeated * pairs, 1) <= num_columns


def _extend(beams, log_probs, column, table, width):
    """The W best prefixes after one more column, whose log_probs are [B, L]."""
    num_labels = log_probs.shape.as_list()[1]
    total = _log_add(beams.blank, beams.label)
    # a prefix stays as it is: by a blank, or by its last label again
    stays_blank = total + log_probs[:, BLANK:BLANK + 1]
    again = tf.reduce_sum(tf.one_hot(beams.last, num_labels) * tf.expand_dims(log_probs, 1), 2)
    stays_label = beams.label + again
    # or it gets a label more, [B, W, L]; its last label only where a blank came between
    is_last = tf.one_hot(beams.last, num_labels) > 0
    sources = tf.where(is_last, _spread(beams.blank, num_labels), _spread(total, num_labels))
    grown = sources + tf.expand_dims(log_probs, 1)
    never = tf.one_hot(BLANK, num_labels) + tf.one_hot(END_LABEL, num_labels)
    grown += _IMPOSSIBLE * never
    if table is None:
        labels = tf.cast(tf.range(num_labels), tf.int64)
        keys = tf.expand_dims(beams.keys, 2) * 1000003 + (labels + 1)  # wraps around
    else:
        nodes = tf.gather(table, tf.maximum(tf.cast(beams.keys, tf.int32), 0))
        grown = tf.where(nodes >= 0, grown, tf.fill(tf.shape(grown), _IMPOSSIBLE))
        keys = tf.cast(nodes, tf.int64)
    # a grown prefix may be one that is there already: then their paths are added, and it is not there twice
    same = tf.equal(tf.expand_dims(keys, 3), tf.reshape(beams.keys, [-1, 1, 1, width]))  # [B, W, L, W]
    same = tf.logical_and(same, tf.expand_dims(grown > 0.5 * _IMPOSSIBLE, 3))
    spread = tf.where(same, tf.zeros_like(same, tf.float32) + tf.expand_dims(grown, 3),
                      tf.fill(tf.shape(same), _IMPOSSIBLE))
    stays_label = _log_add(stays_label, tf.reduce_max(spread, [1, 2]))  # only one parent can grow to it
    grown = tf.where(tf.reduce_any(same, 3), tf.fill(tf.shape(grown), _IMPOSSIBLE), grown)
    # the best W of those that stay and those that have grown
    batch = tf.shape(log_probs)[0]
    candidates = tf.concat([_log_add(stays_blank, stays_label), tf.reshape(grown, [batch, width * num_labels])], 1)
    scores, chosen = tf.nn.top_k(candidates, width)
    has_grown = chosen >= width
    grown_index = tf.maximum(chosen - width, 0)
    parent = tf.where(has_grown, grown_index // num_labels, chosen)
    label = tf.where(has_grown, grown_index % num_labels, _pick(beams.last, parent))
    new_keys = tf.where(has_grown, _pick(tf.reshape(keys, [batch, width * num_labels]), grown_index),
                        _pick(beams.keys, parent))
    impossible = tf.fill(tf.shape(scores), _IMPOSSIBLE)
    lengths = _pick(beams.lengths, parent)
    place = tf.logical_and(tf.equal(tf.expand_dims(lengths, 2), tf.range(tf.shape(beams.labels)[2])),
                           tf.expand_dims(has_grown, 2))
    labels, columns = _pick(beams.labels, parent), _pick(beams.columns, parent)
    return _Beams(
        keys=new_keys,
        blank=tf.where(has_grown, impossible, _pick(stays_blank, parent)),
        label=tf.where(has_grown, scores, _pick(stays_label, parent)),
        last=label, lengths=lengths + tf.cast(has_grown, tf.int32),
        labels=tf.where(place, tf.zeros_like(labels) + tf.expand_dims(label, 2), labels),
        columns=tf.where(place, tf.zeros_like(columns) + column, columns))


def _best(beams, scores, num_columns):
    """The prefix with the best of the scores [B, W], as Decoded."""
    best = tf.expand_dims(tf.cast(tf.argmax(scores, 1), tf.int32), 1)
    lengths = tf.squeeze(_pick(beams.lengths, best), [1])
    labels, columns = (tf.squeeze(_pick(history, best), [1]) for history in (beams.labels, beams.columns))
    return _decoded(labels, columns, lengths, tf.squeeze(_pick(scores, best), [1]), num_columns)


def _decode_greedily(log_probs):
    """The text of the best path, [B, T, L] -> Decoded. Its score is that of the path: the text may have others."""
    best = tf.cast(tf.argmax(log_probs, 2), tf.int32)
    before = tf.pad(best[:, :-1], [[0, 0], [1, 0]], constant_values=BLANK)
    written = tf.logical_and(tf.not_equal(best, BLANK), tf.not_equal(best, before))
    lengths = tf.reduce_sum(tf.cast(written, tf.int32), 1)
    num_columns = tf.shape(best)[1]
    # the columns that write, in their order, before those that don't
    order = tf.where(written, tf.zeros_like(best), tf.fill(tf.shape(best), num_columns)) + tf.range(num_columns)
    columns = -tf.nn.top_k(-order, num_columns).values % num_columns
    columns = tf.pad(columns, [[0, 0], [0, 1]])
    labels = _pick(best, columns)
    return _decoded(labels, columns, lengths, tf.reduce_sum(tf.reduce_max(log_probs, 2), 1), num_columns)


def _decoded(labels, columns, lengths, scores, num_columns):
    """Puts the end label behind the first `lengths` labels [B, S], PAD_LABEL behind it, and cuts what no text has."""
    num_steps = tf.reduce_max(lengths) + 1
    steps = tf.expand_dims(tf.range(num_steps), 0)
    is_text = tf.expand_dims(lengths, 1) > steps
    labels, columns = labels[:, :num_steps], columns[:, :num_steps]
    behind = tf.where(tf.equal(steps, tf.expand_dims(lengths, 1)), tf.fill(tf.shape(labels), END_LABEL),
                      tf.fill(tf.shape(labels), PAD_LABEL))
    counts = lengths + 1
    is_step = tf.cast(tf.sequence_mask(counts, num_steps), tf.float32)
    step_log_probs = tf.expand_dims(scores / tf.cast(counts, tf.float32), 1) * is_step
    alignments = tf.one_hot(columns, num_columns) * tf.cast(tf.expand_dims(is_text, 2), tf.float32)
    return Decoded(tf.where(is_text, labels, behind), counts, scores, step_log_probs, alignments)


def _pick(tensor: Any, index: tf.Tensor) -> tf.Tensor:
    """tensor [B, N, ...], index int32 [B, M] -> [B, M, ...], the elements of each row that the index names."""
    rows = tf.zeros_like(index) + tf.expand_dims(tf.range(tf.shape(index)[0]), 1)
    picked = tf.gather_nd(tensor, tf.stack([rows, index], 2))
    picked.set_shape(index.shape.as_list() + tensor.shape.as_list()[2:])
    return picked


def _spread(tensor, size):
    """[B, W] -> [B, W, size], the same along the new axis."""
    return tf.tile(tf.expand_dims(tensor, 2), [1, 1, size])


def _log_add(a, b):
    """log(exp(a) + exp(b)), also where both are impossible."""
    return tf.maximum(a, b) + tf.log(1.0 + tf.exp(-tf.abs(a - b)))  # ONNX has no log1p
