"""One line out of the errors of others, and texts that are no commands to the terminal."""
import logging
import os
import re
import subprocess
import sys

import pytest

from aster.compat import IS_TF1, tf
from aster.errors import PrintableFormatter, cause, printable

TENSORFLOW_2 = """Graph execution error:

Detected at node 'save/SaveV2' defined at (most recent call last):
    File "x.py", line 1, in <module>
Node: 'save/SaveV2'
/log/model.ckpt-1.tempstate; No space left on device
\t [[{{node save/SaveV2}}]]

Original stack trace for 'save/SaveV2':
"""


def test_the_cause_is_the_line_that_says_what_happened():
    assert cause(ValueError(TENSORFLOW_2)).endswith("No space left on device")
    assert cause(ValueError("one\ntwo")) == "one"
    assert cause(ValueError("")) == "ValueError"


def test_the_cause_of_a_library_that_tensorflow_1_cannot_load():
    message = ("Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    import y\n"
               "ImportError: libcublas.so.8.0: cannot open shared object file\n\n\n"
               "Failed to load the native TensorFlow runtime.\n")
    assert cause(ImportError(message)) == "ImportError: libcublas.so.8.0: cannot open shared object file"


FRAME = '  File "/a/x.py", line 7, in f  *\n    raise RuntimeError()\n'


@pytest.mark.parametrize("message, expected", [
    # TensorFlow 2, of a Python function in a graph, and of a generator, before which no node is named
    (f"Graph execution error:\n\nDetected at node 'F' defined at (most recent call last):\n{FRAME}Node: 'F'\n"
     f"RuntimeError: boom\nTraceback (most recent call last):\n\n{FRAME}\nRuntimeError: boom\n\n\n\t "
     "[[{{node F}}]]", "RuntimeError: boom (/a/x.py, line 7)"),
    (f"Graph execution error:\n\nRuntimeError: gone\nTraceback (most recent call last):\n\n{FRAME}\n"
     "RuntimeError: gone\n\n\n\t [[{{node PyFunc}}]]\n\t [[IteratorGetNext]]", "RuntimeError: gone (/a/x.py, line 7)"),
    # a message of several lines, whose last one is a brace
    ("Graph execution error:\n\nDetected at node 'zeros' defined at (most recent call last):\nNode: 'zeros'\n"
     "Cannot parse tensor from proto: dtype: DT_FLOAT\ntensor_shape {\n  dim {\n  size: 4\n  }\n}\n\n\t "
     "[[{{node zeros}}]]",
     "Cannot parse tensor from proto: dtype: DT_FLOAT"),
    ("2 root error(s) found.\n  (0) INVALID_ARGUMENT: the loss : Tensor had NaN values\n\t [[{{node Check}}]]\n"
     "  (1) INVALID_ARGUMENT: the loss : Tensor had NaN values\n\t [[{{node Check}}]]",
     "the loss : Tensor had NaN values"),
    ("Graph execution error:\n\nError in user-defined function passed to ParallelMapDatasetV2:6 transformation with "
     "iterator: Iterator::Root::Prefetch::Zip[0]::ParallelMapV2: boom\n\t [[{{node PyFunc}}]]", "boom"),
    # AutoGraph, when a graph is built
    (f"in user code:\n\n  {FRAME}  {FRAME}\n    RuntimeError: boom map\n", "RuntimeError: boom map"),
    (f"in user code:\n\n  {FRAME}\n    ValueError: step 2, normalize_image: equal\n    and more\n",
     "step 2, normalize_image: equal"),
    ("in user code:\n", "in user code:"),
    # TensorFlow 1.4
    ("the loss : Tensor had NaN values\n\t [[Node: CheckNumerics = CheckNumerics[T=DT_FLOAT]]]",
     "the loss : Tensor had NaN values"),
])
def test_the_cause_in_each_kind_of_message(message, expected):
    assert cause(ValueError(message)) == expected


def test_the_cause_of_real_errors():
    def fail(_):
        raise RuntimeError("no way")

    with tf.Graph().as_default(), tf.Session() as session:
        failing = tf.py_func(fail, [1.0], tf.float32)
        with pytest.raises(tf.errors.OpError) as info:
            session.run(failing)
        place = "" if IS_TF1 else rf" \({__file__}, line \d+\)"
        assert re.match(f"RuntimeError: no way{place}$", cause(info.value))
        with pytest.raises(tf.errors.OpError) as info:
            session.run(tf.check_numerics(tf.constant(float("nan")), "the loss"))
        assert cause(info.value).startswith("the loss : Tensor had NaN")
        with pytest.raises(RuntimeError) as info:
            tf.data.Dataset.from_tensors(1.0).map(fail)
        assert "no way" in cause(info.value)


NASTY = "\x1b]0;title\x07\x1b[2J\r\x7f\x9b31m\x00\x08"
SHOWN = "\\x1b]0;title\\x07\\x1b[2J\\x0d\\x7f\\x9b31m\\x00\\x08"


def test_no_text_is_a_command_to_the_terminal():
    assert printable(NASTY) == SHOWN
    for text in "a\tb\nc", "caf\xe9 \u4e2d\u6587 \u0623", "\u200f\xa0":
        assert printable(text) == text


def test_log_lines_are_printable():
    formatter = PrintableFormatter("%(message)s")
    try:
        raise ValueError(NASTY)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "skipped: %s", (NASTY,), sys.exc_info())
    line, _, more = formatter.format(record).partition("\n")
    assert line == f"skipped: {SHOWN}" and more.endswith(f"ValueError: {SHOWN}")


@pytest.mark.parametrize("last_words", ["sys.exit(NASTY)", "raise RuntimeError(NASTY)", "raise ValueError(NASTY)",
                                        "raise OSError(2, 'missing', NASTY)", "warnings.warn(NASTY)",
                                        "command.ArgumentParser().parse_args([NASTY])", "command.say(NASTY)"])
def test_the_last_words_of_a_command_are_printable(last_words):
    code = ("import sys, warnings\nfrom aster import command\n"
            f"NASTY = {NASTY!r}\n\ndef main():\n    {last_words}\ncommand.run(main)\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = (done.stdout + done.stderr).decode("utf-8")
    assert SHOWN in output and not set(NASTY) & set("\x1b\x07\r\x7f\x9b\x00\x08") & set(output)
