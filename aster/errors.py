"""Texts for people: one line out of TensorFlow's errors, whose messages may hold a whole stack trace; and no text that
is a command to the terminal."""
import contextlib
import functools
import logging
import re
import sys
import traceback
from typing import Any, Iterator

# What a terminal obeys: C0, DEL and C1, but not tabulators and ends of lines.
_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)] if chr(code) not in "\t\n"}

_LONGEST_QUOTE = 100  # characters


def printable(text: str) -> str:
    """Makes a text safe for a terminal: control characters of file names and labels become \\x1b and the like.

    Args:
      text: any text.

    Returns:
      The text; tabulators and ends of lines stay.
    """
    return text.translate(_CONTROL)


def shortened(text: str) -> str:
    """Cuts a text that a message quotes: a word may be a whole file by mistake.

    Args:
      text: any text.

    Returns:
      The text, or its first 100 characters and an ellipsis.
    """
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."


@contextlib.contextmanager
def safe_for_terminal() -> Iterator[None]:
    """Within the block, or the function that this decorates, the last words of a process are printable: the message of
    sys.exit, and the traceback of an error that nothing catches."""
    sys.excepthook = _print_traceback
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.code, str):
            stop.code = printable(stop.code)
        raise


def _print_traceback(*error: Any) -> None:
    print(printable("".join(traceback.format_exception(*error))), end="", file=sys.stderr)


class PrintableFormatter(logging.Formatter):
    """Formats log lines so that they are safe for a terminal, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record."""
        return printable(super().format(record))

# The last of these lines stands before the message proper; what comes before it tells where in a graph or a program.
_HEADING = re.compile(r"Graph execution error:$|Node: '.*'$|\d+ root error\(s\) found\.$|Original error:$")
_NODE = "[[{{node", "[[Node: "  # what comes after the message: where it happened, and hints
_PREFIX = re.compile(r"^\(\d+\) [\w ]+: +|^Error in user-defined function passed to .* with iterator: \S*: ")
_CALL = re.compile(r'File "(.*)", line (\d+), in ')


def cause(error: BaseException) -> str:
    """Finds the line of an error's message that says what happened.

    Args:
      error: an error of TensorFlow's, or any other.

    Returns:
      That line, or the name of the error's type where there is no message. Of an error in a Python function in a graph,
      file and line follow, if TensorFlow tells them.
    """
    lines = [line.strip() for line in (getattr(error, "message", None) or str(error)).splitlines() if line.strip()]
    if lines[:1] == ["in user code:"]:
        return _cause_in_autograph(lines)
    end = next((i for i, line in enumerate(lines) if line.startswith(_NODE)), len(lines))
    start = max((i + 1 for i, line in enumerate(lines[:end]) if _HEADING.match(line)), default=0)
    lines = lines[start:end] or lines
    if lines and lines[0].startswith("Traceback"):  # TensorFlow 1.4, where it can't load its libraries
        lines = [line for line in lines if re.match(r"\w*Error: ", line)][-1:] or lines
    calls = [call for call in map(_CALL.match, lines) if call and "site-packages" not in call.group(1)]
    place = f" ({calls[-1].group(1)}, line {calls[-1].group(2)})" if calls else ""
    return _PREFIX.sub("", lines[0]) + place if lines else type(error).__name__


def _cause_in_autograph(lines):
    """Of an error while AutoGraph, TensorFlow 2's compiler, ran a Python function.

    Two lines tell of each call, file and code. The line after them begins with the type of the error, which says
    nothing more where it is a ValueError.
    """
    last_call = max((i for i, line in enumerate(lines) if _CALL.match(line)), default=-2)
    return re.sub("^ValueError: ", "", (lines[last_call + 2:] or lines[-1:])[0])


def describe(error: BaseException) -> str:
    """Says in one line what happened, beginning with the file's name where an error of the system has one.

    Args:
      error: any error.

    Returns:
      The line.
    """
    filename, strerror = getattr(error, "filename", None), getattr(error, "strerror", None)
    return f"{filename}: {strerror}" if filename and strerror else strerror or cause(error)


@functools.lru_cache(maxsize=None)
def warn_once(log: logging.Logger, text: str) -> None:
    """Logs a warning the first time only: what it is about may be looked at again and again."""
    log.warning("%s", text)
