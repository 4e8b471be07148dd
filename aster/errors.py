"""Texts for people: one line out of TensorFlow's errors, whose messages may hold a whole stack trace; and no text that
is a command to the terminal."""
import contextlib
import logging
import re
import sys
import traceback
from typing import Any, Iterator

# What a terminal obeys: C0, DEL and C1, but not tabulators and ends of lines.
_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)] if chr(code) not in "\t\n"}


def printable(text: str) -> str:
    """Makes a text safe for a terminal: control characters of file names and labels become \\x1b and the like.

    Args:
      text: any text.

    Returns:
      The text; tabulators and ends of lines stay.
    """
    return text.translate(_CONTROL)


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


def cause(error: BaseException) -> str:
    """Finds the line of an error's message that says what happened.

    Args:
      error: an error of TensorFlow's, or any other.

    Returns:
      That line, or the name of the error's type where there is no message.
    """
    lines = [line.strip() for line in (getattr(error, "message", None) or str(error)).splitlines() if line.strip()]
    for before, line in zip(lines, lines[1:]):
        if line.startswith("[[{{node"):
            return before
    lines = [line for line in lines if line != "Graph execution error:"]
    if lines and lines[0].startswith("Traceback"):  # TensorFlow 1.4, where it can't load its libraries
        lines = [line for line in lines if re.match(r"\w*Error: ", line)][-1:] or lines
    return lines[0] if lines else type(error).__name__
