"""Says what of this machine is fine for ASTER, what is not, and the command that mends it: python -m aster.doctor"""
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

_MIN_FREE_GB = 5
_CUDNN_OF_TF1 = "libcudnn.so.6"
_CUDA_OF_TF1 = "libcudart.so.8.0"


class Finding(NamedTuple):
    """state: "ok", "note" (something may be missed) or "BAD" (nothing works until it is mended)."""
    state: str
    what: str
    mend: str = ""


def main():
    findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        print("%-5s %s" % (finding.state, finding.what))
        if finding.mend:
            print(f"      -> {finding.mend}")
    bad = sum(finding.state == "BAD" for finding in findings)
    print("%d of %d checks need mending" % (bad, len(findings)) if bad else "Nothing needs mending.")
    sys.exit(1 if bad else 0)


def check_python():
    version = f"Python {platform.python_version()}, {sys.executable}"
    if sys.version_info[:2] == (3, 6) or sys.version_info >= (3, 10):
        yield Finding("ok", version)
    else:
        yield Finding("BAD", version, "use Python 3.10 to 3.13 (TensorFlow 2) or 3.6 (TensorFlow 1.4.0)")


def check_packages():
    for name in "numpy", "PIL", "google.protobuf", "editdistance", "tqdm":
        try:
            module = importlib.import_module(name)
            yield Finding("ok", "{} {}".format(name, getattr(module, "__version__", "")))
        except Exception as error:  # a package can be broken in any way
            yield Finding("BAD", f"{name}: {error}", "pip install {}".format({
                "PIL": "pillow", "google.protobuf": "protobuf"}.get(name, name)))
    try:
        importlib.import_module("aster.protos.pipeline_pb2")
        yield Finding("ok", "configuration language")
    except Exception as error:
        yield Finding("BAD", f"configuration language: {error}",
                      "pip install grpcio-tools, then in the checkout: python setup.py build_ext --inplace")


def check_tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        tensorflow = importlib.import_module("tensorflow")
    except Exception as error:
        mend = "pip install tensorflow"
        if sys.version_info[:2] == (3, 6):
            mend = "pip install tensorflow==1.4.0 (CPU), or tensorflow-gpu==1.4.0 with CUDA 8 and cuDNN 6"
        yield Finding("BAD", f"TensorFlow: {str(error).splitlines()[0]}", mend)
        return
    yield Finding("ok", "TensorFlow {}, built for {}".format(
        tensorflow.__version__, "GPUs" if tensorflow.test.is_built_with_cuda() else "CPUs"))
    built = getattr(tensorflow.sysconfig, "get_build_info", dict)()
    if built.get("cuda_version"):
        yield Finding("ok", "TensorFlow wants CUDA {} and cuDNN {}; pip install \"tensorflow[and-cuda]\" brings both".format(built["cuda_version"], built.get("cudnn_version", "")))


def check_ops():
    try:
        ops = importlib.import_module("aster.c_ops.ops")
    except Exception as error:
        yield Finding("BAD", f"op library: {str(error).splitlines()[0]}",
                      "in the checkout: python setup.py build_ext --inplace (needs g++: apt-get install g++)")
        return
    from aster.compat import num_gpus
    yield Finding("ok", "op library %s" % ("with kernels for GPUs" if ops.HAS_GPU_KERNELS else "for CPUs"))
    if num_gpus() and not ops.HAS_GPU_KERNELS:
        yield Finding("note", "models on the GPU are built of standard ops, which are slower",
                      "install nvcc (CUDA toolkit), then: ASTER_CUDA=1 python setup.py build_ext --inplace --force")


def check_gpus():
    driver = _output(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    if not driver:
        yield Finding("note", "no NVIDIA driver answers (nvidia-smi): reading and training run on the CPU",
                      "only for a GPU: install its driver, e.g. apt-get install nvidia-driver, and start anew")
        return
    for line in driver.splitlines():
        yield Finding("ok", f"GPU: {line}")
    try:
        from aster.compat import IS_TF1, num_gpus
    except Exception:
        return  # check_tensorflow has told
    if num_gpus():
        yield Finding("ok", "TensorFlow uses %d GPU(s)" % num_gpus())
    elif IS_TF1:
        yield Finding("note", "TensorFlow 1.4 sees no GPU", f"it needs tensorflow-gpu==1.4.0, {_CUDA_OF_TF1} and {_CUDNN_OF_TF1} on "
                      "LD_LIBRARY_PATH")
    else:
        yield Finding("note", "TensorFlow sees no GPU", "pip install \"tensorflow[and-cuda]\"")


def check_compilers():
    for command, pattern, needed in (("g++", r"\) ([\d.]+)", "the op library"),
                                     ("nvcc", r"release ([\d.]+)", "kernels for GPUs")):
        found = re.search(pattern, _output([command, "--version"]))
        if found:
            yield Finding("ok", f"{command} {found.group(1)}")
        else:
            yield Finding("note", f"no {command}, which builds {needed}",
                          "apt-get install g++" if command == "g++" else "only for a GPU: install the CUDA toolkit")


def check_disk():
    free = shutil.disk_usage(os.getcwd()).free / 1e9
    if free < _MIN_FREE_GB:
        yield Finding("note", f"only {free:.1f} GB are free in {os.getcwd()}",
                      "checkpoints of the full model take 0.7 GB, data sets from 1 to 40 GB")
    else:
        yield Finding("ok", f"{free:.0f} GB free in {os.getcwd()}")
    yield Finding("ok", "%d CPU cores" % len(os.sched_getaffinity(0)))


def check_model():
    from aster.pretrained import ENGLISH
    if os.path.exists(os.path.join(ENGLISH, "log", "checkpoint")):
        yield Finding("ok", f"trained model in {ENGLISH}")
    else:
        yield Finding("note", f"the trained model is not in {ENGLISH}", "git checkout aster/pretrained")


CHECKS = (check_python, check_packages, check_tensorflow, check_ops, check_gpus, check_compilers, check_disk,
          check_model)


def _output(command):
    """What a command prints; "" where it fails or is not there."""
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=60).decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return ""


if __name__ == "__main__":
    main()
