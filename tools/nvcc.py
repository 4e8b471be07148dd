"""Finds CUDA's compiler. setup.py and tests/cuda/kernels.py use it, so that it needs nothing but Python."""
import shutil
import subprocess
from typing import List, Optional

ARCHITECTURES = "60", "70", "75", "80", "90"  # compute capabilities that ASTER has machine code for


def find_nvcc() -> Optional[str]:
    """Returns the path of nvcc, from PATH or the place where CUDA is usually installed; None where there is none."""
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")


def architectures(nvcc: str) -> List[str]:
    """Returns those of ARCHITECTURES that this nvcc compiles for."""
    done = subprocess.run([nvcc, "--list-gpu-arch"], universal_newlines=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    known = [line.replace("compute_", "") for line in done.stdout.split()]
    if not known:  # before CUDA 11 there is no such list
        known = ["60"]
    return [name for name in ARCHITECTURES if name in known]
