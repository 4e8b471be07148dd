"""One line out of the errors of TensorFlow, whose messages may hold a whole stack trace."""
import re


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


def describe(error: BaseException) -> str:
    """Says in one line what happened, beginning with the file's name where an error of the system has one.

    Args:
      error: any error.

    Returns:
      The line.
    """
    filename, strerror = getattr(error, "filename", None), getattr(error, "strerror", None)
    return f"{filename}: {strerror}" if filename and strerror else strerror or cause(error)
