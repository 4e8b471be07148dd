"""InputReader messages -> streams of records, from TFRecord files or from a function of the user's own."""
import functools
import itertools
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

from aster import custom
from aster.data import example, records
from aster.errors import describe

_MANY_FILES = 8  # in each part: then it matters little that some parts have one more
_END = object()  # what follows the last sample

# Starts an iterator over the records of one file, from its beginning.
OpenFile = Callable[[], Iterator[records.Record]]


def named_readers(readers: Sequence[Any], field: str) -> List[Tuple[str, Any]]:
    """Pairs each InputReader message with its name for messages: "train_input_reader[1]", or without an index if it is
    the only one."""
    return [(field if len(readers) == 1 else f"{field}[{i}]", reader) for i, reader in enumerate(readers)]


def find_files(reader: Any, base_dir: Optional[str], name: str) -> List[OpenFile]:
    """Finds the files of a reader and checks that they are TFRecord files.

    Args:
      reader: an InputReader message.
      base_dir: the experiment folder, in which relative paths and the modules of custom readers are looked up first.
      name: the configuration's name of the reader, for messages.

    Returns:
      A function for each file. It starts an iterator over the file's Records. A custom reader counts as one file.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a file is no TFRecord file, the custom reader can't be built, or the kind of reader is another one.
    """
    kind = reader.WhichOneof("input_reader")
    if kind == "custom":
        samples = custom.build(reader.custom, base_dir)
        return [functools.partial(_custom_records, samples, reader.custom.factory)]
    if kind != "tf_record_input_reader":
        raise ValueError(f"{name}: set tf_record_input_reader {{ input_path: ... }} or custom {{ factory: ... }}; no "
                         "other kind of reader is built in")
    paths = records.find_record_files(reader.tf_record_input_reader.input_path, base_dir,
                                      name + ".tf_record_input_reader.input_path")
    return [functools.partial(records.read_records, path) for path in paths]


def part_of(files: Sequence[OpenFile], index: int, count: int) -> List[OpenFile]:
    """Takes one of several parts of the records, which have none in common.

    A part is whole files, if each part gets the same number of files, or at least eight. Otherwise it is every n-th
    record of every file.

    Args:
      files: as `find_files` returns them.
      index: which part, from 0.
      count: the number of parts.

    Returns:
      The files of the part, as `find_files` returns them.
    """
    if len(files) % count == 0 or len(files) >= _MANY_FILES * count:
        return list(files[index::count])
    return [functools.partial(_every_nth, open_file, index, count) for open_file in files]


def _every_nth(open_file: OpenFile, index: int, count: int) -> Iterator[records.Record]:
    return itertools.islice(open_file(), index, None, count)


def _custom_records(samples: Callable[[], Iterator[example.Sample]], factory: str) -> Iterator[records.Record]:
    """Yields a Record of each Sample that the function of a custom reader gives."""
    samples_of_epoch = custom.call(factory, lambda: iter(samples()))
    for number in itertools.count():
        sample = custom.call(factory, next, samples_of_epoch, _END)
        if sample is _END:
            return
        if not isinstance(sample, example.Sample):
            raise ValueError(f"factory {factory!r}: its function gave {sample!r}; expected aster.data.example.Sample")
        try:
            payload = example.serialize(sample)
        except Exception as error:  # whatever a wrong type of a field brings
            raise ValueError(f"factory {factory!r}: sample {number} of its function is no word: {describe(error)}; "
                             "expected a Sample of encoded: bytes, text: str, lexicon: strs, keypoints: an array or "
                             "None, filename: str") from error
        yield records.Record(payload, path=factory, number=number, offset=None, end=None)
