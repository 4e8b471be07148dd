"""What the doctor says of this machine, and of machines that lack something."""
import os
import re
import subprocess
import sys

import pytest

from aster import doctor


def test_this_machine(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["doctor"])
    with pytest.raises(SystemExit) as stopped:
        doctor.main()
    printed = capsys.readouterr().out
    assert stopped.value.code == 0, printed
    for expected in "TensorFlow ", "op library", "configuration language", "free in", "Nothing needs repair":
        assert expected in printed


def test_help(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["doctor", "--help"])
    with pytest.raises(SystemExit) as stopped:
        doctor.main()
    assert stopped.value.code == 0 and "usage: python -m aster.doctor" in capsys.readouterr().out


def test_packages_have_versions_and_optional_ones_are_listed(monkeypatch):
    assert all(re.match(r"(configuration language|\w+ \d[\w.]*)$", finding.what) for finding in doctor.check_packages())
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    repairs = [finding.repair for finding in doctor.check_optional_packages()]
    assert "pip install scipy" in repairs and "pip install pyspellchecker" in repairs


def test_a_broken_package_is_named_with_its_remedy(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")
    monkeypatch.setattr(doctor.importlib, "import_module", missing)
    findings = list(doctor.check_packages()) + list(doctor.check_tensorflow())
    assert all(finding.state == "BAD" for finding in findings)
    repairs = " ".join(finding.repair for finding in findings)
    assert "pip install pillow" in repairs and "pip install tensorflow" in repairs and "build_ext" in repairs


def test_an_op_library_that_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "aster.c_ops.ops", None)
    finding, = doctor.check_ops()
    assert finding.state == "BAD" and "build_ext --inplace" in finding.repair


def test_a_machine_with_a_gpu(monkeypatch):
    monkeypatch.setattr(doctor, "_output", lambda command: "NVIDIA H200, 570.1, 143771 MiB\n"
                        if command[0] == "nvidia-smi" else "")
    findings = list(doctor.check_gpus()) + list(doctor.check_compilers())
    assert findings[0].what == "GPU: NVIDIA H200, 570.1, 143771 MiB"
    assert any("apt-get install g++" in finding.repair for finding in findings)


def test_a_full_disk(monkeypatch):
    class Usage:
        free = 1e9
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage)
    assert next(doctor.check_disk()).state == "note"


def test_it_runs_without_tensorflow_or_a_build(tmp_path):
    """In a Python that has neither, it says so in place of a traceback."""
    code = ("import sys; sys.modules['tensorflow'] = None; sys.modules['numpy'] = None\n"
            "import aster.doctor; aster.doctor.main()")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    assert done.returncode == 1 and "BAD   numpy" in done.stdout and "BAD   TensorFlow" in done.stdout, done.stderr
    assert re.search("-> (.*)", done.stdout).group(1).startswith("source .venv-tf2/bin/activate")
