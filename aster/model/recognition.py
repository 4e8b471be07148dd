"""The whole model: images -> text, and the losses that train it."""
from collections import OrderedDict
from typing import Callable, Dict, List, NamedTuple, Optional

from aster import losses
from aster.compat import tf
from aster.data.charset import END_LABEL, Charset
from aster.model.beam_search import PAD_LABEL, Decoded
from aster.model.decoder import AttentionDecoder, TeacherForced
from aster.model.prefix_tree import PrefixTree
from aster.model.rectifier import Rectification, Rectifier


class Predictor(NamedTuple):
    """A decoder with its characters.

    Attributes:
      decoder: an AttentionDecoder, or an object with its attributes and methods.
      charset: the Charset that it writes.
      loss_options: keyword arguments of `losses.sequence_cross_entropy`.
    """
    decoder: AttentionDecoder
    charset: Charset
    loss_options: dict


class Encoded(NamedTuple):
    """Images as the decoders see them.

    Attributes:
      preprocessed_images: float32 [B, H, W, 3], -1..1.
      rectification: None without a rectifier.
      sequences: feature sequences, each [B, T, C].
    """
    preprocessed_images: tf.Tensor
    rectification: Optional[Rectification]
    sequences: List[tf.Tensor]


class Recognition(NamedTuple):
    """What a model read from a batch.

    Attributes:
      texts: string [B], of the best predictor.
      scores: float32 [B], log-probabilities of the texts.
      best: int32 [B], which predictor the text is of.
      predictor_texts: the texts of each predictor, string [B], in reading order.
      decoded: what the decoder of each predictor returned.
      rectification: None without a rectifier.
      preprocessed_images: float32 [B, H, W, 3], -1..1.
    """
    texts: tf.Tensor
    scores: tf.Tensor
    best: tf.Tensor
    predictor_texts: List[tf.Tensor]
    decoded: List[Decoded]
    rectification: Optional[Rectification]
    preprocessed_images: tf.Tensor


class TrainingPass(NamedTuple):
    """What a training step needs of a batch.

    Attributes:
      losses: {name of the predictor, "keypoints", or a name of `losses.add`: scalar}.
      teacher_forced: what the decoder of each predictor returned; None where it has added a loss of its own.
      rectification: None without a rectifier.
    """
    losses: "OrderedDict[str, tf.Tensor]"
    teacher_forced: List[Optional[TeacherForced]]
    rectification: Optional[Rectification]


