"""What aster.beam says where there is no Apache Beam; on every stack."""
import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules['apache_beam'] = None; sys.argv = ['aster.beam', 'recognize']; "


def run(code):
    return subprocess.run([sys.executable, "-c", WITHOUT + code], universal_newlines=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)


@pytest.mark.parametrize("name", ["ReadWords", "Recognize", "WriteTFRecord"])
def test_importing_a_transform_says_what_is_missing(name):
    done = run(f"from aster.beam import {name}")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("ImportError: aster.beam needs Apache Beam, which needs Python 3.10") and "beam.md" in last


def test_the_command_says_so_in_one_sentence():
    done = run("import runpy; runpy.run_module('aster.beam', run_name='__main__')")
    line, = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: aster.beam needs Apache Beam")


def test_the_package_offers_its_names():
    done = run("import aster.beam; print(sorted(name for name in dir(aster.beam) if name[0] in 'RW'))\n"
               "try: aster.beam.nothing\n"
               "except AttributeError as error: print(error)")
    assert done.stdout.splitlines() == ["['ReadWords', 'Recognize', 'Word', 'WriteTFRecord']",
                                        "module 'aster.beam' has no attribute 'nothing'"]
