"""The records of one InputReader: read, decoded, judged and counted, in Python.

Python, so that every failure can be caught and named. Its parts run in threads
of tf.data, in parallel: Pillow releases the interpreter's lock.
"""
import collections
import itertools
import logging
import random
import threading
from typing import Any, NamedTuple

import numpy as np

from aster.data import example, records
from aster.data.image import decode_image

_log = logging.getLogger(__name__)
_CHUNK = 32  # records that are handled in one call from tf.data
_NO_KEYPOINTS = np.zeros([4, 2], np.float32)  # stands for two curves where there are none

# Why a record is skipped.
BROKEN_RECORD = "broken record"
BROKEN_EXAMPLE = "incomplete example"
BROKEN_IMAGE = "broken image"
EMPTY_TEXT = "empty text"
UNKNOWN_CHARACTERS = "unknown characters"


class ReadReport:
    """What happened to the records. A record is counted as skipped once, in the first epoch.

    Attributes:
      delivered: samples passed on, over all epochs.
      counts: Counter, reason (the constants of this module) -> records skipped for it.
      names: the first skipped ones, each "file: record number at byte offset: what is wrong".
      error: why there are too few samples, if this is how the data ended; otherwise None.
    """

    def __init__(self, max_names=10):
        self.delivered = 0
        self.counts = collections.Counter()
        self.names = []
        self.error = None
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
                self.names.append(f"{where}: {detail}")
                _log.warning("skipped: %s", self.names[-1])
                if len(self.names) == self._max_names:
                    _log.warning("further skipped records are counted, but not named")

    def __str__(self):
        reasons = ", ".join("%s: %d" % item for item in sorted(self.counts.items()))
        return "%d samples read, %d records skipped%s" % (
            self.delivered, self.skipped, f" ({reasons})" if reasons else "")


class DecodedRecords(NamedTuple):
    """A chunk of m decoded records, by column."""
    pixels: Any  # string [m], the bytes of a uint8 [H, W, 3]
    sizes: Any  # int32 [m, 2], H and W
    texts: Any  # string [m], UTF-8; the columns below too
    lexicons: Any
    filenames: Any
    keypoints: Any  # string [m], the bytes of a float32 [2n, 2], (x, y) in pixels
    annotated: Any  # float32 [m], 0 where the record has no key points
    wheres: Any


class Source:
    """The records of one InputReader, and the judgement on each. files: functions, each of which gives an iterator over
    the Records of one file."""

    def __init__(self, reader, files, name, batch_size, is_training, charsets, seed, report):
        self._files = files
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
        self._lock = threading.Lock()  # decode and accept run in several threads
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
                yield (strings(record.payload for record in chunk),
                       strings(b"" if epochs else utf8(record.where) for record in chunk))
            epochs += 1
            available = available or passed_on
            # Without this, an endless repeat of records that are all unusable would hang.
            if not passed_on or (not self._delivered and self._rejected >= available):
                return

    def _whole_records(self, report):
        """Yields the Records of one epoch that are not broken, and may report the others."""
        files = list(self._files)
        if self._shuffle:
            self._rng.shuffle(files)
        found = records.interleave((read() for read in files), self._num_readers)
        for record in records.shuffle(found, self._capacity, self._rng) if self._shuffle else found:
            if not record.error:
                yield record
            elif report:
                self._report_skip(BROKEN_RECORD, record.where, record.error)

    def decode(self, payloads, wheres):
        """Payloads and wheres [n] -> the columns of DecodedRecords for those [m] that can be decoded.

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
            rows.append((image.tobytes(), image.shape[:2], utf8(sample.text),
                         utf8("\t".join(sample.lexicon)), utf8(sample.filename),
                         keypoints.tobytes(), annotated, where))
        columns = DecodedRecords(*zip(*rows)) if rows else DecodedRecords(*[()] * len(DecodedRecords._fields))
        numbers = {"sizes": np.array(columns.sizes, np.int32).reshape(-1, 2),
                   "annotated": np.array(columns.annotated, np.float32)}
        return DecodedRecords(*map(strings, columns))._replace(**numbers)

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
            self._reject(UNKNOWN_CHARACTERS, where, "its text {!r} has characters outside the "
                         "character set: {}".format(text, " ".join(sorted(unknown))))
            return False
        with self._lock:
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
        """A generator of nothing, run after the last sample; ValueError if there were too few."""
        error = None
        if self._delivered < self._needed:
            error = "only %d samples could be used, expected %d or more. Skipped: %s" % (
                self._delivered, self._needed, "; ".join(self._report.names) or "none")
        elif self._is_training and not self._num_epochs:
            error = "the records that could be read before can't be read any more"
        if error:
            self._report.error = f"{self._name}: {error}"
            raise ValueError(self._report.error)
        yield from ()


def utf8(text):
    return text.encode("utf-8", "replace")


def strings(values):
    """Bytes -> a numpy array [n] as py_func takes it for strings."""
    values = list(values)
    array = np.empty([len(values)], object)
    array[:] = values
    return array
