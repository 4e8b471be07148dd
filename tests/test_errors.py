"""One line out of the errors of others, and texts that are no commands to the terminal."""
import logging
import os
import subprocess
import sys

import pytest

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
