"""TFRecord files -> batches, by tf.data.

    check_inputs(config.train_input_reader, ...)     # once, before any training
    stream = make_dataset(config.train_input_reader, config.train_config.batch_size, ...)
    session.run(stream.initializer)
    images, texts = session.run([stream.batch.images, stream.batch.texts])
    print(stream.report)                             # what was skipped, and why

A record that can't be used is skipped, counted and named in the log; a data
set without one usable record is an error.
"""
import collections
import functools
import logging
import os
from typing import Any, NamedTuple

from aster import custom
from aster.c_ops import ops
from aster.compat import group_by_window, tf, without_autotune
from aster.data import example, records
from aster.data.image import decode_image
from aster.data.preprocess import preprocess_image, preprocess_text
from aster.data.source import DecodedRecords, ReadReport, Source, strings, utf8

_log = logging.getLogger(__name__)
_PARALLEL_CALLS = min(16, max(2, os.cpu_count() or 2))


class Batch(NamedTuple):
    """Tensors of B samples. B is static in training; an evaluation may end with a smaller batch. Where images have
    several widths, a batch of training has one of them, and a batch of evaluation has one image."""
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
    report: ReadReport


def check_inputs(readers, steps=(), charsets=(), base_dir=None, field="train_input_reader",
                 max_texts=5000, is_training=True, max_characters=None):
    """Looks at the data before any training; reports characters that the charset lacks and texts that are too long.

    Reads until each reader has given one usable sample, and the texts of its first
    `max_texts` records.

    Args:
      readers: InputReader messages.
      steps: PreprocessingStep messages; those that change the text are done before it is judged.
      charsets: the Charset of each decoder.
      base_dir: folder from which relative paths are looked up too.
      field: the config's name of the readers, for messages.
      is_training: otherwise a character counts as lacking only if it is compared, and in neither case.
      max_characters: of the longest text that the model can learn; None: any.

    Returns:
      Counter: character that some charset lacks -> times seen.
      Raises FileNotFoundError or ValueError for a file that is missing, empty or no TFRecord
      file, and for a reader without one usable record.
    """
    unknown = collections.Counter()
    for name, reader in _named(readers, field):
        files = _find_files(reader, base_dir, name)
        texts = _filter_texts(_scan(files, name, max_texts), steps, base_dir)
        too_long = sum(len(text) > max_characters for text in texts) if max_characters else 0
        if too_long:
            _log.warning("%s: %d of the %d texts looked at are longer than the %d characters that max_num_steps leaves "
                         "room for; %s", name, too_long, len(texts), max_characters,
                         "their ends are not learnt" if is_training else "they can't be read to their end")
        different = {(charset.characters, charset.drop_unknown): charset for charset in charsets}
        for charset in different.values():
            lacking = [charset.unknown(text) if is_training else _unreadable(charset, text) for text in texts]
            found = collections.Counter(c for characters in lacking for c in characters)
            if found:
                _log.warning("%s", _describe_unknown(name, charset, found, sum(map(bool, lacking)), len(texts),
                                                     is_training))
            unknown |= found
    return unknown


