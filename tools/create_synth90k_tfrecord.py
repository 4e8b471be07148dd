#!/usr/bin/env python
"""Converts Synth90k (MJSynth): annotation*.txt and 9 million JPEG files, each a word.

    python tools/create_synth90k_tfrecord.py --data_dir 90kDICT32px --output_path synth90k.tfrecord --num_shards 90

Images are copied as they are, after a decode to check them; empty and damaged ones are left out. The text of
./2425/1/115_Lube_45484.jpg is what stands between the first and the last underscore of the file's name. (The published
converter takes it from the whole path, which fails where the name of a folder has an underscore.)
"""
import argparse
import codecs
import functools
import os
import posixpath
from typing import Iterator, List

import numpy as np
from conversion import sources
from conversion.convert import DataSet, SourceError, make_parser, run

LISTS = {"all": "annotation.txt", "train": "annotation_train.txt", "val": "annotation_val.txt",
         "test": "annotation_test.txt"}
_BLOCK = 1 << 24  # bytes


class Lines:
    """The lines of a file as a sequence. In memory is only where each line starts: 8 bytes a line."""

    def __init__(self, path: str) -> None:
        """Reads the file once, to find the lines.

        Args:
          path: the file.

        Raises:
          SourceError: it is no file, or is UTF-16.
        """
        if not os.path.isfile(path):
            raise SourceError(f"{path} is a folder, a pipe or a device; expected a file")
        self._path = path
        ends, position = [], 0
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(_BLOCK), b""):
                if not position and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise SourceError(f"{path} is UTF-16; save it as UTF-8")
                ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + position + 1)
                position += len(block)
        self._starts = np.concatenate([[0]] + ends)
        if self._starts[-1] != position:  # the last line has no end
            self._starts = np.append(self._starts, position)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, part: slice) -> List[str]:
        with open(self._path, "rb") as stream:
            stream.seek(self._starts[part.start])
            content = stream.read(int(self._starts[part.stop] - self._starts[part.start]))
        return content.decode("utf-8", "surrogateescape").rstrip("\n").split("\n")


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of a split of Synth90k.

    Args:
      arguments: the parsed options.

    Returns:
      The data set, whose items are lines of the list.

    Raises:
      SourceError: the list is not there.
    """
    items = Lines(sources.find(arguments.data_dir, LISTS[arguments.split]))
    return DataSet(items, functools.partial(read_line, arguments.data_dir))


def read_line(data_dir: str, line: str) -> Iterator:
    """Reads the image that a line names.

    Args:
      data_dir: the folder of the data set.
      line: a path, a space and a number, which is not used; or an empty line.

    Yields:
      The Sample; nothing for an empty line.

    Raises:
      ValueError or OSError: the image can't be read, or its name has no text or is not UTF-8.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in line):  # bytes that surrogateescape has kept
        raise ValueError("its line is not UTF-8; save the list as UTF-8")
    line = line.lstrip("\ufeff")
    name = line.strip().rpartition(" ")[0] or line.strip()
    if name:
        yield from sources.read_word_image(data_dir, (name, text_of(name)))


def text_of(name: str) -> str:
    """Takes the text of an image out of its name.

    Args:
      name: the path of the image.

    Returns:
      What stands between the first and the last underscore of the file's name.

    Raises:
      ValueError: there are no two underscores.
    """
    parts = posixpath.splitext(posixpath.basename(name))[0].split("_")
    if len(parts) < 3:
        raise ValueError("expected a file name of number_text_number.jpg")
    return "_".join(parts[1:-1])


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--split", choices=("all", "train", "val", "test"), default="all",
                        help="the words to convert (default: all)")
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
