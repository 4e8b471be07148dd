"""Files -> images of words, with their texts where a list has them."""
import glob
import itertools
import os
import pickle
import re
from typing import Any, Iterable, Iterator, NamedTuple, Optional, Sequence

from aster.beam import lists
from aster.beam.installed import beam
from aster.data.image import has_image_name
from aster.files import is_no_file

NAMESPACE = "aster.beam"  # of the counters
_TOGETHER = 32  # names that travel to a worker as one element, since a runner needs memory for each element


class Word(NamedTuple):
    """An image of a word.

    Attributes:
      name: the path of the image, or its name in the list. Bytes of it that are no UTF-8, as which Beam encodes all
        texts, are escapes such as \\udcff.
      image: the bytes of the image file.
      text: what the list says of it; None without a list.
      lexicon: words that the text is one of, where the list has them.
      error: why it can't be used. Then there is no image.
    """
    name: str
    image: bytes = b""
    text: Optional[str] = None
    lexicon: Sequence[str] = ()
    error: Optional[str] = None


class Broken(NamedTuple):
    """An image that can't be used, and why."""
    name: str
    reason: str


def count(name: str, number: int = 1) -> None:
    """Adds to a counter of Beam's metrics.

    Args:
      name: "read", "broken", "passed_over" or "written"; its namespace is NAMESPACE.
      number: what is added.
    """
    beam.metrics.Metrics.counter(NAMESPACE, name).inc(number)


class ReadWords(beam.PTransform):
    """Reads the images of patterns: a PCollection of patterns -> a PCollection of Words, in any order.

    A file that can't be read is a Word with an `error`. Each worker reads its images one by one; only their names are
    ever in memory together. The counter `passed_over` counts files whose names end like no image, or the entries of
    the list that the pattern does not match.

    Args:
      list_path: a list of names and texts, in any form that tools/create_folder_tfrecord.py reads. A name starts at
        the pattern's folder, which is what comes before the first *, ? or [. With a list, the images of its entries
        are read, as far as the pattern matches them; without one, all that the pattern matches.
      encoding: how the list is encoded (default: UTF-8, or UTF-16 if a byte order mark says so).

    The pipeline fails with a ValueError where a pattern matches no file, or the list can't be used.
    """

    def __init__(self, list_path: Optional[str] = None, encoding: Optional[str] = None) -> None:
        super().__init__()
        self._list_path, self._encoding = list_path, encoding

    def expand(self, pcoll: Any) -> Any:
        """Finds the files in one place, and reads them in all workers."""
        found = (pcoll | "Find" >> beam.FlatMap(_find_files) if self._list_path is None else
                 pcoll | "Find" >> beam.FlatMap(_find_listed, self._list_path, self._encoding))
        return found | "Spread" >> beam.Reshuffle() | "Read" >> beam.FlatMap(_read_files).with_output_types(Word)


def folder_of(pattern: str) -> str:
    """Returns the folder of a pattern, up to its first *, ? or [, with a / at its end; empty for the working
    directory."""
    return "".join(re.split(r"[*?[]", pattern, maxsplit=1)[0].rpartition("/")[:2])


def check_pattern(pattern: str) -> str:
    """Checks that a pattern matches a file.

    Args:
      pattern: a path, perhaps with *, ?, [...] or **, or a folder, on any file system that Beam knows.

    Returns:
      The pattern as Beam needs it; for a folder, that of its files.

    Raises:
      ValueError: no file matches it.
    """
    if os.path.isdir(pattern):
        pattern = os.path.join(pattern, "*")
    if pattern.endswith("/"):
        pattern += "*"
    if not folder_of(pattern):  # Beam would look nowhere
        pattern = os.path.join(os.curdir, pattern)
    if next(_match(pattern, 1), None) is None:
        raise ValueError(f"{pattern}: no file matches")
    return pattern


def encodable(text: str) -> str:
    """Returns a text whose characters that UTF-8 lacks, such as the bytes of a file name in another encoding, are
    escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _match(pattern: str, limit: Optional[int] = None) -> Iterator[str]:
    """Yields the paths that match a pattern. Beam passes over what it can't ask for a size, such as symbolic links
    to nothing. These follow, to be broken images."""
    match, = beam.io.filesystems.FileSystems.match([pattern], limits=[limit])
    yield from (file.path for file in match.metadata_list)
    if "://" not in pattern and glob.has_magic(pattern):
        paths = (os.path.join(parent, name) for parent, _, names in os.walk(folder_of(pattern)) for name in names)
        matches = _matcher(pattern)
        yield from (path for path in paths if not os.path.exists(path) and matches(path))


def _matcher(pattern):
    return re.compile(beam.io.filesystems.FileSystems.get_filesystem(pattern).translate_pattern(pattern)).match


def _find_files(pattern: str) -> Iterator[bytes]:
    """Yields groups of (folder, *fields of a Word), with no image yet."""
    yield from _in_groups((None, *Word(path)) for path in _match(check_pattern(pattern))
                          if _is_wanted(has_image_name(path)))


def _find_listed(pattern: str, list_path: str, encoding: Optional[str]) -> Iterator[bytes]:
    """Does what _find_files does, for the images of a list."""
    pattern = check_pattern(pattern)
    folder, matches = folder_of(pattern), _matcher(pattern)
    yield from _in_groups((folder, *Word(entry.name, b"", entry.text, entry.lexicon, entry.error))
                          for entry in lists.read_list(list_path, encoding) if _is_wanted(
                              entry.error or matches(folder + os.path.normpath(entry.name.replace("\\", "/")))))


def _is_wanted(answer):
    if not answer:
        count("passed_over")
    return bool(answer)


def _in_groups(items: Iterable[tuple]) -> Iterator[bytes]:
    """Yields lists of items. They are pickled, since Beam can't encode a name that is no UTF-8."""
    items = iter(items)
    while True:
        group = list(itertools.islice(items, _TOGETHER))
        if not group:
            return
        yield pickle.dumps(group)


def _read_files(group: bytes) -> Iterator[Word]:
    for folder, *fields in pickle.loads(group):
        word = Word(*fields)
        try:
            if not word.error:
                _check_texts(word)
                word = word._replace(image=_read_file(
                    word.name if folder is None else lists.find(folder, word.name)))
        except (OSError, ValueError) as error:
            word = word._replace(error=getattr(error, "strerror", None) or str(error))
        yield Word(encodable(word.name), word.image, word.text and encodable(word.text),
                   tuple(map(encodable, word.lexicon)), word.error and encodable(word.error))


def _check_texts(word):
    try:
        os.fsencode(word.name)
    except UnicodeEncodeError as error:
        raise ValueError("no file can have this name") from error
    if any(text != encodable(text) for text in [word.text or "", *word.lexicon]):
        raise ValueError("its text has half a character (a surrogate), which UTF-8 lacks")


def _read_file(path: str) -> bytes:
    if is_no_file(path):
        raise ValueError("it is a folder, a pipe or a device; expected a file")  # a pipe may never end
    uncompressed = beam.io.filesystem.CompressionTypes.UNCOMPRESSED  # an image, whatever its name
    with beam.io.filesystems.FileSystems.open(path, compression_type=uncompressed) as stream:
        return stream.read()
