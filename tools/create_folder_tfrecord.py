#!/usr/bin/env python
r"""Converts your own images: a folder, and a list of image names and texts.

    python tools/create_folder_tfrecord.py --data_dir words --list words/labels.tsv --output_path data/own.tfrecord

The ending of the list's name says what it looks like:

    .tsv, .txt   name <tab> text; or name <space> text, if there is no tab in the list
    .csv         name,text or name;text, with quotes around a text that has a separator or a quote in it
    .jsonl       {"name": ..., "text": ...} in each line
    .json        {name: text, ...} (docTR), {"data_list": [...]} (MMOCR), or a list of what .jsonl has

The first line of a .tsv, .txt or .csv list may name its columns. Below filename,text all that follows the first
separator is the text, so that it needs no quotes. Below filename,text,lexicon there is a third field: words separated
by commas. Without such a line, a third field is an error.

Images are copied as they are. Only one whose EXIF orientation turns it is written anew, upright, as PNG.
"""
import argparse
import functools
import os
import sys
from typing import Any, Iterator, Sequence

from conversion import labels, lists, sources
from conversion.convert import DataSet, Skipped, make_parser, run

from aster.errors import printable


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of a list.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: there is no such list, or it can't be used.
    """
    path = sources.find_list(arguments.data_dir, arguments.list)
    items = labels.read(path, arguments.encoding)
    _name_passed_over(arguments.data_dir, path, items)
    return DataSet(items, functools.partial(read_photo, arguments.data_dir))


def _name_passed_over(data_dir: str, list_path: str, items: Sequence[Any]) -> None:
    """Prints how many files are beside the images of a list, but not in it."""
    from aster.data.image import count_kinds
    names = {os.path.normpath(item[0].replace("\\", "/")) for item in items if not isinstance(item, Skipped)}
    names.add(os.path.relpath(list_path, data_dir))
    folders = {os.path.dirname(name) for name in names if not os.path.isabs(name) and not name.startswith("..")}
    others = (os.path.join(folder, entry.name) for folder in sorted(folders)
              if os.path.isdir(os.path.join(data_dir, folder))
              for entry in os.scandir(os.path.join(data_dir, folder)) if entry.is_file())
    passed_over = count_kinds(path for path in others if path not in names)
    if passed_over:
        print(printable(f"{data_dir}: passed over {passed_over}, not in the list"), file=sys.stderr)


def read_photo(folder: str, item: tuple) -> Iterator:
    """Reads an image that may be a photo of a camera, and turns it as its EXIF orientation says.

    Args:
      folder: the folder of the images.
      item: (name, text, lexicon).

    Yields:
      The Sample.

    Raises:
      ValueError or OSError: the image can't be read.
    """
    from aster.data import image
    for sample in sources.read_word_image(folder, item):
        yield sample._replace(encoded=image.upright(sample.encoded))


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--list", required=True, metavar="FILE",
                        help="the list: a path from the working directory or from --data_dir")
    lists.encoding_option(parser)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
