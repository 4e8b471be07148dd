"""A wheel has all that an installed library needs, and nothing else; it reads from an environment of its own."""
import glob
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from writing import put

from aster.pretrained import SAMPLES

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def call(*command, **options):
    done = subprocess.run([str(word) for word in command], universal_newlines=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The path of a wheel that is built from a copy of what git knows of this checkout."""
    if shutil.which("git") is None or not os.path.exists(os.path.join(ROOT, ".git")):
        pytest.skip("needs a git checkout")
    copy = str(tmp_path_factory.mktemp("checkout"))
    for name in call("git", "ls-files", "-z", cwd=ROOT).split("\0"):
        if os.path.isfile(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(copy, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(copy, name))
    for built in glob.glob(os.path.join(ROOT, "build", "lib.*", "aster", "c_ops", "*.so")):  # not compiled again
        target = os.path.join(copy, os.path.relpath(built, ROOT))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(built, target)
    for name in "config/trainval.prototxt", "log/model.ckpt-1.index", "letters.txt":  # a second model
        put(copy, "aster/pretrained/other/" + name, "")
    put(copy, "aster/pretrained/__pycache__/old.pyc", "")
    call(sys.executable, "setup.py", "-q", "bdist_wheel", cwd=copy, env=dict(os.environ, ASTER_CUDA="0"))
    path, = glob.glob(os.path.join(copy, "dist", "*.whl"))
    return path


def test_what_a_wheel_holds(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("aster/serve.html", "aster/py.typed", "aster/protos/pipeline_pb2.py",
                 "aster/beam/__main__.py", "aster/keras_layers/__init__.py", "aster/keras_layers/rectifier.py",
                 "aster/pretrained/english/words.txt", "aster/pretrained/samples/1_exit.jpg",
                 "aster/pretrained/other/config/trainval.prototxt", "aster/pretrained/other/letters.txt",
                 "aster/tools/scripts/create_folder_tfrecord.py",
                 "aster/tools/scripts/conversion/lists.py", "aster/tools/scripts/synthetic/sign_words.txt",
                 "aster/experiments/quickstart/config/trainval.prototxt", "aster/experiments/custom_encoder/parts.py"):
        assert name in names
    assert sum(name.endswith(".so") for name in names) == 1
    assert not [name for name in names if name.endswith((".o", ".cu", ".cc", ".pyc")) or "/log/events" in name
                or name.startswith(("tests/", "tools/", "docs/"))]


def test_it_reads_in_an_environment_of_its_own(wheel, tmp_path):
    """One that sees the packages that it depends on, and not this checkout."""
    environment = str(tmp_path / "environment")
    call(sys.executable, "-m", "venv", environment)
    python = os.path.join(environment, "bin", "python")
    own = call(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    with open(os.path.join(own, "dependencies.pth"), "w") as stream:
        stream.write(sysconfig.get_paths()["purelib"] + "\n")
    call(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel)
    folder = str(tmp_path / "elsewhere")
    os.makedirs(folder)
    options = dict(cwd=folder, env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"})
    assert own in call(python, "-c", "import aster; print(aster.__file__)", **options)
    names = call(python, "-c", "import aster; print(*aster.pretrained.list())", **options).split()
    assert names[0] == "english" and "other" in names
    output = call(os.path.join(environment, "bin", "aster-demo"), "--input_image", SAMPLES, **options)
    assert "HARBOUR" in output and "exit" in output
    assert "create_synthetic_tfrecord" in call(python, "-m", "aster.tools", **options)
    assert "--data_dir" in call(python, "-m", "aster.tools", "create_folder_tfrecord", "--help", **options)
    call(python, "-m", "aster.new", "mine", "--template", "quickstart", **options)
    assert os.path.exists(os.path.join(folder, "mine", "config", "trainval.prototxt"))
