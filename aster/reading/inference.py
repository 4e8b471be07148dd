"""The model with the parameters of a checkpoint, as a session: arrays in, readings out."""
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from aster import character_sets, checkpoint
from aster.compat import num_gpus, session_config, tf
from aster.config import mixed_precision
from aster.data.charset import Charset
from aster.data.preprocess import last_resize, pixel_range, preprocess_image
from aster.memory import check_memory
from aster.model.build import build_model
from aster.reading.lexicon import Lexicon, load_word_list, make_lexicon, read_lexicon

BATCH_SIZE = 32  # images that are read together, unless the caller says otherwise
_LARGE = 64  # images; larger batches are padded to a multiple of it


class Reading(NamedTuple):
    """The result for one image. Of an image that can't be read, only `error` is set.

    Attributes:
      text: what was read; empty if the image is of one color.
      score: log-probability of the text.
      probabilities: the probability of each character of the text, 0..1.
      orientation: by how many degrees counterclockwise the image was turned to be read.
      error: why the image can't be read.
      doubtful: whether the text is less likely than the policy's `doubtful_probability`.
      hint: what may be wrong with the image: it looks like a whole photo, or has too few pixels. Otherwise None.

    The rest is None unless details are asked for.
      texts: {name of the predictor: its text}.
      original: the image as it was loaded and turned, uint8 [H, W, 3]; None where images come preprocessed.
      image: the image as the model sees it, float32 [H, W, 3], 0..255.
      control_points: float32 [K, 2], (x, y) as fractions of width and height; None without a rectifier.
      rectified: float32 [h, w, 3], -1..1, of the view that the text was read from, which may be inverted or zoomed;
        None without a rectifier.
      attention: float32 [characters, T], where along the (rectified) image each character was read.
    """
    text: Optional[str] = None
    score: Optional[float] = None
    probabilities: Tuple[float, ...] = ()
    orientation: int = 0
    error: Optional[str] = None
    texts: Optional[Dict[str, str]] = None
    original: Optional[np.ndarray] = None
    image: Optional[np.ndarray] = None
    control_points: Optional[np.ndarray] = None
    rectified: Optional[np.ndarray] = None
    attention: Optional[np.ndarray] = None
    doubtful: bool = False  # here, so that the other fields keep their places
    hint: Optional[str] = None


class _Search(NamedTuple):
    """The decoding of all predictors. fetches, details: {name: tensor}; spellings: those of a Lexicon, or None."""
    fetches: Dict[str, tf.Tensor]
    details: Dict[str, tf.Tensor]
    spellings: Optional[List[Dict[str, str]]]


