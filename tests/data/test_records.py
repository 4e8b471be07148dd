"""Whole and damaged TFRecord files. Each damage is made by hand at a known byte."""
import os
import random
import struct

import pytest
from data_helpers import write_records

from aster.data import records

PAYLOADS = [b"first\0\0", b"second one", b"third"]  # records at bytes 0, 23 and 49
SECOND, THIRD, SIZE = 23, 49, 70


@pytest.fixture
def path(tmp_path):
    return write_records(tmp_path / "some.tfrecord", PAYLOADS)


def change(path, edit):
    """Rewrites a file as `edit` returns its bytes."""
    with open(path, "rb") as stream:
        content = edit(bytearray(stream.read()))
    with open(path, "wb") as stream:
        stream.write(content)


def flip(position):
    def edit(content):
        content[position] ^= 1
        return content
    return edit


def test_whole_file(path):
    found = list(records.read_records(path))
    assert [r.payload for r in found] == PAYLOADS
    assert [r.offset for r in found] == [0, SECOND, THIRD]
    assert found[1].where == f"{path}: record 1 at byte 23"
    assert not any(r.error for r in found)


@pytest.mark.parametrize("edit, payloads, error", [
    (flip(SECOND + 12), [0, None, 2], "checksum"),  # payload
    (flip(THIRD - 1), [0, None, 2], "checksum"),  # the checksum itself
    (flip(SECOND), [0, None], "length is damaged"),
    (flip(SECOND + 8), [0, None], "length is damaged"),  # checksum of the length
    (lambda c: c[:THIRD - 2], [0, None], "ends 2 bytes before"),
    (lambda c: c[:SECOND + 5], [0, None], "ends 7 bytes before the header"),
    (lambda c: c + b"\0" * 30, [0, 1, 2, None], "length is damaged"),
    (lambda c: c[:SECOND] + struct.pack("<QI", 2 ** 62, records.masked_crc32c(
        struct.pack("<Q", 2 ** 62))) + c[THIRD:], [0, None], "ends"),  # insane, but well signed
])
def test_damaged_file(path, edit, payloads, error):
    change(path, edit)
    found = list(records.read_records(path))
    assert [r.payload for r in found] == [None if i is None else PAYLOADS[i] for i in payloads]
    broken = [r for r in found if r.error]
    assert len(broken) == 1 and error in broken[0].error


@pytest.mark.parametrize("edit, words", [
    (lambda c: b"", "is empty"),
    (lambda c: b"short", "no TFRecord"),
    (lambda c: b"just some text that is no record at all", "no TFRecord"),
    (lambda c: b"\x1f\x8b" + bytes(c), "gzip"),
    (lambda c: c[:20], "no TFRecord"),
    (flip(0), "no TFRecord"),
])
def test_foreign_file(path, edit, words):
    change(path, edit)
    with pytest.raises(ValueError) as error:
        records.find_record_files(path, field="train_input_reader.input_path")
    message = str(error.value)
    assert words in message and path in message and "train_input_reader.input_path" in message


def test_first_payload_broken_is_still_a_record_file(path):
    change(path, flip(12))
    assert records.find_record_files(path) == [path]


@pytest.mark.parametrize("given, expected", [
    ("a.tfrecord", ["a.tfrecord"]),
    ("*.tfrecord", ["a.tfrecord", "b,c.tfrecord", "d.tfrecord"]),
    ("d.tfrecord, a.tfrecord", ["d.tfrecord", "a.tfrecord"]),
    ("b,c.tfrecord", ["b,c.tfrecord"]),
])
@pytest.mark.parametrize("beside_config", [False, True])
def test_find_files(tmp_path, monkeypatch, given, expected, beside_config):
    for name in ("a.tfrecord", "b,c.tfrecord", "d.tfrecord"):
        write_records(tmp_path / name, PAYLOADS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere" if beside_config else tmp_path)
    found = records.find_record_files(given, base_dir=str(tmp_path) if beside_config else None)
    prefix = str(tmp_path) + "/" if beside_config else ""
    assert found == [prefix + name for name in expected]


@pytest.mark.parametrize("given", ["a.tfrecord", "*.tfrecord"])
def test_the_experiment_folder_comes_first(tmp_path, monkeypatch, given):
    for folder in ("experiment", "elsewhere"):
        (tmp_path / folder).mkdir()
        write_records(tmp_path / folder / "a.tfrecord", PAYLOADS)
    monkeypatch.chdir(str(tmp_path / "elsewhere"))
    assert records.find_record_files(given, str(tmp_path / "experiment")) == [
        str(tmp_path / "experiment" / "a.tfrecord")]
    assert records.find_record_files(given, str(tmp_path)) == records.find_record_files(given) == ["a.tfrecord"]


@pytest.mark.parametrize("given", ["none", "none*.tfrecord", "some.tfrecord,none.tfrecord"])
def test_missing_file(path, tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        records.find_record_files(given, base_dir="/somewhere", field="the_field")
    assert "none" in str(error.value) and "the_field" in str(error.value)


@pytest.mark.parametrize("given", ["", " ", ","])
def test_no_path(given):
    with pytest.raises(ValueError) as error:
        records.find_record_files(given, field="the_field")
    assert "the_field" in str(error.value)


def test_folder(tmp_path):
    with pytest.raises(ValueError) as error:
        records.find_record_files(str(tmp_path))
    assert "folder" in str(error.value)


def test_interleave():
    items = "".join(records.interleave(map(iter, ["aaa", "b", "", "ccc", "d"]), 2))
    assert sorted(items) == sorted("aaabcccd") and items.startswith("aba")
    assert list(records.interleave([iter("abc")], 0)) == list("abc")


@pytest.mark.parametrize("capacity", [1, 7, 1000])
def test_shuffle(capacity):
    items = list(records.shuffle(iter(range(100)), capacity, random.Random(1)))
    assert sorted(items) == list(range(100))
    # The one at the front can only be from the first items that fit in the buffer.
    assert items[0] < capacity
    assert (items == list(range(100))) == (capacity == 1)


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    """A pipe without a writer would wait forever."""
    pipe = str(tmp_path / "words.tfrecord")
    if kind == "a pipe":
        os.mkfifo(pipe)
    else:
        os.symlink("/dev/zero", pipe)
    with pytest.raises(ValueError, match="words.tfrecord is not a file; expected a TFRecord file"):
        records.find_record_files(pipe)
    with pytest.raises(OSError, match="it is not a file"):
        next(records.read_records(pipe))
