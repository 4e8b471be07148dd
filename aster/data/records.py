"""TFRecord files read record by record, so that a damaged one can be named and skipped.

A record is: length (uint64, little endian), masked CRC-32C of these 8 bytes,
payload, masked CRC-32C of the payload. A wrong payload costs one record. After
a wrong length nothing says where the next record starts, so the rest of the
file is given up.
"""
import glob
import itertools
import os
import struct
from typing import NamedTuple, Optional

from aster.c_ops.ops import masked_crc32c
from aster.data.charset import find_file

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
# Bytes that start files which people give by mistake.
_FOREIGN_FORMATS = ((b"\x1f\x8b", "it is gzip-compressed: unpack it"),
                    (b"PK\x03\x04", "it is a zip file: unpack it"),
                    (b"\x89PNG", "it is a PNG image"), (b"\xff\xd8\xff", "it is a JPEG image"))


class Record(NamedTuple):
    """One record of a file, or (with `error` set, and no payload) a place where one is broken."""
    payload: Optional[bytes]
    path: str
    number: int  # from 0
    offset: Optional[int]  # in bytes, of the record's header; None where it comes from no file
    end: Optional[int]  # offset of the next record; None where a broken length hides it
    error: str = ""

    @property
    def where(self):
        at = "" if self.offset is None else " at byte %d" % self.offset
        return "%s: record %d%s" % (self.path, self.number, at)


def read_records(path):
    """Yields each Record of a file. Broken ones come with an `error`; never raises for them."""
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        number = offset = 0
        while offset is not None and offset < size:
            record = _read_record(stream, path, number, offset, size)
            yield record
            number, offset = number + 1, record.end


def _read_record(stream, path, number, offset, size):
    """The Record that starts at the stream's position, which is `offset`."""
    def broken(error, end=None):
        return Record(None, path, number, offset, end, error)

    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return broken("the file ends in the header of this record")
    length, length_crc = _HEADER.unpack(header)
    if masked_crc32c(header[:8]) != length_crc:
        return broken("its length is damaged; what follows in the file is left out")
    end = offset + _HEADER.size + length + _FOOTER.size
    if end > size:  # seen before reading, so that a huge length takes no memory
        return broken("the file ends %d bytes before this record does" % (end - size))
    payload = stream.read(length)
    footer = stream.read(_FOOTER.size)
    if len(footer) < _FOOTER.size:
        return broken("the file became shorter while it was read")
    if masked_crc32c(payload) != _FOOTER.unpack(footer)[0]:
        return broken("its checksum does not fit its content", end)
    return Record(payload, path, number, offset, end)


def find_record_files(input_path, base_dir=None, field="input_path"):
    """A file, a glob, or several separated by commas -> list of paths, each of a TFRecord file.

    Relative paths are looked up from the working directory, then from `base_dir`.
    Raises FileNotFoundError or ValueError that name the path and the config `field`.
    """
    if not input_path.strip(" ,"):
        raise ValueError(f"{field} is empty; it must name a TFRecord file")
    # A path that holds a comma or a star and exists is meant as it is.
    whole = find_file(input_path, base_dir)
    parts = [whole] if os.path.exists(whole) else [p.strip() for p in input_path.split(",")]
    paths = []
    for part in filter(None, parts):
        found = [find_file(part, base_dir)]
        if not os.path.exists(found[0]):
            found = sorted(glob.glob(part))
            if not found and base_dir:
                found = sorted(glob.glob(os.path.join(base_dir, part)))
        if not found:
            raise FileNotFoundError("{}: no such file: {} (looked in {})".format(
                field, part, " and ".join(filter(None, [os.getcwd(), base_dir]))))
        paths.extend(found)
    for path in paths:
        _check_record_file(path, field)
    return paths


def _check_record_file(path, field):
    """Raises ValueError unless the file starts with a record."""
    def refuse(reason):
        raise ValueError(f"{field}: {path} {reason}; expected a TFRecord file, as tools/create_*_tfrecord.py "
                         "write them")

    if os.path.isdir(path):
        refuse("is a folder")
    try:
        with open(path, "rb") as stream:
            start = stream.read(_HEADER.size)
    except OSError as error:
        refuse(f"can't be read ({error.strerror})")
    if not start:
        refuse("is empty")
    # A first record of which only the payload is damaged is skipped later, like any other.
    first = next(read_records(path))
    if first.end is None:
        foreign = [f" ({text})" for magic, text in _FOREIGN_FORMATS if start.startswith(magic)]
        refuse("is no TFRecord file{}: in its first record, {}".format("".join(foreign), first.error))


def interleave(iterators, width):
    """Items of several iterators in turn, at most `width` of them open at a time."""
    waiting = iter(iterators)
    running = list(itertools.islice(waiting, max(1, width)))
    while running:
        for iterator in list(running):
            for item in iterator:
                yield item
                break
            else:
                running.remove(iterator)
                running.extend(itertools.islice(waiting, 1))


def shuffle(items, capacity, rng):
    """Items in random order, through a buffer of `capacity` of them. `rng` is a random.Random."""
    buffer = []
    for item in items:
        if len(buffer) < capacity:
            buffer.append(item)
        else:
            i = rng.randrange(capacity)
            yield buffer[i]
            buffer[i] = item
    rng.shuffle(buffer)
    for item in buffer:
        yield item
