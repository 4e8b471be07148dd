"""Installs ASTER. Builds the modules of the configuration language from protos/ and the op
library from aster/c_ops/src/.

Both must fit the protobuf and the TensorFlow that will load them, hence these have to be
installed first; every command below then finds them:

    pip install .
    pip install -e .
    python setup.py build_ext --inplace    # makes this checkout usable as it is

There is no pyproject.toml, because it would have pip build in an environment of its own on Python
3.6 too, which fails there: enum34, that TensorFlow 1.4 brings, breaks the pip in it.
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
print(json.dumps([tf.__version__, compile_flags, link_flags]))
"""


def stop(message):
    sys.stderr.write("\naster: %s\n" % message)
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
    """(version, compile flags, link flags) of the TensorFlow that is installed."""
    done = run_python("-c", TENSORFLOW_FLAGS)
    if done.returncode:
        stop("the build needs TensorFlow, which %s cannot import; run: pip install %s"
             % (sys.executable, NEEDED))
    return json.loads(done.stdout.splitlines()[-1])


def newest(paths):
    return max(os.path.getmtime(path) for path in paths)


def build_protos():
    """Compiles protos/*.proto to aster/protos/*_pb2.py, in place."""
    protos = sorted(glob.glob("protos/*.proto"))
    names = [os.path.basename(path)[:-len(".proto")] for path in protos]
    modules = ["aster/protos/%s_pb2.py" % name for name in names]
    if all(map(os.path.exists, modules)):
        # An older protobuf cannot read what a newer one has compiled.
        imports = "; ".join("import aster.protos.%s_pb2" % name for name in names)
        fresh = min(map(os.path.getmtime, modules)) >= newest(protos)
        if fresh and run_python("-c", imports).returncode == 0:
            return
    done = run_python("-m", "grpc_tools.protoc", "--proto_path=aster/protos=protos",
                      "--python_out=.", *protos)
    if "No module named" in done.stderr:
        stop("the build needs grpcio-tools; run: pip install %s" % NEEDED)
    if done.returncode:
        stop("protoc refused protos/:\n" + done.stderr)


class BuildPy(build_py):

    def run(self):
        build_protos()
        build_py.run(self)


class BuildOps(build_ext):
    """Compiles the op library, whose name tells the TensorFlow that it is for."""

    def run(self):
        build_protos()  # in-place builds run this command only
        build_ext.run(self)

    def get_ext_filename(self, fullname):
        return os.path.join(*fullname.split(".")) + "_tf%s.so" % tensorflow()[0]

    def build_extension(self, ext):
        version, compile_flags, link_flags = tensorflow()
        library = self.get_ext_fullpath(ext.name)
        if not os.path.exists(library) or os.path.getmtime(library) <= newest(ext.sources + ext.depends):
            self.compile(ext, library, version, compile_flags, link_flags)
        # `python -m aster.train` in this checkout finds the checkout before what pip installed
        beside = os.path.join("aster", "c_ops", os.path.basename(library))
        if os.path.abspath(library) != os.path.abspath(beside):
            shutil.copyfile(library, beside)

    @staticmethod
    def compile(ext, library, version, compile_flags, link_flags):
        compiler = shlex.split(os.environ.get("CXX", "g++"))
        if not shutil.which(compiler[0]):
            stop("the build needs a C++ compiler, and there is no %s; run: apt-get install g++"
                 % compiler[0])
        # TensorFlow's headers, and what newer ones deprecate but 1.4 needs, give no warnings.
        compile_flags = [re.sub("^-I", "-isystem", flag) for flag in compile_flags]
        command = (compiler + ["-shared", "-fPIC", "-O3", "-Wall", "-Wno-psabi",
                               "-Wno-deprecated-declarations"] + compile_flags +
                   ["-DASTER_TF_MAJOR=" + version.split(".")[0]] + ext.sources +
                   ["-o", library] + link_flags)
        print(" ".join(command))
        os.makedirs(os.path.dirname(library), exist_ok=True)
        if subprocess.call(command):
            stop("the op library did not compile; the compiler's messages are above")


setup(
    name="aster",
    version=re.search('__version__ = "(.*)"', open("aster/__init__.py").read()).group(1),
    description="Scene-text recognition with flexible rectification",
    author="ASTER contributors",
    license="MIT",
    packages=find_packages(include=["aster", "aster.*"]),
    ext_modules=[Extension("aster.c_ops.libaster_ops", sorted(glob.glob("aster/c_ops/src/*.cc")),
                           depends=["setup.py"] + glob.glob("aster/c_ops/src/*.h"))],
    cmdclass={"build_py": BuildPy, "build_ext": BuildOps},
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
        "editdistance; python_version >= '3.10'",
        "protobuf==3.19.6; python_version < '3.7'",
        "protobuf; python_version >= '3.10'",
        "tqdm==4.64.1; python_version < '3.7'",
        "tqdm; python_version >= '3.10'",
    ],
    extras_require={
        "build": ["grpcio-tools"],
        "test": ["pytest"],
        # Words and fonts for tools/create_synthetic_tfrecord.py; matplotlib brings DejaVu.
        "synth": ["pyspellchecker", "matplotlib", "font-roboto", "font-source-sans-pro",
                  "font-source-serif-pro", "font-caladea"],
    },
)
