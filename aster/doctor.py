"""Says what of this machine is fine for ASTER, what is not, and the command that repairs it: python -m aster.doctor"""
import contextlib
import importlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Iterator, List, NamedTuple

from aster import command
from aster.errors import cause

_MIN_FREE_GB = 5
_ON_PYTHON_3_6 = sys.version_info[:2] == (3, 6)
_BUILD = "in the checkout, run: python setup.py build_ext --inplace"
# By the name to import: the name that pip and importlib.metadata know.
_PACKAGES = {"numpy": "numpy", "PIL": "pillow", "google.protobuf": "protobuf", "tqdm": "tqdm",
             "matplotlib": "matplotlib"}
if sys.version_info < (3, 13):  # as in setup.py
    _PACKAGES["editdistance"] = "editdistance"
else:
    _PACKAGES["rapidfuzz"] = "rapidfuzz"
# By the name to import: the name for pip, and what it is for.
_OPTIONAL_PACKAGES = {
    "scipy": ("scipy", "converters of .mat files"), "lmdb": ("lmdb", "converters of LMDBs"),
    "defusedxml": ("defusedxml", "converters of XML files"), "tf2onnx": ("tf2onnx", "export to ONNX with TensorFlow 2"),
    "onnxruntime": ("onnxruntime", "running ONNX files"), "tensorboard": ("tensorboard", "watching a training"),
    "spellchecker": ("pyspellchecker", "rendering words")}


class Finding(NamedTuple):
    """What a check found.

    Attributes:
      state: "ok", "note" (something may be missed) or "BAD" (nothing works until it is repaired).
      what: a line that says what was found.
      repair: the command or the step that repairs it.
    """
    state: str
    what: str
    repair: str = ""


def main() -> None:
    """Makes all checks, prints what they found, and exits with status 1 if anything is BAD."""
    command.ArgumentParser(prog="python -m aster.doctor", description=(
        "Check the Python, the packages, the builds, the GPU and the disk of this machine. Print what is fine, what is "
        "not, and the command that repairs it. The exit status is 1 if something must be repaired.")).parse_args()
    with command.start_up_noise_hidden():
        findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        command.say(f"{finding.state:<5} {finding.what}")
        if finding.repair:
            command.say(f"      -> {finding.repair}")
    num_bad = sum(finding.state == "BAD" for finding in findings)
    command.say(f"{num_bad} of {len(findings)} checks need repair" if num_bad else "Nothing needs repair.")
    sys.exit(1 if num_bad else 0)


def check_python() -> Iterator[Finding]:
    """Checks that the environment is activated, and that there is a TensorFlow for this Python."""
    if not importlib.util.find_spec("numpy") and not importlib.util.find_spec("tensorflow"):
        yield Finding("BAD", f"{sys.executable} has neither numpy nor TensorFlow",
                      "source .venv-tf2/bin/activate, or see Install in README.md")
    version = f"Python {platform.python_version()}, {sys.executable}"
    if _ON_PYTHON_3_6 or sys.version_info >= (3, 10):
        yield Finding("ok", version)
    else:
        yield Finding("BAD", version, "use Python 3.10 to 3.13 (TensorFlow 2) or 3.6 (TensorFlow 1.4.0)")


def check_packages() -> Iterator[Finding]:
    """Checks the packages that ASTER needs, and its own classes of the configuration language."""
    for name, package in _PACKAGES.items():
        try:
            importlib.import_module(name)
            yield Finding("ok", _with_version(package))
        except Exception as error:  # a package can be broken in any way
            yield Finding("BAD", f"{name}: {error}", f"pip install {package}")
    try:
        importlib.import_module("aster.protos.pipeline_pb2")
        yield Finding("ok", "configuration language")
    except Exception as error:
        yield Finding("BAD", f"configuration language: {error}", f"pip install grpcio-tools; then, {_BUILD}")


def check_optional_packages() -> Iterator[Finding]:
    """Lists the packages that only some commands need. They are not imported, which would take seconds."""
    for name, (package, purpose) in _OPTIONAL_PACKAGES.items():
        if importlib.util.find_spec(name):
            yield Finding("ok", f"{_with_version(package)}, for {purpose}")
        else:
            yield Finding("note", f"no {package}, which is only for {purpose}", f"pip install {package}")


