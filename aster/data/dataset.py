"""TFRecord files -> batches, by tf.data.

    check_inputs(config.train_input_reader, ...)     # once, before any training
    stream = make_dataset(config.train_input_reader, config.train_config.batch_size, ...)
    session.run(stream.initializer)
    images, texts = session.run([stream.batch.images, stream.batch.texts])
    print(stream.report)                             # what was skipped, and why

A record that can't be used is skipped, counted and named in the log; a data
set without one usable record is an error. Reading and decoding are Python, so
that every failure can be caught and named; Pillow releases the interpreter's
lock, and the map is parallel.
"""
import collections
import itertools
import logging
import os
import random
import threading
from typing import Any, NamedTuple, Optional

import numpy as np

from aster.c_ops import ops
from aster.compat import tf
from aster.data import example, records
from aster.data.image import decode_image
from aster.data.preprocess import preprocess_image, preprocess_text

_log = logging.getLogger(__name__)
_PARALLEL_CALLS = min(16, max(2, os.cpu_count() or 2))
_CHUNK = 16  # records that Python handles in one call
_NO_KEYPOINTS = np.zeros([4, 2], np.float32)  # stands for two curves where there are none

BROKEN_RECORD = "broken record"
BROKEN_EXAMPLE = "incomplete example"
BROKEN_IMAGE = "broken image"
EMPTY_TEXT = "empty text"
UNKNOWN_CHARACTERS = "unknown characters"


class Batch(NamedTuple):
    """Tensors of B samples. B is static in training; the last batch of an evaluation may be smaller."""
    images: Any  # float32 [B, H, W, C], 0..255 unless a step changed that
    texts: Any  # string [B], UTF-8, NFC
    lexicons: Any  # string [B], words joined by tab; empty where a sample has none
    filenames: Any  # string [B], as in the record
    # Only where asked for, otherwise None:
    control_points: Any = None  # float32 [B, K, 2], (x, y) as fractions of width and height
    keypoint_mask: Any = None  # float32 [B]: 1 where control_points are annotated, 0 elsewhere


class Stream(NamedTuple):
    """What `make_dataset` returns. Run `initializer` first (again: from the start); then each run
    of `batch` gives the next one, and tf.errors.OutOfRangeError ends it."""
    initializer: Any
    batch: Batch
    report: "ReadReport"


class ReadReport(object):
    """What happened to the records. A record is counted as skipped once, in the first epoch.

    Attributes:
      delivered: samples passed on, over all epochs.
      counts: Counter, reason (the constants of this module) -> records skipped for it.
      names: the first of the skipped ones, each "file: record number at byte offset: what is wrong".
    """

    def __init__(self, max_names=10):
        self.delivered = 0
        self.counts = collections.Counter()
        self.names = []
        self._max_names = max_names
        self._lock = threading.Lock()

    @property
    def skipped(self):
        return sum(self.counts.values())

    def deliver(self):
        with self._lock:
            self.delivered += 1

    def skip(self, reason, where, detail):
        with self._lock:
            self.counts[reason] += 1
            if len(self.names) < self._max_names:
                self.names.append("%s: %s" % (where, detail))
                _log.warning("skipped: %s", self.names[-1])
                if len(self.names) == self._max_names:
                    _log.warning("further skipped records are counted, but not named")

    def __str__(self):
        reasons = ", ".join("%s: %d" % item for item in sorted(self.counts.items()))
        return "%d samples read, %d records skipped%s" % (
            self.delivered, self.skipped, " (%s)" % reasons if reasons else "")


def check_inputs(readers, steps=(), charsets=(), base_dir=None, field="train_input_reader",
                 max_texts=5000):
    """Looks at the data before any training, and reports characters that the charset lacks.

    Reads until each reader has given one usable sample, and the texts of its first
    `max_texts` records.

    Args:
      readers: InputReader messages.
      steps: PreprocessingStep messages; those that change the text are done before it is judged.
      charsets: the Charset of each decoder.
      base_dir: folder from which relative paths are looked up too.
      field: the config's name of the readers, for messages.

    Returns:
      Counter: character that some charset lacks -> times seen.
      Raises FileNotFoundError or ValueError for a file that is missing, empty or no TFRecord
      file, and for a reader without one usable record.
    """
    unknown = collections.Counter()
    for name, reader in _named(readers, field):
        paths = _find_paths(reader, base_dir, name)
        texts = _filter_texts(_scan(paths, name, max_texts), steps, base_dir)
        for charset in charsets:
            found = collections.Counter(c for text in texts for c in charset.unknown(text))
            samples = sum(bool(charset.unknown(text)) for text in texts)
            if found:
                _log.warning("%s", _describe_unknown(name, charset, found, samples, len(texts)))
            unknown |= found
    return unknown


