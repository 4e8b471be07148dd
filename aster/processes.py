"""Processes that end with the one that has started them."""
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent(parent: int) -> None:
    """Lets Linux send SIGTERM to this process as soon as its parent ends. Elsewhere it has no effect on a process whose
    parent is there.

    A parent that is killed ends thread by thread, and Linux may send the signal for each of them: a process that saves
    at SIGTERM must take several of them within a second for one, as `aster.training.signals` does. The thread that has
    started this process must not end before the parent does.

    Args:
      parent: the parent's process ID. If that process has ended already, this one ends at once.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