def check_tensorflow() -> Iterator[Finding]:
    """Checks that TensorFlow can be imported."""
    try:
        compat = importlib.import_module("aster.compat")
    except Exception as error:
        repair = "pip install tensorflow"
        if _ON_PYTHON_3_6:
            repair = "pip install tensorflow==1.4.0 (CPU), or tensorflow-gpu==1.4.0 with CUDA 8 and cuDNN 6"
        yield Finding("BAD", f"TensorFlow: {cause(error)}", repair)
        return
    yield Finding("ok", compat.describe())


def check_ops() -> Iterator[Finding]:
    """Checks that the op library is built for this TensorFlow."""
    try:
        ops = importlib.import_module("aster.c_ops.ops")
    except Exception as error:
        yield Finding("BAD", f"op library: {cause(error)}", f"{_BUILD} (needs g++: apt-get install g++)")
        return
    from aster.compat import num_gpus
    yield Finding("ok", f"op library {'with kernels for GPUs' if ops.HAS_GPU_KERNELS else 'for CPUs'}")
    if num_gpus() and not ops.HAS_GPU_KERNELS:
        yield Finding("note", "models on the GPU are built of standard ops, which are slower",
                      "install nvcc (CUDA toolkit), then: ASTER_CUDA=1 python setup.py build_ext --inplace --force")


def check_gpus() -> Iterator[Finding]:
    """Lists the GPUs, and checks that TensorFlow uses them."""
    driver = _output(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    if not driver:
        yield Finding("note", "no NVIDIA driver answers (nvidia-smi): recognition and training run on the CPU",
                      "only for a GPU: install its driver, e.g. apt-get install nvidia-driver, and restart")
        return
    for line in driver.splitlines():
        yield Finding("ok", f"GPU: {line}")
    try:
        from aster.compat import GPU_REMEDY, num_gpus
    except Exception:
        return  # check_tensorflow has reported it
    if num_gpus():
        yield Finding("ok", f"TensorFlow uses {num_gpus()} GPU(s)")
    else:
        yield Finding("note", "TensorFlow sees no GPU", GPU_REMEDY)


def check_compilers() -> Iterator[Finding]:
    """Checks that there are compilers to build ASTER with."""
    for compiler, pattern, product in (("g++", r"\) ([\d.]+)", "the op library"),
                                       ("nvcc", r"release ([\d.]+)", "kernels for GPUs")):
        version = re.search(pattern, _output([compiler, "--version"]))
        if version:
            yield Finding("ok", f"{compiler} {version.group(1)}")
        else:
            yield Finding("note", f"no {compiler}, which builds {product}",
                          "apt-get install g++" if compiler == "g++" else "only for a GPU: install the CUDA toolkit")


def check_disk() -> Iterator[Finding]:
    """Checks that there is room for checkpoints, and counts the CPU cores."""
    free = shutil.disk_usage(os.getcwd()).free / 1e9
    if free < _MIN_FREE_GB:
        yield Finding("note", f"only {free:.1f} GB are free in {os.getcwd()}",
                      "checkpoints of the full model take 0.7 GB, data sets from 1 to 40 GB")
    else:
        yield Finding("ok", f"{free:.0f} GB free in {os.getcwd()}")
    yield Finding("ok", f"{len(os.sched_getaffinity(0))} CPU cores")


def check_model() -> Iterator[Finding]:
    """Lists the pretrained models, and checks that the default one is there."""
    from aster import pretrained
    names = pretrained.list()
    if names:
        yield Finding("ok", f"pretrained models in {pretrained.FOLDER}: {', '.join(names)}")
    if pretrained.DEFAULT not in names:
        yield Finding("note", f"the pretrained model {pretrained.DEFAULT} is not in {pretrained.FOLDER}",
                      "git checkout aster/pretrained")


CHECKS = (check_python, check_packages, check_optional_packages, check_tensorflow, check_ops, check_gpus,
          check_compilers, check_disk, check_model)


def _with_version(package: str) -> str:
    """The name of an installed package, and its version where it is known."""
    with contextlib.suppress(Exception):
        from importlib import metadata
        return f"{package} {metadata.version(package)}"
    with contextlib.suppress(Exception):  # Python 3.6 has no importlib.metadata
        import pkg_resources
        return f"{package} {pkg_resources.get_distribution(package).version}"
    return package


def _output(arguments: List[str]) -> str:
    """What a program prints; "" where it fails or is not there."""
    try:
        return subprocess.check_output(arguments, stderr=subprocess.DEVNULL, timeout=60).decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return ""


def cli() -> None:
    """Runs the command aster-doctor."""
    main()


if __name__ == "__main__":
    cli()
