"""Files -> images of words, with their texts where a list has them."""
import os
import re
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from aster.beam import lists
from aster.beam.installed import beam
from aster.data.image import has_image_name
from aster.files import is_no_file

NAMESPACE = "aster.beam"  # of the counters
_TOGETHER = 32  # names that travel to a worker as one element, since a runner needs memory for each element


class Word(NamedTuple):
    """An image of a word.

    Attributes:
      name: the path of the image, or its name in the list.
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
    if not folder_of(pattern):  # Beam would look nowhere
        pattern = os.path.join(os.curdir, pattern)
    match, = beam.io.filesystems.FileSystems.match([pattern], limits=[1])
    if not match.metadata_list:
        raise ValueError(f"{pattern}: no file matches")
    return pattern


def _find_files(pattern: str) -> Iterator[List[tuple]]:
    """Yields groups of (folder, *fields of a Word), with no image yet."""
    match, = beam.io.filesystems.FileSystems.match([check_pattern(pattern)])
    yield from _in_groups((None, *Word(file.path)) for file in match.metadata_list
                          if _is_wanted(has_image_name(file.path)))


def _find_listed(pattern: str, list_path: str, encoding: Optional[str]) -> Iterator[List[tuple]]:
    """Does what _find_files does, for the images of a list."""
    pattern = check_pattern(pattern)
    folder = folder_of(pattern)
    matches = re.compile(beam.io.filesystems.FileSystems.get_filesystem(pattern).translate_pattern(pattern)).match
    yield from _in_groups((folder, *Word(entry.name, b"", entry.text, entry.lexicon, entry.error))
                          for entry in lists.read_list(list_path, encoding) if _is_wanted(
                              entry.error or matches(folder + os.path.normpath(entry.name.replace("\\", "/")))))


def _is_wanted(answer):
    if not answer:
        count("passed_over")
    return bool(answer)


def _in_groups(items: Iterable[tuple]) -> Iterator[List[tuple]]:
    """Yields lists of items. These are plain tuples, which Beam encodes in fewer bytes than named ones."""
    group: List[tuple] = []
    for item in items:
        group.append(item)
        if len(group) == _TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _read_files(group: List[tuple]) -> Iterator[Word]:
    for folder, *fields in group:
        word = Word(*fields)
        if word.error:
            yield word
            continue
        try:
            yield word._replace(image=_read_file(word.name if folder is None else lists.find(folder, word.name)))
        except (OSError, ValueError) as error:
            yield word._replace(error=getattr(error, "strerror", None) or str(error))


def _read_file(path: str) -> bytes:
    if is_no_file(path):
        raise ValueError("it is a folder, a pipe or a device; expected a file")  # a pipe may never end
    uncompressed = beam.io.filesystem.CompressionTypes.UNCOMPRESSED  # an image, whatever its name
    with beam.io.filesystems.FileSystems.open(path, compression_type=uncompressed) as stream:
        return stream.read()
