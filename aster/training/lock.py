"""One training at a time in a folder."""
import contextlib
import errno
import fcntl
import logging
import os
import socket
from typing import Iterator

from aster.files import is_no_file
from aster.training.saver import remove_leftovers

_log = logging.getLogger(__name__)
_SIZE = 1000  # bytes; a host's name and a number are shorter


@contextlib.contextmanager
def only_training(log_dir: str) -> Iterator[None]:
    """Keeps other trainings out of a folder within a `with`, and clears up first if the last one was killed.

    The operating system locks the file `lock` of the folder, and unlocks it when the process ends, however it ends. The
    file names host and process; a training that ends by itself empties it.

    Args:
      log_dir: the experiment's folder log.

    Yields:
      Nothing.

    Raises:
      ValueError: another training holds the lock, and the message names its process; or TensorFlow can't write to a
        folder of this name.
    """
    try:
        log_dir.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{log_dir}: the folder's name is not UTF-8, and TensorFlow can't save there; rename it"
                         ) from error
    path = os.path.join(log_dir, "lock")
    if is_no_file(path) or os.path.islink(path):
        raise ValueError(f"{path}: it is not a file of this folder's own; remove it")
    if os.path.exists(path) and os.stat(path).st_nlink > 1:  # of a copy by hard links, whose original may train
        os.remove(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, path)
        remove_leftovers(log_dir, after_a_kill=os.fstat(descriptor).st_size > 0)
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(OSError):  # a full disk: it is locked nevertheless
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            _log.warning("%s: can't be locked (%s); make sure that only one training uses this folder", path,
                         error.strerror)
            return
        owner = os.read(descriptor, _SIZE).decode("utf-8", "replace").strip() or "another process"
        raise ValueError(f"{os.path.dirname(path)}: {owner} is training here, and a folder takes one training at a "
                         "time; stop that process or wait for it, or train in a copy of the experiment folder"
                         ) from error
