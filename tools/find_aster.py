"""Makes `import aster` work where the library is not installed: the checkout around tools/ has it.

A tool imports this module before it imports aster. An installed aster comes first. A missing package ends the tool with
one line. A tool that needs TensorFlow at once imports quiet_tensorflow, too.
"""
import importlib
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from aster import command  # noqa: E402


def _import_packages():
    for package in ("numpy", "PIL", "tqdm"):
        importlib.import_module(package)


command.run(_import_packages)
