"""The records of one InputReader: read, judged and counted.

The op library decodes plain images and ASCII texts (see `decoding`). Python
decodes the rest here, so that every failure can be caught and named. Threads
of tf.data call `Source.finish` in parallel.
"""
import random
import threading
import zlib
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

import numpy as np

from aster.c_ops import ops
from aster.data import example, records
from aster.data.charset import Charset
from aster.data.decoding import DecodedRecords
from aster.data.image import decode_image
from aster.data.keypoints import control_points
from aster.data.read_report import (
    BROKEN_EXAMPLE,
    BROKEN_IMAGE,
    BROKEN_RECORD,
    EMPTY_TEXT,
    UNKNOWN_CHARACTERS,
    ReadReport,
)
from aster.data.readers import OpenFile
from aster.errors import describe, shortened

# Records that are handled in one call from tf.data, and the bytes after which there are fewer: large images take much
# more memory when they are decoded.
_CHUNK, _CHUNK_BYTES = 64, 2 ** 18
_ASK = 255  # in a text table: Python decides


class Source:
    """Reads the records of one InputReader and decides which of them are used."""

    def __init__(self, reader: Any, files: Sequence[OpenFile], *, name: str, batch_size: int, is_training: bool,
                 preprocess_text: Callable[[str], str], report: ReadReport, num_control_points: int = 0,
                 charsets: Sequence[Charset] = (), seed: Optional[int] = None) -> None:
        """Creates a source.

        Args:
          reader: an InputReader message.
          files: as `readers.find_files` returns them.
          name: the configuration's name of the reader, for messages.
          batch_size: samples that a batch takes from this source. Training needs at least that many.
          is_training: whether records are shuffled and repeated as the reader says, and samples with an empty text
            (unless the reader allows it) or characters that a charset wants dropped are left out.
          preprocess_text: a function that does the steps which change texts.
          report: counts what is read.
          num_control_points: K.
          charsets: the Charset of each decoder.
          seed: makes the order of the records the same in every run. With a seed, the source knows which records a
            training has used (`use`), so that another run can go on from there.
        """
        self._files = files
        self._name = name
        self._is_training = is_training
        self._allow_empty_text = reader.allow_empty_text
        self._preprocess_text = preprocess_text
        self.num_control_points = num_control_points
        self._shuffle = is_training and reader.shuffle
        self._capacity = max(1, reader.queue_capacity)
        self._num_readers = reader.num_readers if self._shuffle else 1
        self._num_epochs = reader.num_epochs if is_training else 1
        self._needed = batch_size if is_training else 1
        self._strict_charsets = [charset for charset in charsets if is_training and charset.drop_unknown]
        self.batch_size = batch_size
        self.seed = random.SystemRandom().randrange(2 ** 31) if seed is None else seed
        # what a place in the sequence depends on
        self._identity = zlib.crc32(reader.SerializeToString() + f" {self.seed}".encode("ascii"))
        self._can_go_on = is_training and seed is not None
        self._next = self._first = 0
        self._pending: Set[int] = set()  # decoded and not used yet
        self._wanted: FrozenSet[int] = frozenset()  # of those before `_first`
        self._rng = random.Random(self.seed)
        self._report = report
        self._lock = threading.Lock()  # finish runs in several threads
        self._passes = 0  # times that the stream was initialized
        self._delivered = 0  # in this pass
        self._undecided: Set[int] = set()  # the first number of each chunk that is being decoded
        self._last_used = -1  # the highest number of a record that was used in this pass

    def use(self, numbers: Sequence[int]) -> None:
        """Takes note of the samples that a training has used.

        Args:
          numbers: their places in the sequence of records.
        """
        if self._can_go_on:
            with self._lock:
                self._pending.difference_update(numbers)
                self._next = max(self._next, 1 + max(numbers, default=-1))

    def place(self) -> Dict[str, Any]:
        """Returns where a training is in the sequence of records, for `go_to`: the number after the last sample that it
        has used, and the samples before that which wait for others of their width."""
        with self._lock:
            pending = sorted(number for number in self._pending if number < self._next)
        return {"identity": self._identity, "next": self._next, "pending": pending}

    def go_to(self, place: Dict[str, Any]) -> bool:
        """Makes the next pass start from a place.

        Args:
          place: what `place` returned.

        Returns:
          False if that place is of another reader or seed. The next pass starts from the beginning then.
        """
        if place["identity"] != self._identity:
            return False
        self._first = self._next = place["next"]
        self._wanted = frozenset(place["pending"])
        return True

    def chunks(self) -> Iterator[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields payloads [n], places [n] and numbers [n] of records, over all epochs.

        A place names its record for messages. After the first epoch it is empty, and the record is not reported again.
        A number is the record's place in the sequence of all epochs.

        Raises:
          Exception: what a file or a custom reader raises. The report has it in words.
        """
        try:
            yield from self._chunks()
        except Exception as error:
            if not self._report.error:  # a custom reader has named its own
                self._report.error = f"{self._name}: the records can't be read any more: {describe(error)}"
            raise

    def _chunks(self) -> Iterator[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
        self._passes += 1
        self._undecided, self._last_used = set(), -1
        self._delivered = self._needed if self._first else 0  # the run that used the records before had enough
        epoch = number = start = 0
        reported_epoch: Optional[int] = None  # the first from which this pass takes records
        while not self._num_epochs or epoch < self._num_epochs:
            last_start, start = start, number
            for chunk in _in_chunks(enumerate(self._whole_records(report=not epoch), start)):
                number = chunk[-1][0] + 1
                chunk = [item for item in chunk if item[0] >= self._first or item[0] in self._wanted]
                if chunk:
                    reported_epoch = epoch if reported_epoch is None else reported_epoch
                    is_reported = epoch == reported_epoch
                    with self._lock:
                        self._undecided.add(chunk[0][0])
                    yield (_string_array(record.payload for _, record in chunk),
                           _string_array(_utf8(record.where) if is_reported else b"" for _, record in chunk),
                           np.array([item[0] for item in chunk], np.int64))
            # An endless repeat of records that are all unusable would hang, so it ends here.
            if number == start or (epoch and self._was_useless(last_start, start)):
                return
            epoch += 1

    def _was_useless(self, start: int, end: int) -> bool:
        """Whether an epoch is decided, which lags behind `chunks`, and nothing of it or of later ones was used."""
        with self._lock:
            is_decided = all(first >= end for first in self._undecided)
            return start >= self._first and is_decided and self._last_used < start

    def _whole_records(self, report: bool) -> Iterator[records.Record]:
        """Yields the Records of one epoch that are not damaged, and may report the others."""
        files = list(self._files)
        if self._shuffle:
            self._rng.shuffle(files)
        epoch_records = records.interleave((open_file() for open_file in files), self._num_readers)
        if self._shuffle:
            epoch_records = records.shuffle(epoch_records, self._capacity, self._rng)
        try:
            for record in epoch_records:
                if not record.error:
                    yield record
                elif report:
                    self._report_skip(BROKEN_RECORD, record.where, record.error)
        except ValueError as error:  # of a custom reader
            self._report.error = f"{self._name}: {error}"
            raise

    def text_table(self) -> bytes:
        """Returns the table of ASCII characters by which `ops.decode_records` filters texts."""
        return bytes(map(self._code_of, range(128)))

    def _code_of(self, code: int) -> int:
        kept = self._preprocess_text(chr(code))
        if any(charset.unknown(kept) for charset in self._strict_charsets):
            return _ASK
        return min(ord(kept) or _ASK, _ASK) if kept else 0

    def finish(self, payloads: Sequence[bytes], places: Sequence[bytes], numbers: np.ndarray, states: np.ndarray,
               sizes: np.ndarray) -> Tuple[Any, ...]:
        """Decodes and judges what `ops.decode_records` has left of a chunk of n records, and counts all; for
        tf.py_func.

        Args:
          payloads: bytes [m] of a tf.train.Example each, those that are left.
          places: bytes [m], as `chunks` yields them.
          numbers: int64 [n], as `chunks` yields them.
          states: int32 [n], as decode_records gives them.
          sizes: int32 [n, 2], H and W of the images that are decoded.

        Returns:
          int64 [k], the indices of those that are used; and the DecodedRecords [k] as numpy arrays, whose pixels are
          empty where they are decoded already. The others are reported.
        """
        left = np.flatnonzero(states != ops.RECORD_DONE)
        self._deliver(numbers[states == ops.RECORD_DONE])
        rows, indices = [], []
        for payload, place, i in zip(payloads, places, left):
            size = sizes[i] if states[i] == ops.RECORD_TEXT_IS_LEFT else None
            row = self._decode_record(payload, place, numbers[i], size)
            if row:
                rows.append(row)
                indices.append(i)
        self._deliver([row.numbers for row in rows])
        with self._lock:
            self._undecided.discard(int(numbers[0]))
        columns = DecodedRecords(*zip(*rows)) if rows else DecodedRecords(*[()] * len(DecodedRecords._fields))
        points_shape = [len(rows), self.num_control_points, 2]
        return (np.array(indices, np.int64),) + DecodedRecords(
            pixels=_string_array(columns.pixels),
            sizes=np.array(columns.sizes, np.int32).reshape(-1, 2),
            texts=_string_array(columns.texts),
            lexicons=_string_array(columns.lexicons),
            filenames=_string_array(columns.filenames),
            control_points=np.array(columns.control_points, np.float32).reshape(points_shape),
            keypoint_mask=np.array(columns.keypoint_mask, np.float32),
            numbers=np.array(columns.numbers, np.int64))

    def _deliver(self, numbers: Sequence[int]) -> None:
        """Counts samples that are used."""
        with self._lock:
            self._delivered += len(numbers)
            self._last_used = max(self._last_used, int(max(numbers, default=-1)))
            if self._can_go_on:
                self._pending.update(map(int, numbers))
        self._report.deliver(len(numbers))

    def _decode_record(self, payload: bytes, place: bytes, number: int, size: Any) -> Optional[DecodedRecords]:
        """One row of DecodedRecords, or None where the record is not used. With a size, its image is decoded already.
        """
        reason = BROKEN_EXAMPLE
        pixels = b""
        try:
            sample = example.parse(payload)
            reason = BROKEN_IMAGE
            if size is None:
                image = decode_image(sample.encoded)
                pixels, size = image.tobytes(), image.shape[:2]
        except ValueError as error:
            self._reject(reason, place, str(error))
            return None
        text = self._preprocess_text(sample.text)
        if not self._accept(sample.text, text, place):
            return None
        points, mask = control_points(sample.keypoints, size, self.num_control_points)
        return DecodedRecords(pixels, size, _utf8(text), _utf8("\t".join(sample.lexicon)), _utf8(sample.filename),
                              points, mask, number)

    def _accept(self, given: str, text: str, place: bytes) -> bool:
        """Whether a sample of this text, as its record gives it and as the steps leave it, is used."""
        if self._is_training and not text and (given or not self._allow_empty_text):
            self._reject(EMPTY_TEXT, place, "its text is empty after string_filtering" if given else
                         "its text is empty; allow_empty_text of the reader trains on such images, too")
            return False
        unknown = set().union(*(charset.unknown(text) for charset in self._strict_charsets))
        if unknown:
            listed = shortened(" ".join(sorted(unknown)))
            self._reject(UNKNOWN_CHARACTERS, place,
                         f"its text {shortened(text)!r} has characters outside the character set: {listed}")
            return False
        return True

    def _reject(self, reason: str, place: bytes, detail: str) -> None:
        if place:  # in the first epoch
            self._report_skip(reason, place.decode("utf-8"), detail)

    def _report_skip(self, reason: str, where: str, detail: str) -> None:
        if self._passes == 1:
            self._report.skip(reason, where, detail)

    def require_samples(self) -> Iterator[Any]:
        """Yields nothing. tf.data runs it after the last sample.

        Raises:
          ValueError: there were too few samples.
        """
        error = None
        if self._delivered < self._needed:
            error = (f"only {self._delivered} samples could be used, expected {self._needed} or more. Skipped: "
                     + ("; ".join(self._report.names) or "none"))
        elif self._is_training and not self._num_epochs:
            error = "the records that could be read before can't be read any more"
        if error:
            # what a custom reader raised comes first: TensorFlow 1.4 goes on to here after it
            self._report.error = self._report.error or f"{self._name}: {error}"
            raise ValueError(self._report.error)
        yield from ()


def _in_chunks(numbered: Iterator[Tuple[int, records.Record]]) -> Iterator[List[Tuple[int, records.Record]]]:
    """Yields lists of numbered records."""
    chunk: List[Tuple[int, records.Record]] = []
    size = 0
    for item in numbered:
        chunk.append(item)
        size += len(item[1].payload or b"")
        if len(chunk) == _CHUNK or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _string_array(strings: Iterable[Any]) -> np.ndarray:
    """Bytes -> a numpy array [n] as py_func takes it. numpy's own type of strings would cut zeros off their ends."""
    strings = list(strings)
    array = np.empty([len(strings)], object)
    array[:] = strings
    return array
