"""Recognizer: images in, text out."""
import functools
import itertools
import os
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from aster import checkpoint, pretrained
from aster.compat import check_not_forked, was_forked
from aster.config import read_config
from aster.data.charset import Charset
from aster.data.image import find_images, load_image
from aster.reading import policy
from aster.reading.batches import BatchSplitter
from aster.reading.inference import BATCH_SIZE, Inference, Reading


class _Turned(NamedTuple):
    """An image in one orientation."""
    degrees: int
    pixels: np.ndarray  # uint8 [H, W, 3]
    preprocessed: np.ndarray  # float32 [H', W', 3]


class Recognizer:
    """Reads images with the model of a configuration and the parameters of a checkpoint.

    It has a graph and a session of its own, so it doesn't touch the caller's TensorFlow; threads may share it. Use it
    in a `with` block, which frees the session. Processes may not share it: make one in each, and start them by
    `multiprocessing.get_context("spawn")`, since TensorFlow does not work in a process that was forked after its first
    use.

    Args:
      config: a TrainEvalPipelineConfig message, see `aster.config.read_config`.
      checkpoint_path: path of a checkpoint, see `aster.checkpoint.find_checkpoint`.
      base_dir: the experiment folder, where files that the configuration names are looked up first.
      lexicon: words, or the path of a file with one word per line: nothing else is read then, since the beam search
        stays in their prefix tree. A word is given as the lexicon spells it, also where the model lacks its capitals
        or punctuation. Without a lexicon the configuration's `word_list` is preferred, and anything can be read.

    Raises:
      ValueError: a file is missing or can't be used, the checkpoint is of another model, or this process was forked
        from one that had used TensorFlow.
    """

    def __init__(self, config: Any, checkpoint_path: str, base_dir: Optional[str] = None,
                 lexicon: Union[None, str, os.PathLike, Iterable[str]] = None) -> None:
        check_not_forked()
        self._policy = policy.make_policy(config.model.multi_predictors_recognition_model)
        self._inference = Inference(config, checkpoint_path, base_dir, lexicon)
        self._splitter = BatchSplitter(functools.partial(policy.read_batch, self._inference, self._policy))
        self._closed = False

    @classmethod
    def from_experiment(cls, exp_dir: str = pretrained.ENGLISH,
                        lexicon: Union[None, str, os.PathLike, Iterable[str]] = None,
                        overrides: Sequence[str] = ()) -> "Recognizer":
        """Makes a Recognizer of an experiment folder.

        Args:
          exp_dir: a folder with config/trainval.prototxt and a checkpoint in log/. By default the pretrained model
            english; `from_pretrained` names another one.
          lexicon: as in the constructor.
          overrides: texts that are merged into the configuration, like `--set` of the commands.

        Returns:
          A Recognizer with the latest checkpoint.

        Raises:
          ValueError: the folder has no usable configuration or checkpoint.
        """
        config = read_config(exp_dir, overrides)
        return cls(config, checkpoint.find_checkpoint(os.path.join(exp_dir, "log")), exp_dir, lexicon)

    @classmethod
    def from_pretrained(cls, name: str = pretrained.DEFAULT,
                        lexicon: Union[None, str, os.PathLike, Iterable[str]] = None,
                        overrides: Sequence[str] = ()) -> "Recognizer":
        """Makes a Recognizer of a model that comes with the library.

        Args:
          name: its name, one of `aster.pretrained.list()`.
          lexicon: as in the constructor.
          overrides: as in `from_experiment`.

        Returns:
          A Recognizer.

        Raises:
          ValueError: there is no such model. The message names those that there are.
        """
        return cls.from_experiment(pretrained.path(name), lexicon, overrides)

    @property
    def charsets(self) -> List[Charset]:
        """The Charset of each predictor."""
        return self._inference.charsets

    @property
    def ascii_only(self) -> bool:
        """Whether the model writes ASCII only; then texts are compared by the protocol of the benchmarks."""
        return all(max(charset.characters) < "\x80" for charset in self.charsets)

    @property
    def max_characters(self) -> int:
        """The length of the longest text that the model can write."""
        return self._inference.max_characters

    @property
    def num_preferred_words(self) -> int:
        """The size of the configuration's word list; 0 where it has none or it is not used."""
        return self._inference.num_preferred_words

    def recognize(self, images: Union[str, os.PathLike, Iterable[Any]], batch_size: int = BATCH_SIZE,
                  orientations: Optional[Iterable[int]] = None, details: bool = False,
                  on_error: str = "raise") -> Iterator[Reading]:
        """Reads images. Only one batch of them is in memory.

        Args:
          images: a folder, or an iterable of any length. Its elements are paths, bytes of image files, PIL images, or
            uint8 arrays [H, W, 3], [H, W, 4], [H, W, 1] or [H, W].
          batch_size: number of images that are read together. It changes scores by rounding only, up to about 1e-3.
          orientations: degrees counterclockwise, multiples of 90. Each image is turned by all of them, and the best
            score wins. By default only tall images are turned, see `policy.orientations_to_try`.
          details: whether the Readings shall have pictures, attention and the texts of all predictors.
          on_error: "raise" a ValueError that names the image which can't be read, or "keep" its place by a Reading
            with an `error`.

        Returns:
          An iterator over a Reading for each image, in order.

        Raises:
          ValueError: an argument is wrong.
        """
        if orientations is not None:
            given = orientations
            orientations = tuple(given) if np.iterable(given) else ()
            if not orientations or not set(orientations) <= set(policy.ORIENTATIONS):
                raise ValueError(f"orientations must be some of {list(policy.ORIENTATIONS)}, not {given}")
        if on_error not in ("raise", "keep"):
            raise ValueError(f"on_error must be 'raise' or 'keep', not {on_error!r}")
        if batch_size != int(batch_size) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number, 1 or more, not {batch_size}")
        if images is None or isinstance(images, (bytes, np.ndarray)) or hasattr(images, "convert"):
            raise ValueError("expected a folder, or a list or other iterable of images; put a single image into a "
                             "list, and give a batch in one array as list(array)")
        every: Iterable[Any] = find_images([str(images)]) if isinstance(images, (str, os.PathLike)) else images
        return self._recognize_all(iter(every), batch_size, orientations, details, on_error)

    def _recognize_all(self, images, batch_size, orientations, details, on_error):
        """The generator of `recognize`, whose arguments are right."""
        count = 0
        while True:
            batch = list(itertools.islice(images, batch_size))
            if not batch:
                return
            self._check_usable()
            loaded = list(self._splitter.pool.map(lambda image: self._load(image, orientations), batch))
            errors = [self._name_error(batch[i], count + i, result) for i, result in enumerate(loaded)]
            if on_error == "raise" and any(errors):
                raise ValueError(next(filter(None, errors)))
            turned = [image.preprocessed for result, error in zip(loaded, errors) if not error for image in result]
            readings = iter(self.recognize_preprocessed(turned, details) if turned else ())
            for result, error in zip(loaded, errors):
                if error:
                    yield Reading(error=error)
                    continue
                candidates = [next(readings)._replace(orientation=image.degrees,
                                                      original=image.pixels if details else None) for image in result]
                best = policy.best_orientation(candidates, orientations)
                height, width = result[0].pixels.shape[:2]
                yield best._replace(hint=policy.hint(height, width, best.doubtful))
            count += len(batch)

    def _check_usable(self):
        if self._closed:
            raise ValueError("this Recognizer is closed; read inside of its `with`, or before close()")
        check_not_forked()

    @staticmethod
    def _name_error(image, number, result):
        """-> the message about an image that `_load` could not load, or None."""
        if not isinstance(result, ValueError):
            return None
        return f"{image if isinstance(image, (str, os.PathLike)) else f'image {number}'}: {result}"

    def _load(self, image, orientations):
        """-> [_Turned] for each orientation that is to be tried; or the error, as a value, so that others go on."""
        try:
            pixels = load_image(image)
        except ValueError as error:
            return error
        degrees = policy.orientations_to_try(pixels.shape[0], pixels.shape[1], self._policy, orientations)
        turned = [np.rot90(pixels, angle // 90) for angle in degrees]
        return [_Turned(angle, view, self._inference.preprocess(view)) for angle, view in zip(degrees, turned)]

    def recognize_preprocessed(self, images: Sequence[np.ndarray], details: bool = False) -> List[Reading]:
        """Reads images that went through the configuration's preprocessing steps already.

        Args:
          images: float32 [H, W, 3], 0..255, of any length; images of one size are read together.
          details: as in `recognize`.

        Returns:
          A Reading for each image, in order.

        Raises:
          ValueError: the Recognizer is closed, this process was forked from the one that made it, or an image has
            another shape than the steps give.
        """
        self._check_usable()
        height, width, channels = self._inference.image_shape
        places: dict = {}
        for place, image in enumerate(images):
            if image.ndim != 3 or not all(expected in (None, own) for expected, own in zip(
                    (height, width, channels), image.shape)):
                raise ValueError(f"image {place} is of shape {list(image.shape)}, expected [{height or 'H'}, "
                                 f"{width or 'W'}, {channels or 'C'}] as the preprocessing steps give; "
                                 "`recognize` takes images of any size")
            places.setdefault(image.shape, []).append(place)
        readings: List[Any] = [None] * len(images)
        for same in places.values():
            for place, reading in zip(same, self._splitter(np.stack([images[i] for i in same]), details)):
                readings[place] = reading
        return readings

    read_prepared = recognize_preprocessed  # its name in version 0.1

    def close(self) -> None:
        """Frees the session and the threads. What is not read yet can't be read any more."""
        self._closed = True
        if was_forked():  # the session and the threads are those of the other process
            return
        self._splitter.close()
        self._inference.close()

    def __enter__(self) -> "Recognizer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
