"""Processes that are forked before and after TensorFlow is used; each in a Python of its own, with a time limit."""
import importlib.util
import subprocess
import sys

import pytest

from aster.compat import CAN_EXPORT_ONNX

HAS_ONNX = CAN_EXPORT_ONNX and importlib.util.find_spec("tf2onnx")

START = """
import glob, os, sys, tempfile, time
import aster
from aster.config import read_config
from aster.evaluation.evaluator import recognize_records
from aster.compat import session_config
from aster.pretrained import ENGLISH, SAMPLES
from aster.reading import serving

IMAGES = sorted(glob.glob(SAMPLES + "/*.jpg"))[:2]

def read():
    with aster.Recognizer.from_experiment() as recognizer:
        return [reading.text for reading in recognizer.recognize(IMAGES)]

def in_fork(work, seconds=60):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        work()
        sys.exit()  # with all that Python does at its end, objects of TensorFlow freed
    limit = time.time() + seconds
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.time() > limit:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return print("hangs")
        time.sleep(0.05)

def attempt(name, work):
    try:
        print(name, work())
    except ValueError as error:
        print(name, "ValueError", error)
"""
AFTER = START + """
recognizer = aster.Recognizer.from_experiment()
preprocessed = [recognizer._inference.preprocess(aster.data.image.load_image(IMAGES[0]))]
config = read_config(ENGLISH)
started = recognizer.recognize(IMAGES * 2, batch_size=1)
next(started)

def work():
    attempt("recognize", lambda: list(recognizer.recognize(IMAGES)))
    attempt("recognize_that_has_begun", lambda: list(started))
    attempt("recognize_preprocessed", lambda: recognizer.recognize_preprocessed(preprocessed))
    attempt("read_prepared", lambda: recognizer.read_prepared(preprocessed))
    attempt("new", read)
    attempt("session_config", session_config)
    attempt("export_saved_model", lambda: serving.export_saved_model(ENGLISH, "/tmp/never made"))
    attempt("export_onnx", lambda: serving.export_onnx(ENGLISH, "/tmp/never made.onnx"))
    attempt("recognize_records", lambda: recognize_records(recognizer, config.eval_input_reader, (), base_dir=""))
    in_fork(lambda: attempt("grandchild", read))
    recognizer.close()

in_fork(work)
print("parent", len(recognizer.recognize_preprocessed(preprocessed)))
recognizer.close()
attempt("closed", lambda: recognizer.recognize_preprocessed(preprocessed))
in_fork(lambda: attempt("new_after_close", read))
"""
AFTER_EXPORT = START + """
with tempfile.TemporaryDirectory() as folder:
    getattr(serving, sys.argv[1])(ENGLISH, folder + "/" + sys.argv[1], greedy=True)

def work():
    attempt("new", read)
    sys.stdout.flush()
    os._exit(0)  # as multiprocessing does; TensorFlow 2's eager mode, which exports use, would hang at Python's own end

in_fork(work)
"""
BEFORE = START + """
in_fork(lambda: print(read()))
print(read())
"""


def run(script, *arguments):
    done = subprocess.run([sys.executable, "-c", script] + list(arguments), universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def said():
    """{name of an attempt after the fork: what came of it}"""
    return dict(line.split(" ", 1) for line in run(AFTER))


@pytest.mark.parametrize("name", [
    "recognize", "recognize_that_has_begun", "recognize_preprocessed", "read_prepared", "new", "session_config",
    "export_saved_model", "export_onnx", "recognize_records", "grandchild", "new_after_close"])
def test_after_a_fork_the_remedy_is_named(said, name):
    if name == "export_onnx" and not HAS_ONNX:
        pytest.skip("needs tf2onnx")
    assert said[name].startswith("ValueError this process was forked from one that had used TensorFlow")
    assert "spawn" in said[name] and "--preload" in said[name]


def test_a_fork_leaves_the_parent_as_it_was(said):
    assert said["parent"] == "1"
    assert said["closed"].startswith("ValueError this Recognizer is closed")


@pytest.mark.parametrize("export", ["export_saved_model", "export_onnx"])
def test_after_an_export_and_a_fork_the_remedy_is_named(export):
    if export == "export_onnx" and not HAS_ONNX:
        pytest.skip("needs tf2onnx")
    line, = run(AFTER_EXPORT, export)
    assert line.startswith("new ValueError this process was forked from one that had used TensorFlow")


def test_a_fork_before_the_first_recognizer_reads():
    child, parent = run(BEFORE)
    assert child == parent and child.startswith("['")
