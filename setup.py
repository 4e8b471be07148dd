"""Installs ASTER. Builds the modules of the configuration language from protos/ and the op
library from aster/c_ops/src/.

Both must fit the protobuf and the TensorFlow that will load them. Install those first. Each of
these commands then finds them:

    pip install .
    pip install -e .
    python setup.py build_ext --inplace    # makes this checkout usable as it is

There is no pyproject.toml. With one, pip would build in an environment of its own. On Python 3.6
that fails, because TensorFlow 1.4 brings enum34, which breaks the pip in that environment.
"""
import functools
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))
from nvcc import architectures, find_nvcc  # noqa: E402

ON_TF1 = sys.version_info < (3, 7)
NEEDED = ("tensorflow==1.4.0 grpcio-tools==1.48.2" if ON_TF1 else
          "'tensorflow>=2.16' grpcio-tools")

TENSORFLOW_FLAGS = """
import json
import tensorflow as tf
if tf.__version__.startswith("1."):  # as its wheels were compiled
    include = tf.sysconfig.get_include()
    compile_flags = ["-std=c++11", "-D_GLIBCXX_USE_CXX11_ABI=0",
                     "-I" + include, "-I" + include + "/external/nsync/public"]
    link_flags = ["-L" + tf.sysconfig.get_lib(), "-ltensorflow_framework"]
else:
    compile_flags = tf.sysconfig.get_compile_flags()
    link_flags = tf.sysconfig.get_link_flags()
print(json.dumps([tf.__version__, compile_flags, link_flags, tf.test.is_built_with_cuda()]))
"""


def stop(message):
    sys.stderr.write(f"\naster: {message}\n")
    raise SystemExit(1)


def run_python(*arguments):
    """Runs Python with the packages that are installed.

    pip builds in an empty environment unless told otherwise. It makes that by environment
    variables, so that -E finds the installed packages after all.
    """
    for flags in [], ["-E"]:
        done = subprocess.run([sys.executable] + flags + list(arguments), universal_newlines=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode == 0:
            break
    return done


@functools.lru_cache(maxsize=None)
def tensorflow():
    """(version, compile flags, link flags, whether it is for GPUs) of the TensorFlow that is installed."""
    done = run_python("-c", TENSORFLOW_FLAGS)
    if done.returncode:
        stop(f"the build needs TensorFlow, which {sys.executable} cannot import; run: pip install {NEEDED}")
    return json.loads(done.stdout.splitlines()[-1])


def newest(paths):
    return max(os.path.getmtime(path) for path in paths)


def build_protos():
    """Compiles protos/*.proto to aster/protos/*_pb2.py, in place."""
    protos = sorted(glob.glob("protos/*.proto"))
    names = [os.path.basename(path)[:-len(".proto")] for path in protos]
    modules = [f"aster/protos/{name}_pb2.py" for name in names]
    if all(map(os.path.exists, modules)):
        # An older protobuf cannot read what a newer one has compiled.
        imports = "; ".join(f"import aster.protos.{name}_pb2" for name in names)
        fresh = min(map(os.path.getmtime, modules)) >= newest(protos)
        if fresh and run_python("-c", imports).returncode == 0:
            return
    done = run_python("-m", "grpc_tools.protoc", "--proto_path=aster/protos=protos",
                      "--python_out=.", *protos)
    if "No module named" in done.stderr:
        stop(f"the build needs grpcio-tools; run: pip install {NEEDED}")
    if done.returncode:
        stop("protoc refused protos/:\n" + done.stderr)


class BuildPy(build_py):

    def run(self):
        build_protos()
        build_py.run(self)
        self.copy_tools_and_experiments()

    def copy_tools_and_experiments(self):
        """An installed library has the tools and the configurations, too: python -m aster.tools, aster.new."""
        package = os.path.join(self.build_lib, "aster")
        copies = [(path, "tools/scripts/" + path[len("tools/"):]) for path in tools()]
        copies += [(path, path) for path in experiments()]
        for source, target in copies:
            target = os.path.join(package, target)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)


def tools():
    """The tools that an installed library has; the others are for who works on it."""
    own = ("draw_", "nvcc", "write_config_reference")
    return [path for path in sorted(glob.glob("tools/*.py") + glob.glob("tools/*/*.py") + glob.glob("tools/*/*.txt"))
            if not os.path.basename(path).startswith(own)]


def experiments():
    """The files of experiments that are not made by training."""
    return sorted(glob.glob("experiments/*/*.py") + glob.glob("experiments/*/*.txt") +
                  glob.glob("experiments/*/config/*.prototxt"))


