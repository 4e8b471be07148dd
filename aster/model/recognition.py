"""The whole model: images -> text, and the losses that train it."""
from collections import OrderedDict
from typing import Any, List, NamedTuple, Optional

from aster import losses
from aster.compat import tf
from aster.data.charset import END_LABEL
from aster.model.beam_search import PAD_LABEL, Decoded
from aster.model.decoder import AttentionDecoder, TeacherForced
from aster.model.rectifier import Rectification


class Predictor(NamedTuple):
    """A decoder, the characters it knows, and the keyword arguments of its `losses.sequence_cross_entropy`."""
    decoder: AttentionDecoder
    charset: Any
    loss_options: dict


class Recognition(NamedTuple):
    """What the model read. texts string [B]; scores float32 [B]; best int32 [B]: which predictor they are of;
    predictor_texts: per predictor, string [B] in reading order; decoded: per predictor; rectification: None without a
    rectifier."""
    texts: tf.Tensor
    scores: tf.Tensor
    best: tf.Tensor
    predictor_texts: List[tf.Tensor]
    decoded: List[Decoded]
    rectification: Optional[Rectification]
    preprocessed_images: tf.Tensor


class Encoded(NamedTuple):
    """Images as the decoders see them. sequences: [[n, T, C], ...]."""
    preprocessed_images: tf.Tensor
    rectification: Optional[Rectification]
    sequences: List[tf.Tensor]


class WordList(NamedTuple):
    """The file of the words that are preferred while reading, and by how much (protos/model.proto)."""
    path: str
    bonus_per_character: float


class TrainingPass(NamedTuple):
    """losses: scalars by the name of their predictor (and "keypoints"); teacher_forced: per predictor."""
    losses: OrderedDict
    teacher_forced: List[TeacherForced]
    rectification: Optional[Rectification]


class RecognitionModel:
    """Rectifier (or None), encoder and predictors. All methods make the same variables. `also_negatives`: of each
    image and its negative the one that is read with the higher score counts. `word_list`: a WordList or None, for
    who reads; see recognizer.py, which reads the negatives by itself too, of few images."""

    def __init__(self, rectifier, encoder, predictors, keypoint_loss_weight=None, also_negatives=False, word_list=None):
        self._rectifier = rectifier
        self._encoder = encoder
        self.predictors = predictors
        self._keypoint_loss_weight = keypoint_loss_weight
        self.also_negatives = also_negatives
        self.word_list = word_list

    def recognize(self, images, trees=None):
        """images [B, H, W, 3], 0..255 -> Recognition; of several predictors the one with the higher score wins.

        trees: for each predictor the prefix_tree.PrefixTree of the only texts that it may read.
        """
        if not self.also_negatives:
            return self.decode(self.encode(images), trees)
        both = self.decode(self.encode(tf.concat([images, 255.0 - images], 0)), trees)
        count = tf.shape(both.scores)[0] // 2
        negative = both.scores[count:] > both.scores[:count]
        return _take(both, tf.range(count) + count * tf.cast(negative, tf.int32))

    def encode(self, images):
        """The first half of reading images as they are -> Encoded."""
        return self._encode(images, is_training=False)

    def decode(self, encoded, trees=None):
        """The second half of reading images as they are -> Recognition."""
        preprocessed, rectification, sequences = encoded
        if trees:
            decoded = [predictor.decoder.decode(sequences, tree) for predictor, tree in zip(self.predictors, trees)]
        else:
            decoded = [predictor.decoder.decode(sequences) for predictor in self.predictors]
        texts = [predictor.charset.decode_tensor(character_labels(predictor, result))
                 for predictor, result in zip(self.predictors, decoded)]
        scores = tf.stack([result.scores for result in decoded], 1)
        best = tf.cast(tf.argmax(scores, 1), tf.int32)
        choice = tf.stack([tf.range(tf.shape(best)[0]), best], 1)
        return Recognition(tf.gather_nd(tf.stack(texts, 1), choice), tf.gather_nd(scores, choice), best,
                           texts, decoded, rectification, preprocessed)

    def training_pass(self, images, texts, control_points=None, keypoint_mask=None):
        """images [B, H, W, 3], 0..255, texts string [B] -> TrainingPass, with the statistics of the batch.

        control_points [B, K, 2] (fractions) and keypoint_mask [B] supervise the rectifier where the model has
        a keypoint loss.
        """
        _, rectification, sequences = self._encode(images, is_training=True)
        all_losses, teacher_forced = OrderedDict(), []
        for predictor in self.predictors:
            labels, lengths = predictor.charset.encode_tensor(texts)
            result = predictor.decoder.teacher_force(sequences, labels, lengths)
            teacher_forced.append(result)
            all_losses[predictor.decoder.name] = losses.sequence_cross_entropy(
                result.logits, result.targets, result.lengths, **predictor.loss_options)
        if self._keypoint_loss_weight is not None and control_points is not None:
            all_losses["keypoints"] = losses.l2_regression(
                rectification.control_points, control_points, keypoint_mask, self._keypoint_loss_weight)
        return TrainingPass(all_losses, teacher_forced, rectification)

    @property
    def num_supervised_points(self):
        """K where control points are supervised, otherwise None."""
        return self._rectifier.num_control_points if self._keypoint_loss_weight is not None else None

    @property
    def max_characters(self):
        """Of the longest text that all predictors can learn."""
        return min(predictor.decoder.max_characters for predictor in self.predictors)

    def _encode(self, images, is_training):
        preprocessed = images * (2.0 / 255.0) - 1.0
        rectification, encoder_input = None, preprocessed
        if self._rectifier:
            rectification = self._rectifier(preprocessed, is_training)
            encoder_input = rectification.images
        return Encoded(preprocessed, rectification, self._encoder(encoder_input, is_training))


def _take(value, rows):
    """Some rows of each tensor, in lists and tuples too."""
    if isinstance(value, tf.Tensor):
        return tf.gather(value, rows)
    if isinstance(value, list):
        return [_take(one, rows) for one in value]
    return None if value is None else type(value)(*[_take(one, rows) for one in value])


def character_labels(predictor, decoded):
    """What a predictor read, int32 [B, S]: labels up to the end label, in reading order, and PAD_LABEL after them."""
    ended = tf.cumsum(tf.cast(tf.equal(decoded.labels, END_LABEL), tf.int32), axis=1) > 0
    labels = tf.where(ended, tf.fill(tf.shape(ended), PAD_LABEL), decoded.labels)
    if predictor.decoder.reverse:
        labels = tf.reverse_sequence(labels, tf.reduce_sum(tf.cast(labels >= 0, tf.int32), 1), seq_axis=1, batch_axis=0)
    return labels
