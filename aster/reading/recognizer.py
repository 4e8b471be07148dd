"""Recognizer: images in, text out."""
import inspect
import itertools
import os
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

from aster import checkpoint
from aster.compat import session_config, tf
from aster.config import read_config
from aster.data.image import find_images, load_image
from aster.data.preprocess import preprocess_image
from aster.model.build import build_model
from aster.model.prefix_tree import prefix_tree
from aster.pretrained import ENGLISH
from aster.reading.batches import BatchSplitter
from aster.reading.lexicon import read_lexicon, spellings

BATCH_SIZE = 32
ORIENTATIONS = (0, 90, 180, 270)
_CERTAIN = 0.98  # probability of a text that needs neither negative nor word list
_TALL = 1.5  # times as high as wide; such a word is turned, and letters by themselves are read out of it too surely


class Reading(NamedTuple):
    """One image's result. Of an image that can't be read, only `error` is set.

    score: the text's summed log-probability. probabilities: of each character read. orientation: degrees by which the
    image was turned counterclockwise to be read. The rest is None unless details are asked for: the texts of all
    predictors by their name; the image as the model saw it [H, W, 3], 0..255; where the model rectifies, control_points
    [K, 2] (fractions of its width and height) and rectified [h, w, 3], -1..1, of its negative if that is where the text
    was read; attention [characters, T], where along the rectified image each character was read.
    """
    text: Optional[str] = None
    score: Optional[float] = None
    probabilities: Tuple[float, ...] = ()
    orientation: int = 0
    error: Optional[str] = None
    texts: Optional[Dict[str, str]] = None
    image: Optional[np.ndarray] = None
    control_points: Optional[np.ndarray] = None
    rectified: Optional[np.ndarray] = None
    attention: Optional[np.ndarray] = None


class _Search(NamedTuple):
    """A search of all predictors. fetches, details: {name: tensor}; spellings: per predictor {text: word}, or None."""
    fetches: Dict[str, tf.Tensor]
    details: Dict[str, tf.Tensor]
    spellings: Optional[list]