def nvcc(built_with_cuda):
    """The path of nvcc if the library shall have kernels for GPUs, else None. ASTER_CUDA=0 or 1 decides; otherwise
    it has them where TensorFlow is for GPUs and nvcc is there."""
    wanted = os.environ.get("ASTER_CUDA", "")
    if wanted not in ("", "0", "1"):
        stop(f"ASTER_CUDA must be 0 or 1, not {wanted!r}")
    found = find_nvcc()
    if wanted == "1" and not found:
        stop("ASTER_CUDA=1 needs nvcc, and there is none in PATH or /usr/local/cuda/bin; install the CUDA toolkit, "
             "or build for CPUs with ASTER_CUDA=0")
    return found if wanted == "1" or (wanted == "" and built_with_cuda) else None


def gpu_flags(compiler):
    """nvcc's flags: machine code for each generation of GPUs that it knows, and one form for those to come."""
    names = architectures(compiler)
    flags = [f"-gencode=arch=compute_{name},code=sm_{name}" for name in names]
    return flags + [f"-gencode=arch=compute_{names[-1]},code=compute_{names[-1]}"]


class BuildOps(build_ext):
    """Compiles the op library, whose name tells the TensorFlow that it is for."""

    def run(self):
        build_protos()  # in-place builds run this command only
        build_ext.run(self)

    def get_ext_filename(self, fullname):
        return os.path.join(*fullname.split(".")) + f"_tf{tensorflow()[0]}.so"

    def build_extension(self, ext):
        library = self.get_ext_fullpath(ext.name)
        if not os.path.exists(library) or os.path.getmtime(library) <= newest(ext.sources + ext.depends):
            self.compile(ext, library)
        # `python -m aster.train` in this checkout finds the checkout before what pip installed
        beside = os.path.join("aster", "c_ops", os.path.basename(library))
        if os.path.abspath(library) != os.path.abspath(beside):
            shutil.copyfile(library, beside + ".new")
            os.replace(beside + ".new", beside)  # a process that has loaded the old one goes on with it

    def compile(self, ext, library):
        _, compile_flags, link_flags, built_with_cuda = tensorflow()
        compiler = shlex.split(os.environ.get("CXX", "g++"))
        if not shutil.which(compiler[0]):
            stop(f"the build needs a C++ compiler, and there is no {compiler[0]}; run: apt-get install g++")
        os.makedirs(os.path.dirname(library), exist_ok=True)
        # TensorFlow's headers, and what newer ones deprecate but 1.4 needs, give no warnings.
        compile_flags = [re.sub("^-I", "-isystem", flag) for flag in compile_flags]
        gpu_compiler, objects = nvcc(built_with_cuda), []
        if gpu_compiler:
            folder = self.build_temp  # not beside the library, where they would get into a wheel
            os.makedirs(folder, exist_ok=True)
            objects, gpu_link_flags = compile_for_gpus(gpu_compiler, folder, compiler)
            compile_flags += cuda_headers(gpu_compiler, compile_flags) + ["-DASTER_CUDA", "-DEIGEN_USE_GPU"]
            link_flags = gpu_link_flags + link_flags  # before TensorFlow, which exports CUDA's functions of its own
        run_compiler(compiler + ["-shared", "-fPIC", "-O3", "-Wall", "-Wno-psabi", "-Wno-deprecated-declarations"] +
                     compile_flags + ext.sources + objects + ["-o", library] + link_flags)


def run_compiler(command):
    print(" ".join(command))
    if subprocess.call(command):
        stop("the op library did not compile; the compiler's messages are above%s" %
             ("; ASTER_CUDA=0 builds it without kernels for GPUs" if "nvcc" in " ".join(command) else ""))


