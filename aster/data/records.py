"""TFRecord files read record by record, so that a damaged record can be named and skipped.

A record is: length (uint64, little endian), masked CRC-32C of these 8 bytes,
payload, masked CRC-32C of the payload. A damaged payload costs one record. After
a damaged length nothing says where the next record starts, so the rest of the
file is given up.
"""
import errno
import itertools
import os
import random
import struct
from typing import BinaryIO, Iterable, Iterator, List, NamedTuple, Optional, TypeVar

from aster.c_ops.ops import masked_crc32c
from aster.files import find_file, find_matches, is_no_file

Item = TypeVar("Item")

_HEADER = struct.Struct("<QI")  # length, checksum of the length
_FOOTER = struct.Struct("<I")  # checksum of the payload
# The first bytes of files that people give by mistake.
_FOREIGN_FORMATS = ((b"\x1f\x8b", "it is gzip-compressed: unpack it"),
                    (b"PK\x03\x04", "it is a zip file: unpack it"),
                    (b"\x89PNG", "it is a PNG image"), (b"\xff\xd8\xff", "it is a JPEG image"))


class Record(NamedTuple):
    """A record of a file. A damaged one has an `error` and no payload."""
    payload: Optional[bytes]
    path: str
    number: int  # from 0
    offset: Optional[int]  # of the record's header, in bytes; None where the record comes from no file
    end: Optional[int]  # offset of the next record; None where a damaged length hides it
    error: str = ""

    @property
    def where(self) -> str:
        """The place of the record, for messages: "words.tfrecord: record 3 at byte 1234"."""
        at_byte = "" if self.offset is None else f" at byte {self.offset}"
        return f"{self.path}: record {self.number}{at_byte}"


def read_records(path: str) -> Iterator[Record]:
    """Yields the records of a TFRecord file. Damaged ones come with an `error`; they raise nothing.

    Args:
      path: the file.

    Yields:
      Each Record, in the order of the file.

    Raises:
      OSError: the file can't be read.
    """
    if is_no_file(path) and not os.path.isdir(path):
        raise OSError(errno.EINVAL, "it is not a file", path)
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        number = 0
        offset: Optional[int] = 0
        while offset is not None and offset < size:
            record = _read_record(stream, path, number, offset, size)
            yield record
            number, offset = number + 1, record.end


def _read_record(stream: BinaryIO, path: str, number: int, offset: int, size: int) -> Record:
    """The Record that starts at the stream's position, which is `offset`."""
    def damaged(error, end=None):
        return Record(None, path, number, offset, end, error)

    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return damaged(f"the file ends {_HEADER.size - len(header)} bytes before the header of this record does")
    length, length_checksum = _HEADER.unpack(header)
    if masked_crc32c(header[:8]) != length_checksum:
        return damaged("its length is damaged; what follows in the file is left out")
    end = offset + _HEADER.size + length + _FOOTER.size
    if end > size:  # checked before reading, so that a huge length takes no memory
        return damaged(f"the file ends {end - size} bytes before this record does")
    payload = stream.read(length)
    footer = stream.read(_FOOTER.size)
    if len(footer) < _FOOTER.size:
        return damaged("the file became shorter while it was read")
    if masked_crc32c(payload) != _FOOTER.unpack(footer)[0]:
        return damaged("its checksum does not fit its content", end)
    return Record(payload, path, number, offset, end)


def frame_record(payload: bytes) -> bytes:
    """Returns what a TFRecord file has for a payload: its length, a checksum of that, itself, and its checksum."""
    length = struct.pack("<Q", len(payload))
    return (_HEADER.pack(len(payload), masked_crc32c(length)) + payload + _FOOTER.pack(masked_crc32c(payload)))


def find_record_files(input_path: str, base_dir: Optional[str] = None, field: str = "input_path") -> List[str]:
    """Finds the TFRecord files that a configuration names.

    Args:
      input_path: a file, a pattern such as data/*.tfrecord, or several of these separated by commas.
      base_dir: the experiment folder. Relative paths are looked up there first, then in the working directory.
      field: the configuration's name of the path, for messages.

    Returns:
      The paths; those of one pattern in the order of their names.

    Raises:
      FileNotFoundError: there is no such file. The message names the path and the field.
      ValueError: no path is given, or a file does not start with a record. The message names the path and the field.
    """
    if not input_path.strip(" ,"):
        raise ValueError(f"{field} is empty; it must name a TFRecord file")
    # A path that exists is meant as it is, even if it contains a comma or a star; and so is a folder.
    whole, folder = find_file(input_path, base_dir), os.path.dirname(input_path)
    is_one = os.path.exists(whole) or "," in folder and os.path.isdir(find_file(folder, base_dir))
    names = [input_path] if is_one else [name.strip() for name in input_path.split(",")]
    paths = []
    for name in filter(None, names):
        matches = _find_matches(name, base_dir)
        if not matches:
            folders = " and ".join(filter(None, [base_dir, os.getcwd()]))
            raise FileNotFoundError(f"{field}: no such file: {name} (looked in {folders})")
        paths.extend(matches)
    for path in paths:
        _check_record_file(path, field)
    return paths


def _find_matches(name: str, base_dir: Optional[str]) -> List[str]:
    """The file of a name, or the files that match a pattern, by the same rule as files.find_file."""
    for path in os.path.join(base_dir or "", name), name:
        matches = [path] if os.path.exists(path) else find_matches(path)
        if matches:
            return matches
    return []


def _check_record_file(path, field):
    """Raises ValueError unless the file starts with a record."""
    def refuse(reason, cause=None):
        raise ValueError(f"{field}: {path} {reason}; expected a TFRecord file, as tools/create_*_tfrecord.py "
                         "write them") from cause

    if is_no_file(path):
        refuse("is a folder" if os.path.isdir(path) else "is not a file")
    try:
        with open(path, "rb") as stream:
            start = stream.read(_HEADER.size)
    except OSError as error:
        refuse(f"can't be read ({error.strerror})", error)
    if not start:
        refuse("is empty")
    # If only the payload of the first record is damaged, this is a TFRecord file: the record is skipped later.
    first = next(read_records(path))
    if first.end is None:
        foreign = "".join(f" ({text})" for magic, text in _FOREIGN_FORMATS if start.startswith(magic))
        refuse(f"is no TFRecord file{foreign}: in its first record, {first.error}")


def interleave(iterators: Iterable[Iterator[Item]], width: int) -> Iterator[Item]:
    """Takes items from several iterators in turn.

    Args:
      iterators: each is started when its turn comes.
      width: how many of them are open at a time; at least 1 is.

    Yields:
      All items of all iterators.
    """
    waiting = iter(iterators)
    running = list(itertools.islice(waiting, max(1, width)))
    while running:
        for iterator in list(running):
            for item in iterator:
                yield item
                break
            else:  # this iterator has ended, and the next one takes its place
                running.remove(iterator)
                running.extend(itertools.islice(waiting, 1))


def shuffle(items: Iterable[Item], capacity: int, rng: random.Random) -> Iterator[Item]:
    """Puts items in random order through a buffer, without holding all of them in memory.

    Args:
      items: what is shuffled.
      capacity: size of the buffer in items; 1 keeps the order.
      rng: the source of random numbers.

    Yields:
      Each item once.
    """
    buffer: List[Item] = []
    for item in items:
        if len(buffer) < capacity:
            buffer.append(item)
        else:
            i = rng.randrange(capacity)
            yield buffer[i]
            buffer[i] = item
    rng.shuffle(buffer)
    yield from buffer
