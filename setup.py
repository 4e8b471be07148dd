"""Builds aster/protos/*_pb2.py from protos/, and the op library from aster/c_ops/src/.

The op library must be built with the TensorFlow that will load it, so install with
    pip install --no-build-isolation .
in an environment that has TensorFlow and grpcio-tools.
"""
import glob
import os
import subprocess
import sys

from setuptools import find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

ROOT = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join("aster", "c_ops", "src")
LIBRARY = os.path.join("aster", "c_ops", "libaster_ops.so")

INSTALL_REQUIRES = [
    'tensorflow-gpu==1.4.0; python_version < "3.7"',
    'tensorflow>=2.16; python_version >= "3.10"',
    'numpy==1.19.5; python_version < "3.7"',
    'numpy; python_version >= "3.10"',
    'pillow==8.4.0; python_version < "3.7"',
    'pillow; python_version >= "3.10"',
    'editdistance==0.6.0; python_version < "3.7"',
    'editdistance; python_version >= "3.10"',
    'protobuf==3.19.6; python_version < "3.7"',
    'protobuf; python_version >= "3.10"',
    'tqdm==4.64.1; python_version < "3.7"',
    'tqdm; python_version >= "3.10"',
]
EXTRAS_REQUIRE = {
    # Fonts and words for tools/create_synthetic_tfrecord.py.
    "synth": ["matplotlib", "font-roboto", "font-source-sans-pro", "font-source-serif-pro", "font-caladea"],
    "test": ["pytest"],
}


def fail(problem, command):
    sys.exit("aster: %s; run: %s" % (problem, command))


def compile_protos(target):
    """protos/*.proto -> target/aster/protos/*_pb2.py, for the protobuf that is installed."""
    try:
        from grpc_tools import protoc
    except ImportError:
        fail("grpcio-tools is missing, which compiles protos/",
             "pip install tensorflow grpcio-tools && pip install --no-build-isolation .")
    files = sorted(glob.glob(os.path.join("protos", "*.proto")))
    status = protoc.main(["protoc", "--proto_path=aster/protos=protos", "--python_out=" + target] + files)
    if status:
        fail("protoc failed on protos/", "python -m grpc_tools.protoc --version")


def tensorflow_flags():
    """(compiler flags, linker flags) of the installed TensorFlow, asked for in a process of its own."""
    script = (
        "import os, sys, tensorflow as tf\n"
        "major = tf.__version__.split('.')[0]\n"
        "if major == '1':\n"
        "    include, lib = tf.sysconfig.get_include(), tf.sysconfig.get_lib()\n"
        "    flags = ['-std=c++11', '-D_GLIBCXX_USE_CXX11_ABI=0', '-I' + include,\n"
        "             '-I' + os.path.join(include, 'external', 'nsync', 'public')]\n"
        "    links = ['-L' + lib, '-ltensorflow_framework']\n"
        "else:\n"
        "    flags, links = tf.sysconfig.get_compile_flags(), tf.sysconfig.get_link_flags()\n"
        "print('\\n'.join(['FLAGS', '-DASTER_TF_MAJOR=' + major] + flags + ['LINKS'] + links))\n")
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               universal_newlines=True, cwd=os.path.expanduser("~"))
    output, errors = process.communicate()
    if process.returncode:
        last = (errors.strip().splitlines() or ["?"])[-1]
        wanted = "tensorflow==1.4.0" if sys.version_info < (3, 7) else "tensorflow"
        fail("can't import TensorFlow, with which the ops are built (%s)" % last,
             "pip install %s grpcio-tools && pip install --no-build-isolation ." % wanted)
    words = output.split("FLAGS\n", 1)[1].split("\n")
    links = words.index("LINKS")
    return words[:links], [word for word in words[links + 1:] if word]


def compile_ops(target):
    """aster/c_ops/src/*.cc -> target, unless it is newer than its sources and was built with the same flags."""
    sources = sorted(glob.glob(os.path.join(SOURCES, "*.cc")))
    flags, links = tensorflow_flags()
    # no contraction of a * b + c: results must not depend on what the compiler fuses
    command = ([os.environ.get("CXX", "g++"), "-shared", "-fPIC", "-O3", "-ffp-contract=off", "-w"] + sources
               + flags + links + ["-o", target])
    stamp = target + ".command"
    newest = max(os.path.getmtime(path) for path in glob.glob(os.path.join(SOURCES, "*")))
    if os.path.exists(target) and os.path.exists(stamp) and os.path.getmtime(target) > newest:
        with open(stamp) as stream:
            if stream.read() == " ".join(command):
                return
    print("building %s" % target)
    try:
        subprocess.check_call(command)
    except OSError:
        fail("the C++ compiler %s is missing" % command[0], "apt-get install g++")
    except subprocess.CalledProcessError:
        fail("the ops did not compile (see above)", "g++ --version  # 4.9 or newer is needed")
    with open(stamp, "w") as stream:
        stream.write(" ".join(command))


class BuildPy(build_py):
    """Also makes what is generated, where the package is built."""

    def run(self):
        build_py.run(self)
        compile_protos(self.build_lib)
        target = os.path.join(self.build_lib, LIBRARY)
        self.mkpath(os.path.dirname(target))
        compile_ops(target)


class BuildExt(build_ext):
    """python setup.py build_ext --inplace: makes a checkout usable (pip install -e . does the same)."""

    def run(self):
        compile_protos(".")
        compile_ops(LIBRARY)


class BinaryDistribution(Distribution):
    def has_ext_modules(self):
        return True


os.chdir(ROOT)
with open(os.path.join("aster", "__init__.py")) as stream:
    VERSION = stream.read().split('__version__ = "')[1].split('"')[0]

setup(
    name="aster",
    version=VERSION,
    description="Scene-text recognition with flexible rectification",
    license="MIT",
    packages=find_packages(include=["aster", "aster.*"]),
    python_requires=">=3.6,!=3.7.*,!=3.8.*,!=3.9.*",
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
    distclass=BinaryDistribution,
    zip_safe=False,
)
