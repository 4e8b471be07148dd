"""Starts TensorFlow without the lines that it prints, before a tool imports a part of aster that needs it.

TensorFlow is imported only: a session here would make the workers that a converter forks hang.
"""
import importlib

import find_aster  # noqa: F401

from aster import command


def _start():
    with command.start_up_noise_hidden():
        importlib.import_module("aster.compat")


command.run(_start)