class RecognitionModel:
    """Rectifier, encoder and predictors. All methods make the same variables.

    Args:
      rectifier: a Rectifier, or None.
      encoder: a function of images [B, H, W, 3], -1..1, and is_training that returns feature sequences [B, T, C].
      predictors: a list of Predictor.
      keypoint_loss_weight: weight of the loss of the control points; None: they are not supervised.
    """

    def __init__(self, rectifier: Optional[Rectifier], encoder: Callable, predictors: List[Predictor],
                 keypoint_loss_weight: Optional[float] = None) -> None:
        self._rectifier = rectifier
        self._encoder = encoder
        self.predictors = predictors
        self._keypoint_loss_weight = keypoint_loss_weight

    @property
    def characters(self) -> Dict[str, str]:
        """The character set of each predictor, {its name: the characters in the order of their labels}."""
        return {predictor.decoder.name: "".join(predictor.charset.characters) for predictor in self.predictors}

    def recognize(self, images: tf.Tensor) -> Recognition:
        """Reads images as they are: `encode`, then `decode`.

        Args:
          images: float32 [B, H, W, 3], 0..255.

        Returns:
          A Recognition.
        """
        return self.decode(self.encode(images))

    def encode(self, images: tf.Tensor) -> Encoded:
        """Rectifies images and extracts their feature sequences, with the moving statistics of batch normalization.

        Args:
          images: float32 [B, H, W, 3], 0..255.

        Returns:
          An Encoded.
        """
        return self._encode(images, is_training=False)

    def decode(self, encoded: Encoded, trees: Optional[List[PrefixTree]] = None) -> Recognition:
        """Decodes feature sequences with every predictor.

        Args:
          encoded: what `encode` returned.
          trees: for each predictor, the tree of the only texts that it may write.

        Returns:
          A Recognition; the predictor whose text has the highest score wins.
        """
        preprocessed, rectification, sequences = encoded
        if trees:
            decoded = [predictor.decoder.decode(sequences, tree) for predictor, tree in zip(self.predictors, trees)]
        else:
            decoded = [predictor.decoder.decode(sequences) for predictor in self.predictors]
        with tf.device("/cpu:0"):  # as strings are; a GPU would make some of these operations, and wait for the others
            texts = [predictor.charset.decode_tensor(character_labels(predictor, result))
                     for predictor, result in zip(self.predictors, decoded)]
            scores = tf.stack([result.scores for result in decoded], 1)
            best = tf.cast(tf.argmax(scores, 1), tf.int32)
            choice = tf.stack([tf.range(tf.shape(best)[0]), best], 1)
            return Recognition(tf.gather_nd(tf.stack(texts, 1), choice), tf.gather_nd(scores, choice), best,
                               texts, decoded, rectification, preprocessed)

    def training_pass(self, images: tf.Tensor, texts: tf.Tensor, control_points: Optional[tf.Tensor] = None,
                      keypoint_mask: Optional[tf.Tensor] = None) -> TrainingPass:
        """Makes the losses of a batch, with the statistics of the batch.

        Args:
          images: float32 [B, H, W, 3], 0..255.
          texts: string [B], UTF-8.
          control_points: float32 [B, K, 2], (x, y) as fractions of width and height. They supervise the rectifier
            where the model has a loss of the key points.
          keypoint_mask: float32 [B], 1 where control_points are annotated.

        Returns:
          A TrainingPass.

        Raises:
          ValueError: a part has added a loss by the name of another one.
        """
        num_added = len(losses.added())  # of other clones
        _, rectification, sequences = self._encode(images, is_training=True)
        all_losses: OrderedDict[str, tf.Tensor] = OrderedDict()
        teacher_forced: List[Optional[TeacherForced]] = []
        for predictor in self.predictors:
            labels, lengths = predictor.charset.encode_tensor(texts)
            result = predictor.decoder.teacher_force(sequences, labels, lengths)
            teacher_forced.append(result)
            if result is None:  # the decoder has added a loss of its own
                continue
            all_losses[predictor.decoder.name] = losses.sequence_cross_entropy(
                result.logits, result.targets, result.lengths, **predictor.loss_options)
        if self._keypoint_loss_weight is not None and control_points is not None:
            all_losses["keypoints"] = losses.l2_regression(
                rectification.control_points, control_points, keypoint_mask, self._keypoint_loss_weight)
        own = list(all_losses)
        for name, loss in losses.added()[num_added:]:
            losses.check_apart(name, own)
            all_losses[name] = all_losses[name] + loss if name in all_losses else loss
        return TrainingPass(all_losses, teacher_forced, rectification)

    @property
    def num_supervised_points(self) -> Optional[int]:
        """K where control points are supervised, otherwise None."""
        if self._rectifier is None or self._keypoint_loss_weight is None:
            return None
        return self._rectifier.num_control_points

    @property
    def max_characters(self) -> int:
        """The length of the longest text that all predictors can learn and write."""
        return min(predictor.decoder.max_characters for predictor in self.predictors)

    def max_learnt_characters(self, skipping: bool) -> Optional[int]:
        """Tells how long a text may be for the predictors of one kind to learn all of it.

        Args:
          skipping: True: the predictors that learn nothing from longer texts (CTC); False: those that learn the start.

        Returns:
          The length; None if there are no such predictors.
        """
        return min((predictor.decoder.max_characters for predictor in self.predictors
                    if getattr(predictor.decoder, "skips_long_texts", False) == skipping), default=None)

    def _encode(self, images, is_training):
        preprocessed = images * (2.0 / 255.0) - 1.0
        rectification, encoder_input = None, preprocessed
        if self._rectifier:
            rectification = self._rectifier(preprocessed, is_training)
            encoder_input = rectification.images
        return Encoded(preprocessed, rectification, self._encoder(encoder_input, is_training))


def character_labels(predictor: Predictor, decoded: Decoded) -> tf.Tensor:
    """Gives the labels of the characters that a predictor read.

    Args:
      predictor: the Predictor.
      decoded: what its decoder returned.

    Returns:
      int32 [B, S]: labels up to the end label, in reading order, and PAD_LABEL after them.
    """
    ended = tf.cumsum(tf.cast(tf.equal(decoded.labels, END_LABEL), tf.int32), axis=1) > 0
    labels = tf.where(ended, tf.fill(tf.shape(ended), PAD_LABEL), decoded.labels)
    if predictor.decoder.reverse:
        labels = tf.reverse_sequence(labels, tf.reduce_sum(tf.cast(labels >= 0, tf.int32), 1), seq_axis=1, batch_axis=0)
    return labels