def toolkit(compiler):
    """The folder of the CUDA toolkit that nvcc belongs to; nvcc itself may be a script elsewhere."""
    done = subprocess.run([compiler, "--dryrun", "-x", "cu", os.devnull], universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    top = re.search(r"^#\$ TOP=(.*)$", done.stdout, re.MULTILINE)
    if not top:
        stop(f"{compiler} --dryrun does not tell its folder; ASTER_CUDA=0 builds without kernels for GPUs")
    return os.path.normpath(top.group(1))


def cuda_headers(compiler, compile_flags):
    """TensorFlow 2 brings the headers of the CUDA that it was made with; for 1.4 they are the toolkit's."""
    for flag in compile_flags:
        own = os.path.join(flag.replace("-isystem", ""), "third_party", "gpus", "cuda", "include")
        if flag.startswith("-isystem") and os.path.exists(os.path.join(own, "cuda_runtime.h")):
            return ["-isystem" + own]
    return ["-isystem" + os.path.join(toolkit(compiler), "include")]


def compile_for_gpus(compiler, folder, host_compiler):
    """Compiles the .cu files -> objects and what links them. CUDA's runtime goes into the library."""
    objects = []
    for source in sorted(glob.glob("aster/c_ops/src/*.cu")):
        objects.append(os.path.join(folder, os.path.basename(source) + ".o"))
        run_compiler([compiler, "-c", source, "-o", objects[-1], "-O3", "-std=c++11", "-Xcompiler", "-fPIC",
                      "-ccbin", host_compiler[0]] + gpu_flags(compiler))
    libraries = [path for path in ("lib64", "lib") if os.path.exists(
        os.path.join(toolkit(compiler), path, "libcudart_static.a"))]
    if not libraries:
        stop(f"there is no libcudart_static.a in {toolkit(compiler)}; ASTER_CUDA=0 builds without kernels for GPUs")
    return objects, ["-L" + os.path.join(toolkit(compiler), libraries[0]), "-lcudart_static",
                     "-Wl,--exclude-libs,libcudart_static.a", "-lrt", "-lpthread", "-ldl"]


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


setup(
    name="aster",
    version=re.search('__version__ = "(.*)"', read("aster/__init__.py")).group(1),
    description="Scene-text recognition with flexible rectification",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C++",
        "Programming Language :: Python :: 3.6",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    author="ASTER contributors",
    license="MIT",
    keywords="ocr scene-text-recognition spatial-transformer attention ctc tensorflow",
    packages=find_packages(include=["aster", "aster.*"]),
    # of aster.pretrained the samples and every model, and no __pycache__
    package_data={"aster": ["py.typed", "serve.html"], "aster.pretrained": ["[!_]*/*", "[!_]*/*/*"]},
    ext_modules=[Extension("aster.c_ops.libaster_ops", sorted(glob.glob("aster/c_ops/src/*.cc")),
                           depends=["setup.py"] + glob.glob("aster/c_ops/src/*.h") +
                           glob.glob("aster/c_ops/src/*.cu*"))],
    cmdclass={"build_py": BuildPy, "build_ext": BuildOps},
    entry_points={"console_scripts": [f"aster-{name} = aster.{name}:cli"
                                      for name in ("train", "launch", "eval", "demo", "export", "new", "doctor")]},
    zip_safe=False,
    python_requires=">=3.6,!=3.7.*,!=3.8.*,!=3.9.*",
    install_requires=[
        "tensorflow-gpu==1.4.0; python_version < '3.7'",
        "tensorflow>=2.16; python_version >= '3.10'",
        # The last that Python 3.6 can run, each; requirements/tf1.txt repeats them.
        "numpy==1.19.5; python_version < '3.7'",
        "numpy; python_version >= '3.10'",
        "pillow==8.4.0; python_version < '3.7'",
        "pillow; python_version >= '3.10'",
        "editdistance==0.6.0; python_version < '3.7'",
        "editdistance; python_version >= '3.10' and python_version < '3.13'",
        "rapidfuzz; python_version >= '3.13'",  # editdistance has no wheel there
        "protobuf==3.19.6; python_version < '3.7'",
        "protobuf; python_version >= '3.10'",
        "tqdm==4.64.1; python_version < '3.7'",
        "tqdm; python_version >= '3.10'",
        "matplotlib==3.3.4; python_version < '3.7'",
        "matplotlib; python_version >= '3.10'",
    ],
    extras_require={
        "build": ["grpcio-tools"],
        "test": ["pytest"],
        # python -m aster.beam. Apache Beam needs an older protobuf, and grpcio-tools must fit that (docs/beam.md).
        "beam": ["apache-beam; python_version >= '3.10'", "protobuf<7; python_version >= '3.10'",
                 "grpcio-tools; python_version >= '3.10'"],
        # .mat files, LMDB and XML for tools/create_*_tfrecord.py
        "convert": ["scipy", "lmdb", "defusedxml"],
        # whole photos by python -m aster.demo --detect
        "detect": ["rapidocr", "onnxruntime"],
        # ONNX files by python -m aster.export, on TensorFlow 2
        "export": ["tf2onnx", "onnxruntime"],
        # Words and fonts for tools/create_synthetic_tfrecord.py, beside matplotlib's DejaVu
        "synth": ["pyspellchecker", "font-roboto", "font-source-sans-pro",
                  "font-source-serif-pro", "font-caladea"],
    },
)
