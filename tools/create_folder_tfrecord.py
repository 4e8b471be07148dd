#!/usr/bin/env python
r"""Converts one's own images: a folder, and a list of image names and texts.

    python tools/create_folder_tfrecord.py --data_dir words --list words/labels.tsv --output_path data/own.tfrecord

The list is UTF-8, and its ending tells its form:

    .tsv, .txt   name <tab> text [<tab> lexicon: words separated by commas]
    .csv         name,text[,lexicon], quoted where a comma or a quote stands inside; a first line of
                 name,text or filename,words or the like is a header
    .jsonl       {"name": ..., "text": ..., "lexicon": [...]}, one on each line; the lexicon may be absent

Images go in as they are.
"""
import csv
import functools
import json
import os

from conversion import sources
from conversion.convert import SourceError, make_parser, run

_HEADERS = {"name", "filename", "file", "path", "image", "image_path"}


def load(arguments):
    path = arguments.list if os.path.exists(arguments.list) else sources.find(arguments.data_dir, arguments.list)
    ending = os.path.splitext(path)[1].lower()
    if ending not in _READERS:
        raise SourceError("--list {}: expected a name ending in {}".format(path, ", ".join(sorted(_READERS))))
    items = []
    for number, line in sources.read_lines(path):
        fields = _READERS[ending](line)
        if number == 1 and ending != ".jsonl" and fields and fields[0].strip().lower() in _HEADERS:
            continue
        if fields is None or len(fields) < 2:
            items.append(sources.bad_line(path, number, line, _FORMS[ending]))
        else:
            lexicon = fields[2] if len(fields) > 2 else []
            if isinstance(lexicon, str):
                lexicon = [word for word in lexicon.split(",") if word]
            items.append((fields[0], fields[1], lexicon))
    return items, functools.partial(sources.read_word_image, arguments.data_dir), None


def _json_fields(line):
    try:
        entry = json.loads(line)
        fields = entry["name"], entry["text"], entry.get("lexicon", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return fields if all(isinstance(field, str) for field in list(fields[:2]) + list(fields[2])) else None


_FORMS = {".tsv": "name, a tab, text", ".txt": "name, a tab, text", ".csv": "name,text",
          ".jsonl": '{"name": ..., "text": ...}'}
_READERS = {".tsv": lambda line: line.split("\t"), ".txt": lambda line: line.split("\t"),
            ".csv": lambda line: next(csv.reader([line])), ".jsonl": _json_fields}


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--list", required=True, metavar="FILE", help="in --data_dir, or anywhere")
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
