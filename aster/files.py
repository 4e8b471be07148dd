"""The one rule for paths that a configuration names, and the one reader of text files."""
import os
from typing import Optional


def find_file(path: str, base_dir: Optional[str] = None) -> str:
    """Finds a file that a configuration names.

    Args:
      path: the path as the configuration has it.
      base_dir: the experiment folder. A relative path is looked up there first, then in the working directory.

    Returns:
      The path to use: `path` itself where neither folder has it, so that the error names what was written.
    """
    beside = os.path.join(base_dir or "", path)
    return beside if os.path.exists(beside) else path


def read_text(path: str, what: str) -> str:
    """Reads a UTF-8 text file, with or without a byte order mark.

    Args:
      path: the file.
      what: what the file is, for messages: "the lexicon", "the character set".

    Returns:
      The text.

    Raises:
      ValueError: the file can't be read or is not UTF-8. The message names the file, and the line.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise ValueError(f"{path}: can't read {what} ({error.strerror})") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: {what} is not UTF-8 text ({error.reason}); save it as UTF-8, "
                         f"e.g. with iconv") from error
