"""TensorFlow in worker processes, without the lines that it prints on every machine."""
import importlib
import os
import threading
from typing import Optional

from aster import command

_lock = threading.Lock()  # the lines are hidden by exchanging a file descriptor of the whole process


def import_tensorflow() -> None:
    """Imports TensorFlow. It starts no session, so that this process can still be forked."""
    with _lock, command.start_up_noise_hidden():
        importlib.import_module("aster.compat")


def start_tensorflow(num_threads: Optional[int]) -> None:
    """Imports TensorFlow and makes its devices.

    Args:
      num_threads: the number of threads that compute, where TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS say
        nothing; None: one a core. It has an effect before TensorFlow's first session only.
    """
    if num_threads:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(num_threads))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(num_threads))
    with _lock:
        command.start_tensorflow()
