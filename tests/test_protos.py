"""What is said where the classes of the configuration language do not fit the protobuf that is installed."""
import subprocess
import sys

import pytest

CODE = """
from google.protobuf import runtime_version

def refuse(*_):
    raise runtime_version.VersionError("gencode 9.1 runtime 8.2")
runtime_version.ValidateProtobufRuntimeVersion = refuse
from aster import command
command.run(lambda: None)
"""


def test_classes_for_a_newer_protobuf_are_named_in_a_line():
    pytest.importorskip("google.protobuf.runtime_version")
    done = subprocess.run([sys.executable, "-c", CODE], stderr=subprocess.PIPE, universal_newlines=True)
    line, = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: the configuration language is built for a newer protobuf")
    assert "gencode 9.1 runtime 8.2" in line and "python setup.py build_ext --inplace" in line
