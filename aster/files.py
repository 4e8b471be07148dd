"""The one rule for paths that a configuration names, the one reader of text files, and how results are written."""
import contextlib
import errno
import glob
import os
import shutil
import stat
import tempfile
from typing import Iterator, List, Optional

from aster.errors import cause, describe

_MAX_TEXT = 200000000  # bytes; a word list of ten million words is smaller


def find_file(path: str, base_dir: Optional[str] = None) -> str:
    """Finds a file that a configuration names.

    Args:
      path: the path as the configuration has it.
      base_dir: the experiment folder. A relative path is looked up there first, then in the working directory.

    Returns:
      The path to use: `path` itself where neither folder has it, so that the error names what was written.
    """
    beside = os.path.join(base_dir or "", path)
    return beside if os.path.exists(beside) else path


def find_matches(pattern: str, recursive: bool = False) -> List[str]:
    """Finds the files that match a pattern. Its folders are patterns only as far as they do not exist as they are: a
    folder run[1] is meant as such, and not as run1.

    Args:
      pattern: the pattern, with *, ? and [...] as the shell has them.
      recursive: whether ** stands for any folders.

    Returns:
      The paths, in the order of their names.
    """
    folder, rest = os.path.dirname(pattern), os.path.basename(pattern)
    while folder and not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        rest = os.path.join(os.path.basename(folder), rest)
        folder = os.path.dirname(folder)
    return sorted(glob.glob(os.path.join(glob.escape(folder), rest), recursive=recursive))


def module_folders(base_dir: Optional[str]) -> List[str]:
    """Returns where modules that a configuration names are looked up before Python's path: by the rule of `find_file`.

    Args:
      base_dir: the experiment folder, if there is one.

    Returns:
      Absolute paths.
    """
    return [os.path.abspath(base_dir), os.getcwd()] if base_dir else []


def shipped_folder(installed: str, in_checkout: str) -> str:
    """Finds a folder that comes with the library.

    Args:
      installed: its name inside the package aster, where setup.py puts it in a wheel.
      in_checkout: its name in a checkout, beside the package.

    Returns:
      Its path; in a checkout that of the second.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(package, installed)
    return folder if os.path.isdir(folder) else os.path.join(os.path.dirname(package), in_checkout)


def is_no_file(path: str) -> bool:
    """Returns whether there is something at a path that is no file: a folder, a device, or a pipe, which may wait
    forever."""
    return os.path.exists(path) and not os.path.isfile(path)


def read_text(path: str, what: str) -> str:
    """Reads a UTF-8 text file, with or without a byte order mark.

    Args:
      path: the file.
      what: what the file is, for messages: "the lexicon", "the character set".

    Returns:
      The text.

    Raises:
      ValueError: the file can't be read, has no end (a device) or is not UTF-8. The message names the file, and the
        line.
    """
    # those in /dev are open already, as <(...) of the shell makes them
    if os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode) and not path.startswith("/dev/"):
        raise ValueError(f"{path}: can't read {what}: it is a pipe, and nothing may ever be written to it")
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MAX_TEXT + 1)
    except OSError as error:
        raise ValueError(f"{path}: can't read {what} ({error.strerror})") from error
    if len(content) > _MAX_TEXT:
        raise ValueError(f"{path}: {what} is larger than {_MAX_TEXT / 1e6:.0f} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        if error.reason == "unexpected end of data":  # the first byte of a character says how many it has
            missing = 2 + (content[error.start] >= 0xe0) + (content[error.start] >= 0xf0) + error.start - len(content)
            raise ValueError(f"{path}, line {line}: {what} is cut short or not UTF-8: its last character lacks "
                             f"{missing} of its bytes; copy the file again, or save it as UTF-8") from error
        raise ValueError(f"{path}, line {line}: {what} is not UTF-8 text ({error.reason}); save it as UTF-8, "
                         f"e.g. with iconv") from error


@contextlib.contextmanager
def written_whole(path: str) -> Iterator[str]:
    """Lets a file or folder appear whole or not at all.

    What is written goes to a hidden folder beside it, and takes the place of `path` at the end of the `with` block. A
    failure leaves what was there before, and nothing else. Missing folders above `path` are made.

    Args:
      path: the file or folder. A file that exists is replaced. In a folder that exists, the files of the new one
        replace those of the same names. Links are followed.

    Yields:
      The path to write to.

    Raises:
      OSError: it can't be written. The error names `path`, unless it is about a file elsewhere.
    """
    target = os.path.realpath(path)
    folder, hidden = os.path.dirname(target), ""
    prefix = f".{os.path.basename(target)[:50]}."
    made: List[str] = []
    try:
        with errors_name(path, os.path.join(folder, prefix)):
            _make_folders(folder, made)
            hidden = tempfile.mkdtemp(prefix=prefix, dir=folder)
            temporary = os.path.join(hidden, os.path.basename(target))
            yield temporary
            _move(temporary, target)
            made = []
    finally:
        if hidden:
            shutil.rmtree(hidden, ignore_errors=True)
        for name in reversed(made):
            with contextlib.suppress(OSError):  # somebody may have put something there
                os.rmdir(name)


def link_or_copy(source: str, target: str) -> None:
    """Gives a file a second name; where the file system has no links, makes a copy. It replaces what has that name.

    Args:
      source: the file.
      target: its second name.

    Raises:
      OSError: it can't be done.
    """
    if os.path.exists(target):
        if os.path.samefile(source, target):
            return
        os.remove(target)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _move(source: str, target: str) -> None:
    if os.path.isdir(source) and os.path.isdir(target):
        for name in sorted(os.listdir(source)):
            _move(os.path.join(source, name), os.path.join(target, name))
    else:
        os.rename(source, target)


def _make_folders(folder: str, made: List[str]) -> None:
    """Makes a folder and those above it, and adds those that were missing to `made`, the innermost last."""
    if not os.path.isdir(folder):
        _make_folders(os.path.dirname(folder), made)
        os.mkdir(folder)
        made.append(folder)


@contextlib.contextmanager
def errors_name(path: str, also: str = "") -> Iterator[None]:
    """Makes errors of the system, and those of TensorFlow, begin with the name of the file that is written.

    Args:
      path: the file or folder.
      also: how the names of other files begin, of which nobody knows, that stand for it.

    Yields:
      Nothing.

    Raises:
      OSError: with `path` as its file name, unless it is about another file.
    """
    try:
        yield
    except OSError as error:
        if error.filename and not str(error.filename).startswith((path, also or path)):
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or describe(error), path) from error
    except Exception as error:
        if "tensorflow" not in type(error).__module__:
            raise
        problem = cause(error)  # usually "FILE; No space left on device"
        problem = problem.rpartition("; ")[2] if problem.startswith((path, also or path)) else problem
        raise OSError(errno.EIO, problem, path) from error
