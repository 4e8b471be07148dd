"""Files that appear when they are complete, and not before."""
import contextlib
import glob
import os
from typing import Iterator, List, Sequence

_AROUND_A_RECORD = 16  # bytes: its length, and two checksums


class OutputError(Exception):
    """Says what can't be written."""


def check_replaceable(paths: Sequence[str]) -> None:
    """Refuses to write over a file that is no TFRecord file: a list or an image, perhaps the input.

    Args:
      paths: the TFRecord files to write.

    Raises:
      OutputError: one of them exists and is something else.
    """
    for path in paths:
        if os.path.isfile(path) and os.path.getsize(path) and not _is_tfrecord(path):
            raise OutputError(f"cannot write {path}: it exists and is no TFRecord file; give --output_path another "
                              "name, or remove it")


def _is_tfrecord(path):
    """Tells whether a file starts with the length of a record that it can hold."""
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    return 0 < length <= os.path.getsize(path) - _AROUND_A_RECORD


@contextlib.contextmanager
def complete_files(paths: Sequence[str]) -> Iterator[List[str]]:
    """Gives temporary names for files. Renames the files in the end, or deletes them after an error.

    A file that nothing was written to does not appear, and an old one of its name stays.

    Args:
      paths: the files as they shall be named in the end.

    Yields:
      The names to write to, one for each path.

    Raises:
      OutputError: a file can't be written.
    """
    temporary = [f"{path}.part-{os.getpid()}" for path in paths]
    try:
        for path, part in zip(paths, temporary):
            _remove_abandoned(path)
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            if os.path.isdir(path):
                raise OutputError(f"cannot write {path}: it is a folder")
            open(part, "w").close()
        yield temporary
        for path, part in zip(paths, temporary):
            if os.path.getsize(part):
                os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or paths[0]}: {error.strerror}") from error
    finally:
        for part in temporary:
            with contextlib.suppress(OSError):
                os.remove(part)


def _remove_abandoned(path):
    """Deletes what processes that were killed have left."""
    for part in glob.glob(glob.escape(path) + ".part-*"):
        process = part.rpartition("-")[2]
        if process.isdigit() and not os.path.exists("/proc/" + process) and os.path.exists("/proc/self"):
            os.remove(part)


@contextlib.contextmanager
def record_writers(paths: Sequence[str]) -> Iterator[list]:
    """Opens TFRecord files. TensorFlow is imported here, after the caller's worker processes have started.

    Args:
      paths: the files to write.

    Yields:
      A TFRecordWriter for each path.

    Raises:
      OutputError: a file can't be written, e.g. because the disk is full.
    """
    import quiet_tensorflow  # noqa: F401

    from aster.compat import tf
    try:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(tf.python_io.TFRecordWriter(path)) for path in paths]
    except tf.errors.OpError as error:
        raise OutputError(f"cannot write {paths[0]}: {error.message}") from error
