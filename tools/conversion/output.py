"""Files that appear when they are complete, and not before."""
import contextlib
import glob
import os
from typing import Iterator, List, Sequence


class OutputError(Exception):
    """Says what can't be written."""


def shard_paths(path: str, num_shards: int) -> List[str]:
    """Names the files of an output.

    Args:
      path: what --output_path says.
      num_shards: the number of files.

    Returns:
      The path itself for one shard, else PATH-00000-of-0000N and so on.
    """
    if num_shards == 1:
        return [path]
    return [f"{path}-{i:05d}-of-{num_shards:05d}" for i in range(num_shards)]


@contextlib.contextmanager
def complete_files(paths: Sequence[str]) -> Iterator[List[str]]:
    """Gives temporary names for files. Renames the files in the end, or deletes them after an error.

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
    from aster.compat import tf
    try:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(tf.python_io.TFRecordWriter(path)) for path in paths]
    except tf.errors.OpError as error:
        raise OutputError(f"cannot write {paths[0]}: {error.message}") from error
