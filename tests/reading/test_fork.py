"""Processes that are forked before and after TensorFlow is used; each in a Python of its own, with a time limit."""
import subprocess
import sys

import pytest

from aster.compat import IS_TF1

START = """
import glob, os, sys, time
import aster
from aster.config import read_config
from aster.evaluation.evaluator import recognize_records
from aster.pretrained import ENGLISH
from aster.reading.serving import export_onnx, export_saved_model
from aster.compat import session_config
from aster.pretrained import SAMPLES

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
    attempt("export_saved_model", lambda: export_saved_model(ENGLISH, sys.argv[1]))
    attempt("export_onnx", lambda: export_onnx(ENGLISH, sys.argv[1]))
    attempt("recognize_records", lambda: recognize_records(recognizer, config.eval_input_reader, (), base_dir=""))
    in_fork(lambda: attempt("grandchild", read))
    recognizer.close()

in_fork(work)
print("parent", len(recognizer.recognize_preprocessed(preprocessed)))
recognizer.close()
attempt("closed", lambda: recognizer.recognize_preprocessed(preprocessed))
in_fork(lambda: attempt("new_after_close", read))
"""
EXPORTED = START + """
export_saved_model(ENGLISH, sys.argv[1])

def work():
    attempt("new_after_export", read)
    sys.stdout.flush()
    os._exit(0)  # as multiprocessing does; TensorFlow may wait at an ordinary end for threads that it has not

in_fork(work)
"""
BEFORE = START + """
in_fork(lambda: print(read()))
print(read())
"""


def run(script, *arguments):
    done = subprocess.run([sys.executable, "-c", script, *arguments], universal_newlines=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """{name of an attempt after the fork: what came of it}"""
    output = str(tmp_path_factory.mktemp("exports") / "1")
    return dict(line.split(" ", 1) for line in run(AFTER, output) + run(EXPORTED, output))


@pytest.mark.parametrize("name", [
    "recognize", "recognize_that_has_begun", "recognize_preprocessed", "read_prepared", "new", "session_config",
    "grandchild", "new_after_close", "export_saved_model", "recognize_records", "new_after_export",
    pytest.param("export_onnx", marks=pytest.mark.skipif(IS_TF1, reason="ONNX needs TensorFlow 2"))])
def test_after_a_fork_the_remedy_is_named(said, name):
    assert said[name].startswith("ValueError this process was forked from one that had used TensorFlow")
    assert "spawn" in said[name] and "--preload" in said[name]


def test_a_fork_leaves_the_parent_as_it_was(said):
    assert said["parent"] == "1"
    assert said["closed"].startswith("ValueError this Recognizer is closed")


def test_a_fork_before_the_first_recognizer_reads():
    child, parent = run(BEFORE)
    assert child == parent and child.startswith("['")