def make_dataset(readers, batch_sizes, steps, is_training, num_control_points=None, charsets=(),
                 base_dir=None, seed=None, prefetch=2, field="train_input_reader"):
    """Builds the input pipeline in the current graph.

    Args:
      readers: InputReader messages.
      batch_sizes: for each reader, its samples in every batch; their shares come in this order.
      steps: PreprocessingStep messages, which must leave all images in one size.
      is_training: draw in random order where the reader says `shuffle`, for `num_epochs` (0:
        forever); leave out samples with an empty text or, where a charset says so, unknown
        characters; full batches only. Otherwise every record once, in the order of the files.
      num_control_points: K; asks for `control_points` and `keypoint_mask`. The first K/2 are
        spread evenly by arc length along the top curve, the others along the bottom.
      charsets: the Charset of each decoder.
      base_dir: folder from which relative paths are looked up too.
      seed: makes the order of the records the same in every run (not the random steps).
      prefetch: batches made ahead.
      field: the config's name of the readers, for messages.

    Returns:
      a Stream. Raises what `check_inputs` raises for files; running it raises
      tf.errors.InvalidArgumentError where no record can be used.
    """
    if len(readers) != len(batch_sizes):
        raise ValueError("%d batch sizes are given for %d of %s; expected one for each"
                         % (len(batch_sizes), len(readers), field))
    if min(batch_sizes, default=0) < 1:
        raise ValueError("%s: there must be a reader, and each batch size must be 1 or more, not %s"
                         % (field, list(batch_sizes)))
    report = ReadReport()
    with tf.device("/cpu:0"), tf.name_scope("input"):
        parts = []
        for i, (name, reader) in enumerate(_named(readers, field)):
            source = _Source(reader, _find_paths(reader, base_dir, name), name, batch_sizes[i],
                             is_training, charsets, None if seed is None else seed + i, report)
            samples = _samples(source, steps, num_control_points, base_dir)
            parts.append(_batches(samples, batch_sizes[i], full_only=is_training))
        dataset = tf.data.Dataset.zip(tuple(parts)).map(
            lambda *shares: tuple(tf.concat(values, 0) for values in zip(*shares)))
        iterator = dataset.prefetch(prefetch).make_initializable_iterator()
        batch = Batch(*iterator.get_next())
    if is_training:
        for tensor in filter(lambda t: t is not None, batch):
            tensor.set_shape([sum(batch_sizes)] + tensor.shape.as_list()[1:])
    return Stream(iterator.initializer, batch, report)


