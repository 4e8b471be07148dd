"""Reads the lists that people make for word images of their own, in the forms that other programs write."""
import csv
import json
import os
import re
from typing import Any, List, Optional, Sequence, Tuple

from conversion import lists
from conversion.convert import Skipped, SourceError

NAMES = {"name", "filename", "file_name", "file", "path", "filepath", "file_path", "image", "image_name", "image_path",
         "image_file", "img", "img_name", "img_path"}
TEXTS = {"text", "texts", "word", "words", "label", "labels", "transcription", "transcript", "ground_truth", "gt"}
LEXICON = "lexicon"

# Keys of boxes and polygons. A label that has them is of a photo, not of a word image.
_BOX_KEYS = {"annotations", "bbox", "bboxes", "box", "boxes", "points", "polygon", "polygons", "quad", "regions",
             "segmentation", "shapes"}
_NUMBER = r"-?\d+(?:\.\d+)?"
_NESTED = re.compile(r"\s*(?:[\[({]\s*[\[({][\s\[({]*[\"'\d-]|\{\s*[\"'])")  # the start of JSON or of a list of points
_POINTS = re.compile(rf"[\s\[(]*{_NUMBER}(?:[\s,;()\[\]]+{_NUMBER}){{7,}}")  # at least four points
_COORDINATE = r"(?:0|[1-9]\d*)(?:\.\d+)?(?![\w.])"  # of the groups of a telephone number, some begin with 0
# a box; or just a text
_BOX = re.compile(rf"[\s\[(]*(?:{_NUMBER}(?:\s*[,;]\s*{_NUMBER}){{3,}}|{_COORDINATE}(?:\s+{_COORDINATE}){{3,}})")
# well-known text, or an empty list of boxes
_SHAPE = re.compile(r"\s*(?:MULTI)?(?:POLYGON|LINESTRING|POINT)[\s(]*\(\s*-?\d|\s*\[\s*\]\s*$", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_TOO_MANY = ("; it has a field too many. Put quotes around the text (.csv), or begin the list with a line that names "
             "its columns: filename and text, where all that follows is the text, or filename, text and lexicon")
_ENTRY = 'expected one name and one text, and perhaps a lexicon: {"name": ..., "text": ..., "lexicon": [...]}'
_CROP = "its text is a box, a polygon or JSON, as lists for text detection have it; crop the words first"


def read(path: str, encoding: Optional[str] = None) -> List[Any]:
    """Reads a list. The ending of its name tells its form: .tsv, .txt, .csv, .jsonl or .json.

    Args:
      path: the file.
      encoding: what --encoding says; by default UTF-8, or UTF-16 if a byte order mark says so.

    Returns:
      (image name, text, lexicon) of each entry, or Skipped.

    Raises:
      SourceError: the list as a whole can't be used.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending == ".json":
        items = _json_items(path, lists.read_text(path, encoding))
    elif ending in _READERS:
        items = _READERS[ending](path, lists.read_lines(path, encoding))
    else:
        raise SourceError(f"--list {path}: expected a name ending in {', '.join(sorted([*_READERS, '.json']))}")
    return lists.without_contradictions(without_detection(items))


def without_detection(items: Sequence[Any]) -> List[Any]:
    """Refuses labels for text detection, which have boxes or polygons in place of a text.

    Args:
      items: (image name, text, ...), or Skipped.

    Returns:
      The items, with Skipped in place of such labels.
    """
    words = [item for item in items if not isinstance(item, Skipped)]
    boxes = sum(bool(_BOX.match(text) and not _THOUSANDS.fullmatch(text)) for _, text, *_ in words)
    # 1,2,3,4 can be a text, but not most of them
    kinds = [_NESTED, _POINTS, _SHAPE] + [_BOX] * (2 * boxes > len(words))
    return [Skipped(item[0], _CROP) if not isinstance(item, Skipped) and
            (_POINTS.match(item[0]) or any(kind.match(item[1]) for kind in kinds)) else item for item in items]


def _header(path, fields) -> Optional[int]:
    """-> number of columns, or None if the first line of a list is no header."""
    names = [field.strip().strip('"').lower() for field in fields]
    if names[0] not in NAMES and not set(names) <= NAMES | TEXTS | {LEXICON}:
        return None
    if len(names) < 2 or names[0] not in NAMES or names[1] == LEXICON or names[2:] not in ([], [LEXICON]):
        raise SourceError(f"{path}, line 1: its columns are {', '.join(names)}; expected the name of the image, then "
                          f"its text, then {LEXICON} or nothing")
    return len(names)


def _entry(name, text, lexicon="") -> Tuple[str, str, List[str]]:
    return name.strip(), text.strip(), [word for word in lexicon.split(",") if word]


def _tabbed_items(path, lines):
    """Lines of name, tab, text; or of name, space, text in a list without tabs."""
    separator, expected = ("\t", "name, a tab, text") if any("\t" in line for _, line in lines) else (
        " ", "name, a tab or a space, text")
    columns = _header(path, lines[0][1].split(separator)) if lines else None
    if separator == " " and columns == 3:
        raise SourceError(f"{path}, line 1: a list with a lexicon needs tabs between its columns")
    items: List[Any] = []
    for number, line in lines[1:] if columns else lines:
        # Only a header says that there is a lexicon. With spaces, or a header of two columns, the rest is the text.
        fields = line.lstrip(" ").split(separator, 1 if columns == 2 or separator == " " else -1)
        if len(fields) == 2 and (_has_csv_quotes(fields[1]) or re.fullmatch('".+"', fields[0])):
            raise SourceError(f"{path}, line {number}: its quotes are those of CSV, as Excel writes them; give the "
                              "list a name that ends in .csv")
        if 2 <= len(fields) <= (columns or 2) and fields[0].strip():
            items.append(_entry(*fields))
        else:
            items.append(lists.bad_line(path, number, line, expected=expected + _TOO_MANY * (len(fields) > 2)))
    return items


def _has_csv_quotes(text):
    """Tells whether a text is in quotes and has doubled quotes inside, and no single ones."""
    inner = text[1:-1]
    return text.startswith('"') and text.endswith('"') and '""' in inner and '"' not in inner.replace('""', "")


def _csv_items(path, lines):
    """Lines of name,text. The separator may also be a semicolon or a tab: it is the first one of the first line."""
    if lines and re.fullmatch("sep=[,;\t]", lines[0][1]):  # Excel's own way to say it
        lines = lines[1:]
    first = re.match(r'(?:"(?:[^"]|"")*"|[^,;\t]*)([,;\t])', lines[0][1]) if lines else None
    separator = first.group(1) if first else ","
    columns = _header(path, lines[0][1].split(separator)) if first else None
    if columns == 2:
        return _two_columns(path, lines[1:], separator)
    items: List[Any] = []
    for number, line in lines[1:] if columns else lines:
        fields = _csv_fields(line, separator)
        if len(fields) == (columns or 2) and fields[0].strip():
            items.append(_entry(*fields))
        else:
            expected = separator.join(["name", "text", LEXICON][:columns or 2])
            items.append(lists.bad_line(path, number, line, expected=expected + _TOO_MANY * (len(fields) > 2)))
    return items


def _two_columns(path, lines, separator):
    """Lines below a header of two columns. All that follows the first separator is the text, as EasyOCR and others
    write it, unless all lines are proper CSV."""
    field = f' *"(?:[^"]|"")*"|[^"{separator}]*'  # with quotes around it if it has a separator or a quote
    proper = re.compile(f"(?:{field}){separator}(?:{field})")
    others = [number for number, line in lines if separator in line and not proper.fullmatch(line)]
    quoted = [number for number, line in lines if proper.fullmatch(line) and (
        line.startswith('"') or re.search(f'["{separator}]', "".join(_csv_fields(line, separator)[1:])))]
    if others and quoted:
        raise SourceError(f"{path}, line {quoted[0]}: it has quotes as CSV has them, but line {others[0]} is no proper "
                          "CSV; put quotes around each text that has a separator or a quote, or around none")
    items: List[Any] = []
    for number, line in lines:
        fields = line.split(separator, 1) if others else _csv_fields(line, separator)
        if len(fields) == 2 and fields[0].strip():
            items.append(_entry(*fields))
            continue
        if items and not isinstance(items[-1], Skipped) and items[-1][1].count('"') % 2:
            items[-1] = Skipped(items[-1][0], "its text goes on in the next line; a text must be in one line")
        items.append(lists.bad_line(path, number, line, expected=f"name{separator}text"))
    return items


def _csv_fields(line, separator):
    """The fields of a line of CSV; none if it is not CSV, or if a field is longer than 128 kB."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return []


def _json_lines(path, lines):
    items: List[Any] = []
    for number, line in lines:
        where = f"{path}, line {number}"
        try:
            items.append(_json_entry(where, _parse(line)))
        except (ValueError, RecursionError) as error:
            items.append(Skipped(where, _ENTRY, f"; {error}"))
    return items


def _json_items(path, text):
    """{name: text}, a list of {"name": ..., "text": ...}, or {"data_list": [...]}, whose entries have `instances`."""
    try:
        content = _parse(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is no JSON: {error}; a list with one entry in each line is .jsonl") from error
    if isinstance(content, dict) and isinstance(content.get("data_list"), list):
        content = content["data_list"]
    if isinstance(content, dict):
        return [(name, label, []) if isinstance(label, str) else
                Skipped(name, _CROP if _has_boxes({name: label}) or _has_boxes(label) else "expected a text")
                for name, label in content.items()]
    if not isinstance(content, list):
        raise SourceError(f"{path}: expected {{name: text, ...}} or [{{\"name\": ..., \"text\": ...}}, ...]")
    return [_json_entry(f"{path}, entry {number}", entry) for number, entry in enumerate(content, 1)]


def _parse(text):
    return json.loads(text, object_pairs_hook=_without_repeated_keys)


def _without_repeated_keys(pairs):
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return content


def _json_entry(where, entry):
    """-> (name, text, lexicon), or Skipped."""
    label = entry
    if isinstance(entry, dict) and "instances" in entry:  # as MMOCR has it
        instances = entry["instances"]
        if not isinstance(instances, list) or len(instances) != 1:
            return Skipped(where, _CROP)
        label, = instances
    if _has_boxes(entry) or _has_boxes(label):
        return Skipped(where, _CROP)
    if not isinstance(entry, dict) or not isinstance(label, dict):
        return Skipped(where, _ENTRY)
    names = [entry[key] for key in sorted(NAMES & set(entry))]
    texts = [label[key] for key in sorted(TEXTS & set(label))]
    lexicon = entry.get(LEXICON, [])
    if len(names) != 1 or len(texts) != 1 or not isinstance(lexicon, list) or not all(
            isinstance(field, str) for field in names + texts + lexicon):
        return Skipped(where, _ENTRY)
    return names[0], texts[0], lexicon


def _has_boxes(label):
    return isinstance(label, dict) and bool(_BOX_KEYS & set(label))


_READERS = {".tsv": _tabbed_items, ".txt": _tabbed_items, ".csv": _csv_items, ".jsonl": _json_lines}
