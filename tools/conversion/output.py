"""Files that appear when they are complete, and not before."""
import contextlib
import glob
import os


class OutputError(Exception):
    """Says what cannot be written."""


def shard_paths(path, num_shards):
    if num_shards == 1:
        return [path]
    return ["%s-%05d-of-%05d" % (path, i, num_shards) for i in range(num_shards)]


@contextlib.contextmanager
def complete_files(paths):
    """Gives temporary names for paths; renames the files in the end, or deletes them on errors."""
    temporary = ["%s.part-%d" % (path, os.getpid()) for path in paths]
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
        raise OutputError(f"cannot write {error.filename or paths[0]}: {error.strerror}")
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
def record_writers(paths):
    """Writers of TFRecord files. TensorFlow is imported here, after a caller's workers have started."""
    from aster.compat import tf
    try:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(tf.python_io.TFRecordWriter(path)) for path in paths]
    except tf.errors.OpError as error:  # a full disk, for one
        raise OutputError(f"cannot write {paths[0]}: {error.message}")
