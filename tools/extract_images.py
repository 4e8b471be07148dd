#!/usr/bin/env python
"""Saves the first images of a TFRecord as files, named by their number and their text.

    python tools/extract_images.py data/test.tfrecord data/images 8
"""
import argparse
import itertools
import os
import sys

import find_aster  # noqa: F401
import quiet_tensorflow  # noqa: F401
from conversion.output import OutputError, complete_files

from aster import command
from aster.data import example, records
from aster.errors import safe_for_terminal

_MAX_BYTES = 200  # of a text in a file name; file systems allow 255 for all of the name


def safe_name(text: str) -> str:
    """Makes a text fit for a file name.

    Args:
      text: any text.

    Returns:
      The text with _ in place of slashes, backslashes and what can't be printed, cut off after 200 bytes.
    """
    name = "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in text)
    return name.encode("utf-8")[:_MAX_BYTES].decode("utf-8", "ignore")


def extract(path: str, folder: str, count: int) -> None:
    """Saves the first images of a TFRecord.

    Args:
      path: the TFRecord file.
      folder: where to write NUMBER_TEXT.jpg and NUMBER_TEXT.png; it is made if it does not exist.
      count: the number of images.

    Raises:
      ValueError: there is no record that can be used.
      OSError: the file or the folder can't be read or written.
      OutputError: an image can't be written.
    """
    os.makedirs(folder, exist_ok=True)
    record = None
    for record, sample in itertools.islice(_samples(path), count):
        extension = "png" if sample.encoded.startswith(b"\x89PNG") else "jpg"
        name = f"{record.number:02d}_{safe_name(sample.text)}.{extension}"
        with complete_files([os.path.join(folder, name)]) as (part,), open(part, "wb") as stream:
            stream.write(sample.encoded)
    if record is None:
        raise ValueError(f"{path}: there is no record in this file that can be used")


def _samples(path):
    """Yields (record, its sample); a damaged record is named, and left out."""
    for record in records.read_records(path):
        try:
            if record.error:
                raise ValueError(record.error)
            sample = example.parse(record.payload)
        except ValueError as error:
            print(f"skipped: {record.where}: {error}", file=sys.stderr)
        else:
            yield record, sample


@safe_for_terminal()
def main(arguments=None):
    parser = command.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tfrecord", help="the TFRecord file to read")
    parser.add_argument("folder", help="where to write the images; it is made if it does not exist")
    parser.add_argument("count", type=int, help="how many images to write")
    arguments = parser.parse_args(arguments)
    if arguments.count < 1:
        parser.error("argument count: must be 1 or more")
    try:
        extract(arguments.tfrecord, arguments.folder, arguments.count)
    except OSError as error:
        sys.exit(f"extract_images: {error.filename}: {error.strerror}")
    except (OutputError, ValueError) as error:
        sys.exit(f"extract_images: {error}")


if __name__ == "__main__":
    main()