class Recognizer:
    """Reads images with the model of a configuration and the variables of a checkpoint.

    It has a graph and a session of its own, so it doesn't touch the caller's TensorFlow; threads may share it. Use it
    in a `with`. With a `lexicon`, a list of words or the path of a file of them, it reads those only: the beam search
    stays in their prefix tree. A word is then given as the lexicon spells it, also where the model lacks its capitals
    or punctuation. Without a lexicon, the words of the configuration's `word_list` are preferred.
    """

    def __init__(self, config, checkpoint_path, base_dir=None, lexicon=None):
        options = config.eval_config
        with tf.Graph().as_default() as graph:
            self._raw = tf.placeholder(tf.uint8, [None, None, 3])
            self._prepared = preprocess_image(options.data_preprocessing_steps, self._raw, base_dir)
            self._images = tf.placeholder(tf.float32, [None] + self._prepared.shape.as_list())
            with checkpoint.constants(checkpoint_path, options.use_moving_averages):
                self._model = build_model(config.model, base_dir)
                encoded = self._model.encode(self._images)
                self._search, self._word_search, self.num_preferred_words = self._make_search(encoded, lexicon), None, 0
                if lexicon is None and self._model.word_list:
                    self._word_search = self._search_words(encoded)
                self._sequences = encoded.sequences if self._word_search else []  # for a second search
            self._session = tf.Session(graph=graph, config=session_config(reading=True, bfloat16=options.bfloat16))
        self._in_parts = BatchSplitter(self._read)
        self._closed, self._process = False, os.getpid()

    @classmethod
    def from_experiment(cls, exp_dir=ENGLISH, lexicon=None):
        """The model of exp_dir/config/trainval.prototxt with the latest checkpoint in exp_dir/log; by default the one
        that comes with the library, for English words, which aster/pretrained/english/README.md describes."""
        return cls(read_config(exp_dir), checkpoint.find_checkpoint(os.path.join(exp_dir, "log")), exp_dir, lexicon)

    def _search_words(self, encoded):
        """The _Search of the model's word list."""
        try:
            words = read_lexicon(self._model.word_list.path)
            self.num_preferred_words = len(words)
            if any(map(str.isupper, itertools.chain(*(charset.characters for charset in self.charsets)))):
                words = [case for word in words for case in (word, word.capitalize(), word.upper())]
            return self._make_search(encoded, words)
        except ValueError as error:
            raise ValueError(f"word_list of the configuration, {self._model.word_list.path}: {error}")

    def _make_search(self, encoded, lexicon):
        spelled, trees = self._restrict(lexicon) if lexicon is not None else (None, None)
        recognition = self._model.decode(encoded, trees)
        fetches = {"score": recognition.scores, "best": recognition.best, "texts": recognition.predictor_texts,
                   "labels": [decoded.labels for decoded in recognition.decoded],
                   "log_probs": [decoded.step_log_probs for decoded in recognition.decoded]}
        details = {"attention": [decoded.alignments for decoded in recognition.decoded]}
        if recognition.rectification:
            details.update(control_points=recognition.rectification.control_points,
                           rectified=recognition.rectification.images)
        return _Search(fetches, details, spelled)

    def _restrict(self, lexicon):
        """-> for each predictor, {text: word of the lexicon}; and its PrefixTree."""
        lexicon = read_lexicon(lexicon) if isinstance(lexicon, (str, os.PathLike)) else lexicon
        known, found, labels, trees = {}, [], {}, []
        for predictor in self._model.predictors:
            if "tree" not in inspect.signature(predictor.decoder.decode).parameters:
                raise ValueError(f"predictor {predictor.decoder.name!r} can't be restricted to a lexicon: its search() takes no tree")
            key = predictor.charset.characters, predictor.decoder.max_characters
            if key not in known:
                known[key] = spellings(lexicon, predictor.charset, predictor.decoder.max_characters)
                # tuples, which the garbage collector leaves alone
                labels[key] = [tuple(predictor.charset.encode(text)) for text in known[key]]
            found.append(known[key])
            step = -1 if predictor.decoder.reverse else 1
            trees.append(prefix_tree([text[::step] for text in labels[key]]))
        return found, trees

    @property
    def charsets(self):
        """The Charset of each predictor."""
        return [predictor.charset for predictor in self._model.predictors]

    @property
    def ascii_only(self):
        """Whether it knows no character beyond ASCII; then the benchmarks' protocol compares."""
        return all(max(charset.characters) < "\x80" for charset in self.charsets)

    @property
    def max_characters(self):
        """Of the longest text that it can read."""
        return self._model.max_characters

    def recognize(self, images, batch_size=BATCH_SIZE, orientations=None, details=False, on_error="raise"):
        """Yields a Reading for each image, in order; only a batch of them is in memory.

        Args:
          images: a folder, or an iterable, of any length, of paths, bytes of image files, PIL images and uint8 arrays
            [H, W, 3], [H, W, 4], [H, W, 1] or [H, W].
          batch_size: texts don't depend on it; scores do by rounding, up to about 1e-3.
          orientations: each image is turned by so many degrees counterclockwise, a multiple of 90; the best score wins.
            Those in which it is 1.5 times as high as wide are left out where there are others. By default images are
            read as they are, and such high ones by 90 and 270 degrees too, of which a single character doesn't count.
          details: give pictures, attention and both directions' texts too.
          on_error: what to do about an image that can't be read: "raise" a ValueError that names it, or "keep" its
            place, with a Reading that has an `error`.
        """
        if orientations is not None:
            given = orientations
            orientations = tuple(given) if np.iterable(given) else ()
            if not orientations or not set(orientations) <= set(ORIENTATIONS):
                raise ValueError(f"orientations must be some of {list(ORIENTATIONS)}, not {given}")
        if on_error not in ("raise", "keep"):
            raise ValueError(f"on_error must be 'raise' or 'keep', not {on_error!r}")
        if batch_size != int(batch_size) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number, 1 or more, not {batch_size}")
        if images is None or isinstance(images, (bytes, np.ndarray)) or hasattr(images, "convert"):
            raise ValueError("expected a folder, or a list or other iterable of images; put a single image into a "
                             "list, and give a batch in one array as list(array)")
        if isinstance(images, (str, os.PathLike)):
            images = find_images([images])
        return self._recognize(iter(images), batch_size, orientations, details, on_error)

    def _recognize(self, images, batch_size, orientations, details, on_error):
        number = 0
        while True:
            chunk = list(itertools.islice(images, batch_size))
            if not chunk:
                return
            if self._closed:
                raise ValueError("this Recognizer is closed; read inside of its `with`, or before close()")
            if self._process != os.getpid():  # TensorFlow would wait for threads that did not come along
                raise ValueError("this Recognizer is another process's; make one in this process, after the fork")
            loaded = list(self._in_parts.pool.map(lambda image: self._load(image, orientations), chunk))
            for i, result in enumerate(loaded):
                if isinstance(result, ValueError):
                    name = chunk[i] if isinstance(chunk[i], (str, os.PathLike)) else "image %d" % (number + i)
                    loaded[i] = f"{name}: {result}"
                    if on_error == "raise":
                        raise ValueError(loaded[i])
            turned = [image for result in loaded if not isinstance(result, str) for _, image in result]
            readings = iter(self.recognize_preprocessed(turned, details) if turned else ())
            for result in loaded:
                if isinstance(result, str):
                    yield Reading(error=result)
                    continue
                found = [next(readings)._replace(orientation=degrees) for degrees, _ in result]
                if not orientations:  # a character may be high, but then it isn't one when it is turned
                    found = found[:1] + [reading for reading in found[1:] if len(reading.text) > 1]
                yield max(found, key=lambda reading: reading.score)
            number += len(chunk)

    def _load(self, image, orientations):
        """-> (degrees, prepared image) for each orientation that may be; or a ValueError, as a value."""
        try:
            pixels = load_image(image)
        except ValueError as error:
            return error
        return [(degrees, self._session.run(self._prepared, {self._raw: image}))
                for degrees, image in _turn(pixels, orientations)]

    def recognize_preprocessed(self, images, details=False):
        """Images [H, W, 3] as the configuration's preprocessing steps leave them -> list of Reading. Those of one width
        are read together."""
        places = {}
        for place, image in enumerate(images):
            places.setdefault(image.shape, []).append(place)
        readings = [None] * len(images)
        for same in places.values():
            for place, reading in zip(same, self._in_parts(np.stack([images[i] for i in same]), details)):
                readings[place] = reading
        return readings

    read_prepared = recognize_preprocessed  # its name in version 0.1

    def _read(self, images, details):
        readings, sequences = self._run(self._search, images, details)
        if not self._model.also_negatives and not self._word_search:
            return readings
        places = [i for i, reading in enumerate(readings) if _in_doubt(reading)]
        views, sequences = images[places], [sequence[places] for sequence in sequences]
        if places and self._model.also_negatives:
            negatives = 255 - views
            found, more = self._run(self._search, negatives, details)
            for i, reading in zip(places, found):
                if reading.score > readings[i].score:
                    readings[i] = reading._replace(image=readings[i].image)
            places, views = 2 * places, np.concatenate([views, negatives])
            sequences = [np.concatenate(both) for both in zip(sequences, more)]
        if self._word_search:
            self._prefer_words(readings, places, views, sequences, details)
        return readings

    def _prefer_words(self, readings, places, views, sequences, details):
        """Puts words into `readings`, at the places of which the views (images or their negatives) are."""
        rows = [row for row, i in enumerate(places)
                if _in_doubt(readings[i]) and not _is_number(readings[i].text)]
        if not rows:
            return
        words, _ = self._run(self._word_search, views[rows], details, [sequence[rows] for sequence in sequences])

        def preference(word):
            return word.score + self._model.word_list.bonus_per_character * len(word.probabilities)

        best = {}
        for row, word in zip(rows, words):
            best[places[row]] = max(best.get(places[row], word), word, key=preference)
        for i, word in best.items():
            if preference(word) > readings[i].score:
                readings[i] = word._replace(image=readings[i].image)

    def _run(self, search, images, details, sequences=None):
        """-> (list of Reading, sequences). The sequences of the images are made where they are not given."""
        feed = dict(zip(self._sequences, sequences or ()))
        feed[self._images] = images
        fetches = dict(search.fetches, **(search.details if details else {}))
        values, sequences = self._session.run((fetches, self._sequences), feed)
        return [self._reading(search, i, image, values, details) for i, image in enumerate(images)], sequences

    def _reading(self, search, i, image, values, details):
        best = int(values["best"][i])
        predictor = self._model.predictors[best]
        steps = predictor.charset.character_steps(values["labels"][best][i])
        steps = steps[::-1] if predictor.decoder.reverse else steps
        texts = [column[i].decode("utf-8") for column in values["texts"]]
        if search.spellings:
            texts = [words[text] for words, text in zip(search.spellings, texts)]
        reading = Reading(texts[best], float(values["score"][i]),
                          tuple(np.exp(values["log_probs"][best][i, steps]).tolist()))
        if not details:
            return reading
        names = [predictor.decoder.name for predictor in self._model.predictors]
        return reading._replace(
            texts=dict(zip(names, texts)), image=image, attention=values["attention"][best][i, steps],
            **{name: values[name][i] for name in ("control_points", "rectified") if name in values})

    def close(self):
        self._closed = True
        self._in_parts.close()
        self._session.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _in_doubt(reading):
    return reading.score < np.log(_CERTAIN)


def _is_number(text):
    return bool(text) and 2 * sum(map(str.isdigit, text)) >= len(text)


def _turn(pixels, orientations):
    """-> [(degrees, pixels turned by them)] of all that Recognizer.recognize tries."""
    def tall(image):
        return image.shape[0] >= _TALL * image.shape[1]
    default = (0, 90, 270) if tall(pixels) else (0,)
    turned = [(degrees, np.rot90(pixels, degrees // 90)) for degrees in orientations or default]
    if orientations:
        turned = [one for one in turned if not tall(one[1])] or turned
    return turned
