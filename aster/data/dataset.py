"""TFRecord files -> batches, by tf.data.

    check_inputs(config.train_input_reader, ...)     # once, before any training
    stream = make_dataset(config.train_input_reader, config.train_config.batch_size, ...)
    session.run(stream.initializer)
    images, texts = session.run([stream.batch.images, stream.batch.texts])
    print(stream.report)                             # what was skipped, and why

A record that can't be used is skipped, counted and named in the log. A data
set without one usable record is an error.
"""
import functools
import json
import os
import threading
import time
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from aster.compat import copied_ahead, tf, without_autotune
from aster.data.batching import batches_of_one_width, join_readers
from aster.data.charset import Charset
from aster.data.checks import check_inputs
from aster.data.decoding import DecodedRecords, decode_chunk
from aster.data.preprocess import preprocess_sample, text_preprocessor
from aster.data.read_report import ReadReport
from aster.data.readers import find_files, named_readers, part_of
from aster.data.source import Source
from aster.data.step_image import StepImage
from aster.errors import cause

__all__ = ["Batch", "Stream", "check_inputs", "make_dataset"]

_MAX_STEPS = 1000  # of preprocessing
_FIELDS = ("images", "texts", "lexicons", "filenames", "numbers", "control_points", "keypoint_mask")  # of a sample
_PARALLEL_CALLS = max(2, len(os.sched_getaffinity(0)))


class Batch(NamedTuple):
    """Tensors of B samples.

    In training B is static; an evaluation may end with a smaller batch. If images have several widths, all images of a
    training batch have the same one, and an evaluation batch has one image.
    """
    images: tf.Tensor  # float32 [B, H, W, C], 0..255 unless a step changed that
    texts: tf.Tensor  # string [B], UTF-8, NFC
    lexicons: tf.Tensor  # string [B], words joined by tab; empty where a sample has none
    filenames: tf.Tensor  # string [B], as in the record
    # None unless asked for:
    control_points: Optional[tf.Tensor] = None  # float32 [B, K, 2], (x, y) as fractions of width and height
    keypoint_mask: Optional[tf.Tensor] = None  # float32 [B]: 1 where control_points are annotated, 0 elsewhere
    # int64 [B], the place of each in its reader's sequence of records, times the number of readers, plus the reader's
    numbers: Optional[tf.Tensor] = None