class _Source(object):
    """The records of one InputReader, and the judgement on each."""

    def __init__(self, reader, paths, name, batch_size, is_training, charsets, seed, report):
        self._paths = paths
        self._name = name
        self._is_training = is_training
        self._shuffle = is_training and reader.shuffle
        self._capacity = max(1, reader.queue_capacity)
        self._num_readers = reader.num_readers if self._shuffle else 1
        self._num_epochs = reader.num_epochs if is_training else 1
        self._needed = batch_size if is_training else 1
        self._strict_charsets = [c for c in charsets if is_training and c.drop_unknown]
        self._rng = random.Random(seed)
        self._report = report
        self._lock = threading.Lock()  # decode runs in several threads
        self._passes = 0  # times that the stream was initialized
        self._delivered = self._rejected = 0  # in this pass; rejected: only in its first epoch

    def chunks(self):
        """Yields payloads [n] and wheres [n] over all epochs; a `where` names a record in the first
        epoch, and is empty later."""
        self._passes += 1
        self._delivered = self._rejected = 0
        epochs = available = 0
        while not self._num_epochs or epochs < self._num_epochs:
            found = self._whole_records(report=not epochs)
            passed_on = 0
            for chunk in iter(lambda: list(itertools.islice(found, _CHUNK)), []):
                passed_on += len(chunk)
                yield (_strings(record.payload for record in chunk),
                       _strings(b"" if epochs else _utf8(record.where) for record in chunk))
            epochs += 1
            available = available or passed_on
            # Without this, an endless repeat of records that are all unusable would hang.
            if not passed_on or (not self._delivered and self._rejected >= available):
                return

    def _whole_records(self, report):
        """Yields the Records of one epoch that are not broken, and may report the others."""
        paths = list(self._paths)
        if self._shuffle:
            self._rng.shuffle(paths)
        found = records.interleave((records.read_records(path) for path in paths),
                                   self._num_readers)
        for record in records.shuffle(found, self._capacity, self._rng) if self._shuffle else found:
            if not record.error:
                yield record
            elif report:
                self._report_skip(BROKEN_RECORD, record.where, record.error)

    def decode(self, payloads, wheres):
        """Payloads and wheres [n] -> the columns of _Decoded for those [m] that can be decoded.

        For tf.py_func. Pixels and key points differ in number, so they travel as strings.
        """
        rows = []
        for payload, where in zip(payloads, wheres):
            reason = BROKEN_EXAMPLE
            try:
                sample = example.parse(payload)
                reason = BROKEN_IMAGE
                image = decode_image(sample.encoded)
            except ValueError as error:
                self._reject(reason, where, str(error))
                continue
            annotated = sample.keypoints is not None
            keypoints = sample.keypoints if annotated else _NO_KEYPOINTS
            rows.append((image.tobytes(), image.shape[:2], _utf8(sample.text),
                         _utf8("\t".join(sample.lexicon)), _utf8(sample.filename),
                         keypoints.tobytes(), annotated, where))
        columns = _Decoded(*zip(*rows)) if rows else _Decoded(*[()] * len(_Decoded._fields))
        numbers = {"sizes": np.array(columns.sizes, np.int32).reshape(-1, 2),
                   "annotated": np.array(columns.annotated, np.float32)}
        return _Decoded(*map(_strings, columns))._replace(**numbers)

    def accept(self, texts, wheres):
        """Texts [m] after the steps -> bool [m]: whether the sample is used; the last judgement.
        For tf.py_func."""
        return np.array([self._accept(text.decode("utf-8"), where)
                         for text, where in zip(texts, wheres)], np.bool_)

    def _accept(self, text, where):
        if self._is_training and not text:
            self._reject(EMPTY_TEXT, where, "its text is empty, or empty after string_filtering")
            return False
        unknown = set().union(*(charset.unknown(text) for charset in self._strict_charsets))
        if unknown:
            self._reject(UNKNOWN_CHARACTERS, where, "its text %r has characters outside the "
                         "character set: %s" % (text, " ".join(sorted(unknown))))
            return False
        self._delivered += 1
        self._report.deliver()
        return True

    def _reject(self, reason, where, detail):
        if where:  # first epoch
            with self._lock:
                self._rejected += 1
            self._report_skip(reason, where.decode("utf-8"), detail)

    def _report_skip(self, reason, where, detail):
        if self._passes == 1:
            self._report.skip(reason, where, detail)

    def require_samples(self):
        """A generator of nothing, run after the last sample: raises ValueError if there were too few."""
        if self._delivered < self._needed:
            raise ValueError("%s: only %d samples could be used, expected %d or more. Skipped: %s" % (
                self._name, self._delivered, self._needed, "; ".join(self._report.names) or "none"))
        if self._is_training and not self._num_epochs:
            raise ValueError("%s: the records that could be read before can't be read any more"
                             % self._name)
        yield from ()


class _Decoded(NamedTuple):
    """A chunk of m decoded records, by column."""
    pixels: Any  # string [m], the bytes of a uint8 [H, W, 3]
    sizes: Any  # int32 [m, 2], H and W
    texts: Any  # string [m], UTF-8; the columns below too
    lexicons: Any
    filenames: Any
    keypoints: Any  # string [m], the bytes of a float32 [2n, 2], (x, y) in pixels
    annotated: Any  # float32 [m], 0 where the record has no key points
    wheres: Any


