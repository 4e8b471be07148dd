"""Makes `import aster` work where the library is not installed: the checkout around tools/ has it.

A tool imports this module before it imports aster. An installed aster comes first. TensorFlow starts here, quietly; a
missing package ends the tool with one line.
"""
import importlib
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from aster import command  # noqa: E402


def _start():
    # imported only: a session here would make the workers that a converter forks hang
    with command.start_up_noise_hidden():
        importlib.import_module("aster.compat")


if "tensorflow" not in sys.modules:
    command.run(_start)