class Inference:
    """A graph of constants with a session of its own. Threads may share it.

    `search` decodes images freely, or within the lexicon where one is given. Given feature sequences, it decodes them
    once more, within the configuration's word list.

    Attributes:
      pixel_range: the PixelRange of the preprocessing steps.
      image_shape: (H, W, C) of a preprocessed image; None where that depends on the image.
      wide_width: the width of long images, in pixels; 0 where the model sees all images alike.
    """

    def __init__(self, config: Any, checkpoint_path: str, base_dir: Optional[str] = None,
                 lexicon: Union[None, str, os.PathLike, Iterable[str]] = None) -> None:
        options, model_config = config.eval_config, config.model.multi_predictors_recognition_model
        self.pixel_range = pixel_range(options.data_preprocessing_steps, base_dir)
        self.wide_width = wide_width(config)
        with tf.Graph().as_default() as graph:
            self._pixels = tf.placeholder(tf.uint8, [None, None, 3])
            self._preprocessed = preprocess_image(options.data_preprocessing_steps, self._pixels, base_dir)
            self.image_shape = tuple(self._preprocessed.shape.as_list())
            self._images = tf.placeholder(tf.float32, [None] + list(self.image_shape))
            self._widened = tf.image.resize_images(self._images,
                                                   tf.stack([tf.shape(self._images)[1], self.wide_width]))
            self._border = tf.placeholder(tf.int32, [2])
            self._zoomed = _zoom(self._images, self._border)
            with checkpoint.constants(checkpoint_path, options.use_moving_averages):
                self._model = build_model(config.model, base_dir, mixed_precision=mixed_precision(options))
                character_sets.check(checkpoint_path, self._model.characters)
                encoded = self._model.encode(self._images)
                words = None
                if lexicon is None:
                    words = load_word_list(model_config, self._model.predictors, base_dir)
                    self._search = self._make_search(encoded)
                else:
                    words_only = read_lexicon(lexicon) if isinstance(lexicon, (str, os.PathLike)) else list(lexicon)
                    self._search = self._make_search(encoded, make_lexicon(words_only, self._model.predictors))
                self._word_search = self._make_search(encoded, words) if words else self._search
                self.num_preferred_words = words.num_words if words else 0
                self._sequences = encoded.sequences if words else []  # kept for a second search only
            self._is_on_gpu = num_gpus() > 0
            if not self._is_on_gpu:  # a GPU's own messages name the tensor
                check_memory(graph, batch_size=BATCH_SIZE)
            self._session = tf.Session(graph=graph,
                                       config=session_config(reading=True, mixed_precision=mixed_precision(options)))
            # takes two thirds of the time of `run`
            self._preprocess = self._session.make_callable(self._preprocessed, [self._pixels])

    @property
    def charsets(self) -> List[Charset]:
        """The Charset of each predictor."""
        return [predictor.charset for predictor in self._model.predictors]

    @property
    def max_characters(self) -> int:
        """The length of the longest text that the model can write."""
        return self._model.max_characters

    def preprocess(self, pixels: np.ndarray) -> np.ndarray:
        """Applies the configuration's preprocessing steps.

        Args:
          pixels: uint8 [H, W, 3].

        Returns:
          float32 [H', W', 3].
        """
        return self._preprocess(pixels)

    def widen(self, images: np.ndarray) -> np.ndarray:
        """Resizes preprocessed images [B, H, W, 3] to `wide_width`."""
        return self._session.run(self._widened, {self._images: images})

    def zoom(self, images: np.ndarray, rows: int, columns: int) -> np.ndarray:
        """Zooms preprocessed images out or in: a wider border makes the text smaller, a narrower one larger.

        Args:
          images: float32 [B, H, W, 3].
          rows: how many are added above and below, by repeating the outermost one; negative: how many are cut off.
          columns: the same to the left and right.

        Returns:
          float32 [B, H, W, 3].
        """
        return self._session.run(self._zoomed, {self._images: images, self._border: [rows, columns]})

    def search(self, images: np.ndarray, details: bool = False,
               sequences: Optional[Sequence[np.ndarray]] = None) -> Tuple[List[Any], List[np.ndarray]]:
        """Reads a batch.

        Args:
          images: preprocessed, float32 [B, H, W, 3].
          details: whether the Readings shall have pictures and attention.
          sequences: the feature sequences of these images from an earlier search. With them the most likely word of the
            word list is read, and the images are not encoded again.

        Returns:
          A Reading for each image, and the feature sequences, each [B, T, C]; of these there are none where the
          configuration has no word list.
        """
        search = self._search if sequences is None else self._word_search
        pad = _pad if self._is_on_gpu else np.asarray
        feed = {tensor: pad(array) for tensor, array in zip(self._sequences, sequences or ())}
        feed[self._images] = pad(images)
        fetches = dict(search.fetches, **(search.details if details else {}))
        values, encoded = self._session.run((fetches, self._sequences), feed)
        return ([self._reading(search, i, image, values, details) for i, image in enumerate(images)],
                [array[:len(images)] for array in encoded])

    def close(self) -> None:
        """Frees the session."""
        self._session.close()

    def _make_search(self, encoded, lexicon: Optional[Lexicon] = None):
        recognition = self._model.decode(encoded, lexicon and lexicon.trees)
        fetches = {"score": recognition.scores, "best": recognition.best, "texts": recognition.predictor_texts,
                   "labels": [decoded.labels for decoded in recognition.decoded],
                   "log_probs": [decoded.step_log_probs for decoded in recognition.decoded]}
        details = {"attention": [decoded.alignments for decoded in recognition.decoded]}
        if recognition.rectification:
            details.update(control_points=recognition.rectification.control_points,
                           rectified=recognition.rectification.images)
        return _Search(fetches, details, lexicon and lexicon.spellings)

    def _reading(self, search, i, image, values, details):
        """The Reading of the batch's image `i`."""
        best = int(values["best"][i])
        predictor = self._model.predictors[best]
        # probabilities and attention are in the decoder's direction, texts in reading order
        steps = predictor.charset.character_steps(values["labels"][best][i])
        steps = steps[::-1] if predictor.decoder.reverse else steps
        texts = [column[i].decode("utf-8") for column in values["texts"]]
        if search.spellings:
            # CTC may find no word
            texts = [words[text] if text else "" for words, text in zip(search.spellings, texts)]
        reading = Reading(texts[best], float(values["score"][i]),
                          tuple(np.exp(values["log_probs"][best][i, steps]).tolist()))
        if not details:
            return reading
        names = [predictor.decoder.name for predictor in self._model.predictors]
        return reading._replace(
            texts=dict(zip(names, texts)), image=image, attention=values["attention"][best][i, steps],
            **{name: values[name][i] for name in ("control_points", "rectified") if name in values})


def wide_width(config: Any) -> int:
    """Tells how wide the model of a TrainEvalPipelineConfig sees long images, in pixels.

    Returns:
      wide_target_width of the last resize_image; 0 where that step, or the rectifier, has one width for all images.
    """
    last = last_resize(config.eval_config.data_preprocessing_steps)
    model = config.model.multi_predictors_recognition_model
    narrows = model.HasField("spatial_transformer") and not model.spatial_transformer.wide_input_w
    return last.wide_target_width if last and last.wide_aspect and not narrows else 0


def _zoom(images: tf.Tensor, border: tf.Tensor) -> tf.Tensor:
    """The operations of `Inference.zoom`."""
    zoomed = images
    for axis, added in (1, border[0]), (2, border[1]):
        size = tf.shape(images)[axis]
        zoomed = tf.gather(zoomed, tf.clip_by_value(tf.range(-added, size + added), 0, size - 1), axis=axis)
    return tf.image.resize_images(zoomed, tf.shape(images)[1:3])


def _pad(batch: np.ndarray) -> np.ndarray:
    """[B, ...] -> one of few sizes, by repeating the last row: a GPU's convolutions are tuned for each new size."""
    count = len(batch)
    size = 1 << (count - 1).bit_length() if count <= _LARGE else -(-count // _LARGE) * _LARGE
    return batch if size == count else np.concatenate([batch, np.repeat(batch[-1:], size - count, axis=0)])