def _samples(source, steps, num_control_points, base_dir):
    """The dataset of the samples of one source, each with the fields of a Batch without its first
    dimension, in a tuple.

    Python is called once for a chunk of records, since each call costs as much as a small image;
    only what is done to pixels goes image by image.
    """
    def decode(payloads, wheres):
        types = _Decoded(*[tf.string] * len(_Decoded._fields))
        types = types._replace(sizes=tf.int32, annotated=tf.float32)
        chunk = _Decoded(*tf.py_func(source.decode, [payloads, wheres], list(types)))
        for name, column in zip(chunk._fields, chunk):
            column.set_shape([None, 2] if name == "sizes" else [None])
        chunk = chunk._replace(texts=preprocess_text(steps, chunk.texts, base_dir))
        accepted = tf.py_func(source.accept, [chunk.texts, chunk.wheres], tf.bool)
        accepted.set_shape([None])
        return tuple(tf.boolean_mask(column, accepted) for column in chunk)

    def prepare(*columns):
        record = _Decoded(*columns)
        image = tf.reshape(tf.decode_raw(record.pixels, tf.uint8),
                           [record.sizes[0], record.sizes[1], 3])
        sample = (preprocess_image(steps, image), record.texts, record.lexicons, record.filenames)
        if num_control_points:
            sample += _control_points(record, num_control_points)
        return sample

    dataset = tf.data.Dataset.from_generator(
        source.chunks, (tf.string, tf.string), (tf.TensorShape([None]), tf.TensorShape([None])))
    dataset = dataset.map(decode, num_parallel_calls=_PARALLEL_CALLS)
    dataset = dataset.flat_map(lambda *chunk: tf.data.Dataset.from_tensor_slices(chunk))
    dataset = dataset.map(prepare, num_parallel_calls=_PARALLEL_CALLS)
    check = tf.data.Dataset.from_generator(source.require_samples, dataset.output_types,
                                           dataset.output_shapes)
    return dataset.concatenate(check)


def _control_points(record, num_points):
    """One record of _Decoded -> control points [K, 2] as fractions of width and height, and whether
    they are annotated, 1 or 0."""
    curves = tf.reshape(tf.decode_raw(record.keypoints, tf.float32), [-1, 2])
    n = tf.shape(curves)[0] // 2
    points = tf.concat([ops.divide_curve(curves[:n], num_points // 2),
                        ops.divide_curve(curves[n:], num_points // 2)], 0)
    points.set_shape([num_points, 2])
    return points / tf.cast(record.sizes[::-1], tf.float32), record.annotated


def _utf8(text):
    return text.encode("utf-8", "replace")


def _strings(values):
    """Bytes -> a numpy array [n] as py_func takes it for strings."""
    values = list(values)
    array = np.empty([len(values)], object)
    array[:] = values
    return array


def _batches(samples, batch_size, full_only):
    shape = samples.output_shapes[0]
    if batch_size > 1 and not shape.is_fully_defined():
        raise ValueError("the preprocessing steps leave images of different sizes, which can't be "
                         "put in one batch; add a resize_image step (or resize_image_random_method)")
    batches = samples.batch(batch_size)
    if full_only:
        batches = batches.filter(lambda *tensors: tf.equal(tf.shape(tensors[0])[0], batch_size))
    return batches


def _named(readers, field):
    """[("train_input_reader", reader)], with an index where there are several."""
    return [(field if len(readers) == 1 else "%s[%d]" % (field, i), reader)
            for i, reader in enumerate(readers)]


def _find_paths(reader, base_dir, name):
    if reader.WhichOneof("input_reader") != "tf_record_input_reader":
        raise ValueError("%s: set tf_record_input_reader { input_path: ... }; no other kind of "
                         "reader is built in" % name)
    return records.find_record_files(reader.tf_record_input_reader.input_path, base_dir,
                                     name + ".tf_record_input_reader.input_path")


def _scan(paths, name, max_texts):
    """The texts of the first records, and of more until one is usable; ValueError if none is."""
    texts, problems, usable = [], [], False
    found = records.interleave((records.read_records(path) for path in paths), 16)
    for i, record in enumerate(found):
        if usable and i >= max_texts:
            break
        try:
            if record.error:
                raise ValueError(record.error)
            sample = example.parse(record.payload)
            if not usable:
                decode_image(sample.encoded)
            usable = True
            texts.append(sample.text)
        except ValueError as error:
            problems.append("%s: %s" % (record.where, error))
    if not usable:
        raise ValueError("%s: none of the %d records can be used; the first: %s"
                         % (name, len(problems), problems[0]))
    return texts


def _filter_texts(texts, steps, base_dir):
    """Texts as the steps leave them."""
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.string, [None])
        filtered = preprocess_text(steps, given, base_dir)
        encoded = _strings(map(_utf8, texts))
        return [text.decode("utf-8") for text in session.run(filtered, {given: encoded})]


def _describe_unknown(name, charset, found, samples, total):
    most = ", ".join("%r (U+%04X) x %d" % (c, ord(c), n) for c, n in found.most_common(20))
    fate = ("samples with such characters are left out of training" if charset.drop_unknown else
            "they become %r; label_map.unknown_characters: DROP_SAMPLE leaves such samples out"
            % charset.decode([charset.unk_label]))
    return "%s: %d of the %d texts looked at have characters outside the character set: %s; %s" % (
        name, samples, total, most, fate)
