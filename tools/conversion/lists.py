"""Reads the lists of words that data sets come with."""
import argparse
import codecs
import os
import re
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from conversion import sources
from conversion.convert import Skipped, SourceError

from aster.errors import printable

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# In Latin-1, a letter that is not of ASCII mostly stands alone. Other encodings have several in a row, or these bytes.
_NOT_LATIN_1 = re.compile(rb"[\x80-\x9f]|[\xa0-\xff]{2}")


def encoding_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option --encoding.

    Args:
      parser: what make_parser gave.
    """
    parser.add_argument("--encoding", type=_encoding, metavar="NAME",
                        help="how the lists are encoded, such as gbk, shift_jis, cp1251 or latin-1 (default: UTF-8, or "
                             "UTF-16 if a byte order mark says so)")


def _encoding(name):
    try:
        if codecs.lookup(name)._is_text_encoding:
            return name
    except LookupError:
        pass
    raise argparse.ArgumentTypeError(f"{name!r} is no encoding that Python knows")


def read_text(path: str, encoding: Optional[str] = None, *, or_latin_1: bool = False) -> str:
    """Reads a list. In an encoding that is not its own it would be read wrongly, so nothing is guessed.

    Args:
      path: the file. A byte order mark of UTF-8 or UTF-16 comes before `encoding`.
      encoding: what --encoding says; None is UTF-8.
      or_latin_1: whether a line that is not UTF-8 may be Latin-1, as in lists of published sets.

    Returns:
      The text, without the byte order mark.

    Raises:
      SourceError: the file is in another encoding, or is no file. The message names the line.
    """
    try:
        content = sources.read_bytes(path)
    except ValueError as error:
        raise SourceError(f"{path}: {error}") from error
    assumed = next((name for mark, name in _MARKS if content.startswith(mark)), encoding or "utf-8")
    try:
        text = content.decode(assumed)
    except UnicodeError as error:
        if or_latin_1 and not encoding and assumed.startswith("utf-8"):
            return _decode_lines(path, content)
        number = _count_lines(content[:getattr(error, "start", 0)].decode(assumed, "ignore"))
        raise SourceError(_is_not(path, number, assumed)) from error
    if "\0" in text:
        raise SourceError(f"{path}, line {_count_lines(text.partition(chr(0))[0])}: it has a NUL character, as UTF-16 "
                          "without a byte order mark has; name its encoding, e.g. --encoding utf-16-le, or save it as "
                          "UTF-8")
    return text.lstrip("\ufeff")


def _count_lines(before):
    return len(_split(before))


def _split(text):
    """The lines of a text; str.splitlines would also split at characters such as U+2028."""
    return re.split("\r\n|\n|\r", text)


def _is_not(path, number, encoding):
    return (f"{path}, line {number}: this is not {encoding.upper().replace('-SIG', '')} text; name its encoding, e.g. "
            "--encoding gbk (or shift_jis, cp1251, latin-1), or save it as UTF-8")


def _decode_lines(path, content):
    """Lines that are UTF-8 or Latin-1 -> text."""
    lines, num_latin_1 = [], 0
    for number, line in enumerate(re.split(b"\r\n|\n|\r", content), 1):
        try:
            lines.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            if _NOT_LATIN_1.search(line):
                raise SourceError(_is_not(path, number, "utf-8")) from error
            lines.append(line.decode("latin-1"))
            num_latin_1 += 1
    print(printable(f"{path}: {num_latin_1} lines are not UTF-8; they are read as Latin-1"), file=sys.stderr)
    return "\n".join(lines)


def read_lines(path: str, encoding: Optional[str] = None, *, or_latin_1: bool = False) -> List[Tuple[int, str]]:
    """Reads the lines of a list.

    Args:
      path, encoding, or_latin_1: as of read_text.

    Returns:
      (number from 1, text without spaces at the end) of each line that is not empty.

    Raises:
      SourceError: as of read_text.
    """
    lines = enumerate(_split(read_text(path, encoding, or_latin_1=or_latin_1)), 1)
    return [(number, line.rstrip()) for number, line in lines if line.strip()]


def quoted_list(path: str, encoding: Optional[str] = None) -> list:
    """Reads a list of `word_1.png, "text"`. There may be commas in the text.

    Args:
      path: the file.
      encoding: what --encoding says.

    Returns:
      (image name, text) of each line, or Skipped.
    """
    items: List[Any] = []
    for number, line in read_lines(path, encoding, or_latin_1=True):
        name, _, text = line.partition(",")
        name, text = name.strip(), text.strip()
        quotes = text.startswith('"') + text.endswith('"') if len(text) > 1 else text.count('"')
        if not name or "," not in line or quotes == 1:  # a quote at one end only
            items.append(bad_line(path, number, line, expected='`name, "text"`'))
            continue
        text = unescape(text[1:-1]) if quotes else text
        items.append((name, text) if text != "###" else
                     Skipped(name, "its text is ###, which says that nobody can read it"))
    return without_contradictions(items)


def read_pairs(path: str, encoding: Optional[str] = None) -> list:
    """Reads a list of `path text`, with the first space between them.

    Args:
      path: the file.
      encoding: what --encoding says.

    Returns:
      (image name, text) of each line, or Skipped.
    """
    items: List[Any] = []
    for number, line in read_lines(path, encoding):
        name, space, text = line.lstrip().partition(" ")
        items.append((name, text) if space else bad_line(path, number, line, expected="`path text`"))
    return without_contradictions(items)


def image_list(path: str, encoding: Optional[str] = None) -> list:
    """Reads imagelist.txt, whose lines are `path text lexicon_length word,word,...`.

    Args:
      path: the file.
      encoding: what --encoding says.

    Returns:
      (image name, text, lexicon) of each line, or Skipped.
    """
    items: List[Any] = []
    for number, line in read_lines(path, encoding, or_latin_1=True):
        fields = line.split(" ")
        if len(fields) < 4 or not fields[-2].isdigit():
            items.append(bad_line(path, number, line, expected="`path text lexicon_length word,word,...`"))
            continue
        lexicon = sources.alphabetical(word for word in fields[-1].split(",") if word)
        items.append((fields[0], " ".join(fields[1:-2]), lexicon))
    return without_contradictions(items)


def without_contradictions(items: Sequence[Any]) -> List[Any]:
    """Leaves out images that a list names twice with different texts, since at most one of them is right.

    Args:
      items: (image name, text, ...), or Skipped.

    Returns:
      The items. A Skipped replaces each image that has different texts. One that is listed twice with one text stays.
    """
    texts: Dict[str, List[str]] = {}
    for item in items:
        if not isinstance(item, Skipped):
            known = texts.setdefault(os.path.normpath(item[0].replace("\\", "/")), [])
            known += [item[1]] * (item[1] not in known)
    kept = []
    for item in items:
        if not isinstance(item, Skipped):
            known = texts[os.path.normpath(item[0].replace("\\", "/"))]
            if len(known) > 1:
                item = Skipped(item[0], "the list gives it more than one text", f": {known[0]!r} and {known[1]!r}")
        kept.append(item)
    return kept


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
    return Skipped(f"{path}, line {number}", f"expected {expected}", f", got {line[:80]!r}")


def unescape(text: str) -> str:
    r"""Removes the backslashes of a quoted text.

    Args:
      text: the text between the quotes, with `\"` for a quote and `\\` for a backslash.

    Returns:
      The text as it is in the image.
    """
    return re.sub(r'\\(["\\])', r"\1", text)