class Stream(NamedTuple):
    """A stream of batches, as `make_dataset` returns it.

    Run `initializer` first, and again to start anew. Then each run of `batch` gives the next batch, and
    tf.errors.OutOfRangeError ends the stream.
    """
    initializer: tf.Operation
    batch: Batch
    report: ReadReport
    sources: Sequence[Source]  # of each reader
    waited: tf.Tensor  # float64, the seconds for which a run of `batch` has waited until it was made
    waiting: threading.Event  # whether a run that asks for `waited` waits for its batch
    shares: Sequence[Batch] = ()  # the batch as its clones have it: each every n-th sample

    def use(self, numbers: Sequence[int]) -> None:
        """Takes note of a batch that a training has used.

        Args:
          numbers: [B], what `batch.numbers` gave.
        """
        count = len(self.sources)
        for i, source in enumerate(self.sources):
            source.use([int(number) // count for number in numbers if number % count == i])

    def place(self) -> str:
        """Returns where a training is in its data, a text for `go_to`."""
        return json.dumps([source.place() for source in self.sources])

    def go_to(self, place: str) -> bool:
        """Makes the next initialization start from a place in the data. `make_dataset` must have been given a seed.

        Args:
          place: what `place` returned.

        Returns:
          False if the place is of other readers or of another seed. The data then start from the beginning.
        """
        places = json.loads(place)
        return len(places) == len(self.sources) and all(
            source.go_to(place) for source, place in zip(self.sources, places))


def make_dataset(readers: Sequence[Any], batch_sizes: Sequence[int], steps: Sequence[Any], *, is_training: bool,
                 num_control_points: Optional[int] = None, charsets: Sequence[Charset] = (),
                 base_dir: Optional[str] = None, seed: Optional[int] = None, prefetch: int = 2,
                 part: Tuple[int, int] = (0, 1), num_shares: int = 1, copy_to: Optional[str] = None,
                 field: str = "train_input_reader") -> Stream:
    """Builds the input pipeline in the current graph.

    Args:
      readers: InputReader messages.
      batch_sizes: for each reader, the number of its samples in every batch; they stand there in this order. If images
        have several widths, each reader has its share on average: single batches have more of it, or less.
      steps: PreprocessingStep messages. They must give all images one size, or at least one height. Widths should be
        few, since a batch waits until it has enough images of one width.
      is_training: True draws records in random order where the reader says `shuffle`, for `num_epochs` (0: forever). It
        leaves out samples with an empty text (unless the reader has allow_empty_text) or, where a charset says so,
        unknown characters, and gives full batches only. False reads every record once, in the order of the files.
      num_control_points: K, which asks for `control_points` and `keypoint_mask`. The first K/2 points are spread evenly
        by arc length along the top curve, the others along the bottom curve.
      charsets: the Charset of each decoder.
      base_dir: the experiment folder, in which relative paths are looked up first.
      seed: makes the order of the records and the random steps the same in every run. If several readers have images of
        several widths, a run that goes on (`Stream.go_to`) uses the same samples, but in other batches.
      prefetch: number of batches made ahead.
      part: (index, count): which of `count` parts of the records is read, for one of several workers. The parts have no
        record in common; see `readers.part_of`.
      num_shares: how many clones share a batch. The share of each is made ahead, too; B must be a multiple.
      copy_to: the device to which batches are copied ahead; see `copied.device_to_copy_to`. None: they stay on the CPU.
      field: the configuration's name of the readers, for messages.

    Returns:
      A Stream. Running it raises tf.errors.InvalidArgumentError if there are too few usable records.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is no TFRecord file, a step can't be done, the images would not fit in one batch, or batch
        sizes and readers don't fit each other.
    """
    if len(readers) != len(batch_sizes):
        raise ValueError(f"{len(batch_sizes)} batch sizes are given for {len(readers)} of {field}; "
                         "expected one for each")
    if min(batch_sizes, default=0) < 1:
        raise ValueError(f"{field}: there must be a reader, and each batch size must be 1 or more, "
                         f"not {list(batch_sizes)}")
    report = ReadReport()
    preprocess_text = text_preprocessor(steps, base_dir)
    with tf.device("/cpu:0"), tf.name_scope("input"):
        shares, sources = [], []  # of each reader in every batch
        for i, (name, reader) in enumerate(named_readers(readers, field)):
            files = part_of(find_files(reader, base_dir, name), *part)
            name = name if part[1] == 1 else f"{name} (part {part[0] + 1} of {part[1]})"
            source = Source(reader, files, name=name, batch_size=batch_sizes[i],
                            is_training=is_training, preprocess_text=preprocess_text, report=report,
                            num_control_points=num_control_points or 0, charsets=charsets,
                            seed=None if seed is None else seed + i)
            sources.append(source)
            try:
                samples = _samples(source, steps, base_dir, num_control_points, place=(i, len(readers)))
            except ValueError as error:  # its message may be inside a stack trace of AutoGraph's
                raise ValueError(cause(error)) from error
            shares.append(batches_of_one_width(samples, batch_sizes[i], full_only=is_training))
        dataset = join_readers(shares, sum(batch_sizes), full_only=is_training)
        if num_shares > 1:
            dataset = dataset.map(lambda *batch: tuple(deal(batch, num_shares)))
        # A run may wait for a free thread, too. That is not the fault of its data, so they know when they were there.
        dataset = dataset.map(lambda *batch: (batch, tf.py_func(time.perf_counter, [], tf.float64)))
        dataset = without_autotune(dataset.prefetch(prefetch))
        if copy_to:
            dataset = copied_ahead(dataset, copy_to)
        with tf.device(copy_to or "/cpu:0"):
            iterator = dataset.make_initializable_iterator()
        waiting = threading.Event()
        asked = tf.py_func(functools.partial(_call_and_time, waiting.set), [], tf.float64)
        with tf.device(copy_to or "/cpu:0"), tf.control_dependencies([asked]):
            batches, made = iterator.get_next()
        dealt = [Batch(**dict(zip(_FIELDS, share))) for share in (batches if num_shares > 1 else [batches])]
        with tf.control_dependencies([made]):
            arrived = tf.py_func(functools.partial(_call_and_time, waiting.clear), [], tf.float64)
        with tf.control_dependencies([arrived]):
            waited = tf.maximum(made - asked, 0.0)
        for tensor in [tensor for share in dealt for tensor in share if is_training and tensor is not None]:
            tensor.set_shape([sum(batch_sizes) // num_shares] + tensor.shape.as_list()[1:])
        batch = dealt[0] if num_shares == 1 else Batch(*map(_collect, zip(*dealt)))
    return Stream(iterator.initializer, batch, report, sources, waited, waiting, dealt)


def _call_and_time(function):
    function()
    return time.perf_counter()


def deal(batch: Sequence[Any], num_shares: int) -> List[Tuple[Any, ...]]:
    """Deals the samples of a batch out.

    Args:
      batch: tensors [B, ...]; None stays None.
      num_shares: how many shares there are.

    Returns:
      The tensors of each share: every n-th sample.
    """
    return [tuple(None if tensor is None else tensor[i::num_shares] for tensor in batch) for i in range(num_shares)]


def _collect(shares):
    """[B / n, ...] of each share -> [B, ...], in the order of before `deal`."""
    if shares[0] is None:
        return None
    whole = tf.reshape(tf.stack(shares, 1), tf.concat([[-1], tf.shape(shares[0])[1:]], 0))
    size = shares[0].shape.as_list()
    whole.set_shape([size[0] and size[0] * len(shares)] + size[1:])
    return whole


def _samples(source, steps, base_dir, num_control_points, place):
    """The dataset of a Source's samples: tuples of the _FIELDS, of one sample each. `place`: (number of the reader, how
    many there are).

    Records come in chunks, since each call of Python costs as much as a small image. Only what is done to pixels goes
    image by image.
    """
    number_of_reader, num_readers = place

    def preprocess(*fields):
        record = DecodedRecords(*fields)
        image = tf.reshape(tf.decode_raw(record.pixels, tf.uint8), [record.sizes[0], record.sizes[1], 3])
        # a number is followed by the numbers of the steps
        seed = tf.stack([tf.constant(source.seed, tf.int64), record.numbers * _MAX_STEPS])
        points = record.control_points if num_control_points else None
        result = preprocess_sample(steps, StepImage(tf.cast(image, tf.float32), seed=seed, points=points), base_dir)
        number = record.numbers * num_readers + number_of_reader
        sample = (result.pixels, record.texts, record.lexicons, record.filenames, number)
        return sample + ((result.points, record.keypoint_mask) if num_control_points else ())

    dataset = tf.data.Dataset.from_generator(
        source.chunks, (tf.string, tf.string, tf.int64), (tf.TensorShape([None]),) * 3)
    dataset = dataset.map(lambda *chunk: tuple(decode_chunk(source, *chunk)), num_parallel_calls=_PARALLEL_CALLS)
    dataset = dataset.flat_map(lambda *chunk: tf.data.Dataset.from_tensor_slices(chunk))
    dataset = dataset.map(preprocess, num_parallel_calls=_PARALLEL_CALLS)
    # After the last sample comes a dataset without any, whose only use is the error that it may raise.
    end = tf.data.Dataset.from_generator(source.require_samples, dataset.output_types, dataset.output_shapes)
    return dataset.concatenate(end)
