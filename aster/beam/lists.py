"""Lists of words, by the rules of the converters in tools/."""
import importlib
import os
import shutil
import sys
import tempfile
from typing import Any, Iterator, NamedTuple, Optional, Tuple

from aster.beam.installed import beam
from aster.tools import FOLDER


class Entry(NamedTuple):
    """What a list says of an image; or why that can't be used."""
    name: str
    text: str = ""
    lexicon: Tuple[str, ...] = ()
    error: Optional[str] = None


def conversion(name: str) -> Any:
    """Imports a module of tools/conversion.

    Args:
      name: such as "labels".

    Returns:
      The module.
    """
    sys.path.insert(0, FOLDER)
    try:
        return importlib.import_module("conversion." + name)
    finally:
        sys.path.remove(FOLDER)


def read_list(path: str, encoding: Optional[str] = None) -> Iterator[Entry]:
    """Reads a list as a whole, since only the whole shows which entries contradict each other.

    Args:
      path: the list, on any file system that Beam knows.
      encoding: how it is encoded; None: UTF-8, or UTF-16 if a byte order mark says so.

    Yields:
      Each Entry.

    Raises:
      ValueError: the list can't be used.
      OSError: it can't be read.
    """
    labels, skipped = conversion("labels"), conversion("convert").Skipped
    try:
        items = labels.read(path, encoding) if "://" not in path else _read_remote(labels, path, encoding)
    except conversion("convert").SourceError as error:
        raise ValueError(str(error)) from error
    for item in items:
        if isinstance(item, skipped):
            yield Entry(item.name, error=item.reason + item.detail)
        else:
            yield Entry(item[0], item[1], tuple(item[2]))


def _read_remote(labels, path, encoding):
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, path.rpartition("/")[2])
        with beam.io.filesystems.FileSystems.open(path) as source, open(copy, "wb") as target:
            shutil.copyfileobj(source, target)
        return labels.read(copy, encoding)


def find(folder: str, name: str) -> str:
    """Finds the image of an entry.

    Args:
      folder: the folder that names start from, as `words.folder_of` gives it.
      name: the name of the image in the list.

    Returns:
      Its path.

    Raises:
      ValueError: the name leads out of the folder.
    """
    try:
        if "://" not in folder:
            return conversion("sources").inside(folder or os.curdir, name)
        path = os.path.normpath(name.replace("\\", "/"))
        if path.startswith(("/", "..")):
            raise ValueError
        return folder + path
    except ValueError as error:
        raise ValueError("names a file outside of the pattern's folder") from error
