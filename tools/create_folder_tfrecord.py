#!/usr/bin/env python
r"""Converts your own images: a folder, and a list of image names and texts.

    python tools/create_folder_tfrecord.py --data_dir words --list words/labels.tsv --output_path data/own.tfrecord

The list is a UTF-8 file. The ending of its name says what its lines look like:

    .tsv, .txt   name <tab> text [<tab> lexicon: words separated by commas]
    .csv         name,text[,lexicon], with quotes around a text that has a comma or a quote in it
    .jsonl       {"name": ..., "text": ..., "lexicon": [...]}; the lexicon may be left out

The first line of a .tsv, .txt or .csv list may be a header, such as name,text or filename,words. Images are copied as
they are.
"""
import argparse
import csv
import functools
import json
import os
from typing import Any, List

from conversion import lists, sources
from conversion.convert import DataSet, SourceError, make_parser, run

_HEADERS = {"name", "filename", "file", "path", "image", "image_path"}


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of a list.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: there is no such list, or its form is not known.
    """
    path = sources.find_list(arguments.data_dir, arguments.list)
    ending = os.path.splitext(path)[1].lower()
    if ending not in _READERS:
        raise SourceError(f"--list {path}: expected a name ending in {', '.join(sorted(_READERS))}")
    items: List[Any] = []
    for number, line in lists.read_lines(path):
        fields = _READERS[ending](line)
        if number == 1 and ending != ".jsonl" and fields and fields[0].strip().lower() in _HEADERS:
            continue
        if fields is None or len(fields) < 2:
            items.append(lists.bad_line(path, number, line, expected=_FORMS[ending]))
        else:
            lexicon = fields[2] if len(fields) > 2 else []
            if isinstance(lexicon, str):
                lexicon = [word for word in lexicon.split(",") if word]
            items.append((fields[0], fields[1], lexicon))
    return DataSet(items, functools.partial(sources.read_word_image, arguments.data_dir))


def _tab_fields(line):
    return line.split("\t")


def _csv_fields(line):
    try:
        return next(csv.reader([line]))
    except csv.Error:  # e.g. a field of more than 128 kB
        return None


def _json_fields(line):
    try:
        entry = json.loads(line)
        name, text, lexicon = entry["name"], entry["text"], entry.get("lexicon", [])
        return (name, text, lexicon) if all(isinstance(field, str) for field in [name, text, *lexicon]) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


_FORMS = {".tsv": "name, a tab, text", ".txt": "name, a tab, text", ".csv": "name,text",
          ".jsonl": '{"name": ..., "text": ...}'}
_READERS = {".tsv": _tab_fields, ".txt": _tab_fields, ".csv": _csv_fields, ".jsonl": _json_fields}


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--list", required=True, metavar="FILE",
                        help="the list: a path from the working directory or from --data_dir")
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
