"""The attention decoder as a layer of Keras 3."""
from typing import Any, Dict, Iterable, List, Optional, Sequence

import numpy as np

from aster import character_sets, losses
from aster.checkpoint import find_checkpoint
from aster.compat import tf
from aster.config import read_config
from aster.data.charset import END_LABEL, NUM_SPECIAL_LABELS, Charset, normalize
from aster.errors import shortened
from aster.keras_layers.base import ConfiguredLayer, as_fields, keras, model_of, read_experiment, shape_of
from aster.model.build import build_attention_decoder, build_model, can_fuse, loss_options
from aster.model.recognition import Predictor, character_labels
from aster.pretrained import ENGLISH


@keras.saving.register_keras_serializable(package="aster")
class AttentionDecoder(ConfiguredLayer):
    """Reads texts from feature sequences of your own (ASTER, section 3.2.2).

    With labels, which `encode` makes of texts, it trains: it gets the true character before each step, adds its loss by
    add_loss, and returns the logits, float32 [B, S, labels], and int32 [B], how many of the S steps count. Without
    labels it reads: it returns the texts, string [B], and their scores, float32 [B], the log-probabilities.

    Args:
      characters: the characters that it writes.
      config: fields of AttentionPredictor (docs/configuration.md), all that differ from its defaults; nested messages
        are dicts. None: those of the pretrained model, but with a loss of weight 1.
      name: the name of the layer.
      trainable: False: the layer is frozen.
      dtype: float32, whatever Keras's policy is.
      **fields: fields of AttentionPredictor to change, such as beam_width=1.

    Raises:
      ValueError: a character, a field or the dtype is wrong.
    """

    _NOT_ITS_OWN = ("label_map",)

    def __init__(self, characters: str, *, config: Optional[Dict[str, Any]] = None, name: Optional[str] = None,
                 trainable: bool = True, dtype: Any = None, **fields: Any) -> None:
        message = model_of(read_config(ENGLISH)).predictor[0].attention_predictor
        message.ClearField("loss")  # its weight is that of one decoder of two
        super().__init__(message, config, fields, name=name, trainable=trainable, dtype=dtype)
        if not isinstance(characters, str) or not characters or len(set(characters)) != len(characters) or (
                normalize(characters) != characters):
            raise ValueError(f"characters is {shortened(repr(characters))}, expected a text of characters that are "
                             "all different, in Unicode's form NFC")
        self.characters = characters
        self._charset = Charset(characters)
        self._use_scope("AttentionDecoder")

    def _use_scope(self, scope):
        """Makes the decoder, whose variables have these names in a checkpoint."""
        decoder = build_attention_decoder(self.message, scope, self._charset.num_labels, fused=can_fuse())
        self._predictor = Predictor(decoder, self._charset, loss_options(self.message.loss))

    @classmethod
    def from_experiment(cls, exp_dir: str = ENGLISH, predictor: Optional[str] = None,
                        **options: Any) -> "AttentionDecoder":
        """Makes a decoder of a trained model, with its weights. The features must be of the size that it knows.

        Args:
          exp_dir: the experiment folder, whose latest checkpoint counts. By default the pretrained model
            english; `aster.pretrained.path(name)` is the folder of another one.
          predictor: the name of the predictor; None: the first.
          **options: arguments of AttentionDecoder.

        Returns:
          An AttentionDecoder.

        Raises:
          ValueError: the folder has no usable configuration or checkpoint, or its model no such attention_predictor.
        """
        config = read_experiment(exp_dir)
        found = [message for message in model_of(config).predictor
                 if message.HasField("attention_predictor") and predictor in (None, message.name)]
        if not found:
            raise ValueError(f"{exp_dir}: this model has no attention_predictor {predictor or ''}; its predictors are "
                             + ", ".join(message.name for message in model_of(config).predictor))
        all_characters = build_model(config.model, exp_dir).characters
        character_sets.check(find_checkpoint(f"{exp_dir}/log"), all_characters)
        message = found[0].attention_predictor
        message.ClearField("label_map")
        layer = cls(**dict(dict(characters=all_characters[found[0].name], config=as_fields(message)), **options))
        layer._use_scope(found[0].name)
        layer.start_from(config, exp_dir)
        return layer

    @property
    def max_characters(self) -> int:
        """The length of the longest text that it can learn and write."""
        return self._predictor.decoder.max_characters

    def encode(self, texts: Iterable[str]) -> np.ndarray:
        """Makes the labels with which the decoder trains.

        Args:
          texts: the true texts, a list or another sequence of str.

        Returns:
          int32 [B, max_characters], filled up with the end label.

        Raises:
          ValueError: a text is too long, has a character that the decoder can't write, or is no str.
        """
        if isinstance(texts, (str, bytes)) or tf.is_tensor(texts) or not hasattr(texts, "__iter__"):
            raise ValueError(f"encode expects a list of texts such as ['one', 'two'], got "
                             f"{shortened(repr(texts))}; of a tensor, make one by [text.decode() for text in "
                             "tensor.numpy()]")
        rows: List[List[int]] = []
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"text {number} is {shortened(repr(text))}, a {type(text).__name__}; expected a str")
            unknown, labels = self._charset.unknown(text), self._charset.encode(text)
            if unknown:
                raise ValueError(f"text {number}, {shortened(text)!r}, has {''.join(sorted(unknown))!r}, but the "
                                 f"decoder writes {shortened(self.characters)!r} only; replace such characters or "
                                 "leave the text out")
            if len(labels) > self.max_characters:
                raise ValueError(f"text {number}, {shortened(text)!r}, has {len(labels)} characters, and the decoder "
                                 f"writes {self.max_characters} at most; raise max_num_steps, or leave the text out")
            rows.append(labels + [END_LABEL] * (self.max_characters - len(labels)))
        return np.array(rows, np.int32).reshape(-1, self.max_characters)

    def build(self, features_shape: Sequence[Optional[int]], labels_shape: Any = None) -> None:
        """Creates the weights."""
        if len(features_shape) != 3 or features_shape[2] is None:
            raise ValueError(f"AttentionDecoder {self.name!r} expects features [B, T, C] with a known C, got shape "
                             f"{tuple(features_shape)}")
        self.create_weights(lambda: self._predictor.decoder.decode([tf.placeholder(tf.float32, features_shape)]))

    def call(self, features: Any, labels: Any = None, training: Optional[bool] = False) -> Any:
        """Reads features [B, T, C]; with labels int32 [B, L], makes the pass for training."""
        self._check_inputs(features, labels)
        features = tf.cast(features, tf.float32)
        if labels is None:
            decoded = self.run_with_weights(lambda: self._predictor.decoder.decode([features]))
            return self._charset.decode_tensor(character_labels(self._predictor, decoded)), decoded.scores
        labels = tf.cast(labels, tf.int32)
        if tf.executing_eagerly():
            self._check_values(np.asarray(labels))
        lengths = tf.reduce_sum(tf.cast(labels >= NUM_SPECIAL_LABELS, tf.int32), 1)
        result = self.run_with_weights(lambda: self._predictor.decoder.teacher_force([features], labels, lengths))
        self.add_loss(losses.sequence_cross_entropy(*result, **self._predictor.loss_options))
        return result.logits, result.lengths

    def _check_inputs(self, features: Any, labels: Any) -> None:
        """Raises ValueError for wrong shapes and types, also of symbolic tensors."""
        shape: Sequence[Optional[int]] = shape_of(features) or ()
        if len(shape) != 3 or 0 in shape[1:]:
            raise ValueError(f"AttentionDecoder {self.name!r} expects features [B, T, C], T and C 1 or more, got shape "
                             f"{features.shape}")
        if labels is None:
            return
        of_labels: Sequence[Optional[int]] = shape_of(labels) or ()
        dtype = tf.as_dtype(labels.dtype)
        wrong = not dtype.is_integer or len(of_labels) != 2 or of_labels[1] not in (None, self.max_characters)
        if wrong or None not in (shape[0], of_labels[0]) and shape[0] != of_labels[0]:
            raise ValueError(f"AttentionDecoder {self.name!r} expects labels int32 [B, {self.max_characters}] with the "
                             f"B of the features, {shape[0]}, got {dtype.name} of shape {labels.shape}; make them of "
                             "texts by its encode(texts), and give their keras.Input dtype='int32'")

    def _check_values(self, labels: np.ndarray) -> None:
        """Raises ValueError unless each row has labels of characters, and then the end label up to its end."""
        is_character = (labels >= NUM_SPECIAL_LABELS) & (labels < self._charset.num_labels)
        wrong = ~is_character & (labels != END_LABEL)
        wrong[:, 1:] |= is_character[:, 1:] & ~is_character[:, :-1]  # something follows the end
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            last = self._charset.num_labels - 1
            raise ValueError(f"AttentionDecoder {self.name!r}: the label of text {row} at place {column} is "
                             f"{labels[row, column]}; expected labels of characters, {NUM_SPECIAL_LABELS} to {last}, "
                             f"then the end label {END_LABEL} up to the row's end; make them of texts by "
                             "encode(texts)")

    def compute_output_spec(self, features: Any, labels: Any = None, training: Optional[bool] = False) -> Any:
        """Returns the shapes and types of the outputs, as Keras asks for them."""
        self._check_inputs(features, labels)
        size = features.shape[0]  # the numbers of outputs must be equal: a model may call the layer in both ways
        if labels is None:
            return keras.KerasTensor((size,), "string"), keras.KerasTensor((size,), "float32")
        return keras.KerasTensor((size, None, self._charset.num_labels), "float32"), keras.KerasTensor((size,), "int32")

    def get_config(self) -> Dict[str, Any]:
        """Returns what makes such a layer again, without its weights."""
        return dict(super().get_config(), characters=self.characters)