def make_dataset(readers, batch_sizes, steps, is_training, num_control_points=None, charsets=(),
                 base_dir=None, seed=None, prefetch=2, field="train_input_reader"):
    """Builds the input pipeline in the current graph.

    Args:
      readers: InputReader messages.
      batch_sizes: for each reader, its samples in every batch; their shares come in this order.
      steps: PreprocessingStep messages, which must leave all images in one size, or at least in one height; of several
        widths there should be few, since a batch waits until it has enough images of one.
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
        raise ValueError(f"{field}: there must be a reader, and each batch size must be 1 or more, not {list(batch_sizes)}")
    report = ReadReport()
    with tf.device("/cpu:0"), tf.name_scope("input"):
        parts = []
        for i, (name, reader) in enumerate(_named(readers, field)):
            source = Source(reader, _find_files(reader, base_dir, name), name, batch_sizes[i],
                            is_training, charsets, None if seed is None else seed + i, report)
            samples = _samples(source, steps, num_control_points, base_dir)
            parts.append(_batches(samples, batch_sizes[i], full_only=is_training))
            if len(readers) > 1 and parts[-1].output_shapes[0].as_list()[2] is None:
                raise ValueError(f"{field}: images of several widths can't come from several readers; name all files in the "
                                 "input_path of one")
        dataset = tf.data.Dataset.zip(tuple(parts)).map(
            lambda *shares: tuple(tf.concat(values, 0) for values in zip(*shares)))
        iterator = without_autotune(dataset.prefetch(prefetch)).make_initializable_iterator()
        batch = Batch(*iterator.get_next())
    if is_training:
        for tensor in filter(lambda t: t is not None, batch):
            tensor.set_shape([sum(batch_sizes)] + tensor.shape.as_list()[1:])
    return Stream(iterator.initializer, batch, report)


def _samples(source, steps, num_control_points, base_dir):
    """The dataset of the samples of a Source: tuples of the fields of a Batch, of one sample each.

    Python is called once for a chunk of records, since each call costs as much as a small image;
    only what is done to pixels goes image by image.
    """
    def decode(payloads, wheres):
        types = DecodedRecords(*[tf.string] * len(DecodedRecords._fields))
        types = types._replace(sizes=tf.int32, annotated=tf.float32)
        chunk = DecodedRecords(*tf.py_func(source.decode, [payloads, wheres], list(types)))
        for name, column in zip(chunk._fields, chunk):
            column.set_shape([None, 2] if name == "sizes" else [None])
        chunk = chunk._replace(texts=preprocess_text(steps, chunk.texts, base_dir))
        accepted = tf.py_func(source.accept, [chunk.texts, chunk.wheres], tf.bool)
        accepted.set_shape([None])
        indices = tf.reshape(tf.where(accepted), [-1])
        return tuple(tf.gather(column, indices) for column in chunk)

    def prepare(*columns):
        record = DecodedRecords(*columns)
        image = tf.reshape(tf.decode_raw(record.pixels, tf.uint8),
                           [record.sizes[0], record.sizes[1], 3])
        sample = (preprocess_image(steps, image, base_dir), record.texts, record.lexicons, record.filenames)
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
    """One record of DecodedRecords -> control points [K, 2] as fractions of width and height, and whether
    they are annotated, 1 or 0."""
    curves = tf.reshape(tf.decode_raw(record.keypoints, tf.float32), [-1, 2])
    n = tf.shape(curves)[0] // 2
    points = tf.concat([ops.divide_curve(curves[:n], num_points // 2),
                        ops.divide_curve(curves[n:], num_points // 2)], 0)
    points.set_shape([num_points, 2])
    return points / tf.cast(record.sizes[::-1], tf.float32), record.annotated


def _batches(samples, batch_size, full_only):
    height, width, channels = samples.output_shapes[0].as_list()
    if batch_size > 1 and None in (height, channels):
        raise ValueError("the preprocessing steps leave images of different heights, which can't be in one batch; add "
                         "a resize_image or resize_image_keeping_aspect step")
    if width:
        batches = samples.batch(batch_size)
    elif full_only:
        batches = samples.apply(group_by_window(lambda image, *_: tf.cast(tf.shape(image)[1], tf.int64),
                                                lambda _, window: window.batch(batch_size), batch_size))
    else:
        batches = samples.batch(1)  # keeps the order of the records
    if full_only:
        batches = batches.filter(lambda *tensors: tf.equal(tf.shape(tensors[0])[0], batch_size))
    return batches


def _named(readers, field):
    """[("train_input_reader", reader)], with an index where there are several."""
    return [(field if len(readers) == 1 else "%s[%d]" % (field, i), reader)
            for i, reader in enumerate(readers)]


def _find_files(reader, base_dir, name):
    """Functions, each of which gives an iterator over the Records of one file."""
    kind = reader.WhichOneof("input_reader")
    if kind == "custom":
        samples = custom.build(reader.custom, base_dir)
        return [functools.partial(_own_records, samples, reader.custom.factory)]
    if kind != "tf_record_input_reader":
        raise ValueError(f"{name}: set tf_record_input_reader {{ input_path: ... }} or custom {{ factory: ... }}; no other kind "
                         "of reader is built in")
    paths = records.find_record_files(reader.tf_record_input_reader.input_path, base_dir,
                                      name + ".tf_record_input_reader.input_path")
    return [functools.partial(records.read_records, path) for path in paths]


def _own_records(samples, factory):
    """Yields a Record of each Sample that the function of a custom reader gives."""
    for number, sample in enumerate(samples()):
        if not isinstance(sample, example.Sample):
            raise ValueError(f"factory {factory!r}: its function gave {sample!r}; expected aster.data.example.Sample")
        yield records.Record(example.serialize(sample), factory, number, None, None)


def _scan(files, name, max_texts):
    """The texts of the first records, and of more until one is usable; ValueError if none is."""
    texts, problems, usable = [], [], False
    found = records.interleave((read() for read in files), 16)
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
            problems.append(f"{record.where}: {error}")
    if not usable:
        raise ValueError("%s: none of the %d records can be used; the first: %s"
                         % (name, len(problems), problems[0]))
    return texts


def _filter_texts(texts, steps, base_dir):
    """Texts as the steps leave them."""
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.string, [None])
        filtered = preprocess_text(steps, given, base_dir)
        encoded = strings(map(utf8, texts))
        return [text.decode("utf-8") for text in session.run(filtered, {given: encoded})]


def _unreadable(charset, text):
    """Letters and digits of a text that the charset has neither in upper nor in lower case."""
    return {c for c in charset.unknown(text)
            if c.isalnum() and charset.unknown(c.lower()) and charset.unknown(c.upper())}


def _describe_unknown(name, charset, found, samples, total, is_training):
    most = ", ".join("%r (U+%04X) x %d" % (c, ord(c), n) for c, n in found.most_common(10))
    fate = ("the model can't read them" if not is_training else
            "samples with such characters are left out of training" if charset.drop_unknown else
            f"they become {charset.decode([charset.unk_label])!r}; label_map.unknown_characters: DROP_SAMPLE leaves such samples out")
    return "%s: %d of the %d texts looked at have characters outside the character set: %s; %s" % (
        name, samples, total, most, fate)
