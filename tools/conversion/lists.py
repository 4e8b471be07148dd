"""Reads the lists of words that data sets come with."""
import re
from typing import Any, Callable, List, Sequence, Tuple

from conversion.convert import Skipped


def read_lines(path: str) -> List[Tuple[int, str]]:
    """Reads the lines of a list that belongs to a data set.

    Published lists are UTF-8, Latin-1 or both, so a line that is not UTF-8 is decoded as Latin-1. This is why
    aster.files.read_text, which refuses such a file, is not used here.

    Args:
      path: the file, with or without a byte order mark.

    Returns:
      (number from 1, text without spaces at the end) of each line that is not empty.
    """
    lines = []
    with open(path, "rb") as stream:
        for number, line in enumerate(stream.read().splitlines(), 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                text = line.decode("latin-1")
            if text.strip():
                lines.append((number, text.rstrip()))
    return lines


def quoted_list(path: str) -> list:
    """Reads a list of `word_1.png, "text"`. There may be commas in the text.

    Args:
      path: the file.

    Returns:
      (image name, text) of each line, or Skipped.
    """
    items: List[Any] = []
    for number, line in read_lines(path):
        name, comma, text = line.partition(",")
        text = text.strip()
        if comma and len(text) >= 2 and text[0] == text[-1] == '"':
            text = unescape(text[1:-1])
        items.append((name.strip(), text) if comma else bad_line(path, number, line, expected='`name, "text"`'))
    return items


def read_pairs(path: str) -> list:
    """Reads a list of `path text`, with the first space between them.

    Args:
      path: the file.

    Returns:
      (image name, text) of each line, or Skipped.
    """
    items: List[Any] = []
    for number, line in read_lines(path):
        name, space, text = line.lstrip().partition(" ")
        items.append((name, text) if space else bad_line(path, number, line, expected="`path text`"))
    return items


def image_list(path: str) -> list:
    """Reads imagelist.txt, whose lines are `path text lexicon_length word,word,...`.

    Args:
      path: the file.

    Returns:
      (image name, text, lexicon) of each line, or Skipped.
    """
    items: List[Any] = []
    for number, line in read_lines(path):
        fields = line.split(" ")
        if len(fields) < 4 or not fields[-2].isdigit():
            items.append(bad_line(path, number, line, expected="`path text lexicon_length word,word,...`"))
            continue
        items.append((fields[0], " ".join(fields[1:-2]), [word for word in fields[-1].split(",") if word]))
    return items


def filtered(items: Sequence, keep: Callable[[str], bool]) -> list:
    """Leaves out words that are not in a subset.

    Args:
      items: (name, text, ...), or Skipped.
      keep: says whether a text is in the subset.

    Returns:
      The items whose text is kept, and all Skipped.
    """
    return [item for item in items if isinstance(item, Skipped) or keep(item[1])]


def is_alphanumeric(text: str) -> bool:
    """Tells whether all characters of a text are ASCII letters or digits.

    Args:
      text: a text.

    Returns:
      Whether they are; False for an empty text.
    """
    return bool(text) and all(character.isalnum() and character <= "~" for character in text)


def bad_line(path: str, number: int, line: str, *, expected: str) -> Skipped:
    """Makes the item for a line that can't be used.

    Args:
      path: the file.
      number: the line's, from 1.
      line: its text.
      expected: what the line should look like.

    Returns:
      The Skipped that names all of this.
    """
    return Skipped(f"{path}, line {number}", f"expected {expected}, got {line[:80]!r}")


def unescape(text: str) -> str:
    r"""Removes the backslashes of a quoted text.

    Args:
      text: the text between the quotes, with `\"` for a quote and `\\` for a backslash.

    Returns:
      The text as it is in the image.
    """
    return re.sub(r'\\(["\\])', r"\1", text)
