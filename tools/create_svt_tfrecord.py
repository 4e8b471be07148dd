#!/usr/bin/env python
"""Converts Street View Text: train.xml or test.xml, and the photos in img/.

    python tools/create_svt_tfrecord.py --data_dir svt1 --output_path data/svt_test.tfrecord --check

Each word is cropped with a margin and gets the lexicon of its photo (about 50 words), in alphabetical order. The texts
of the set are in upper case. The published converter converted them to lower case; use --lower_case for the same texts.
"""
import argparse
import functools
from typing import Iterator

from conversion import geometry, sources
from conversion.convert import DataSet, Skipped, make_parser, run

EXPECTED = {"train": 257, "test": 647}


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the photos of a split of SVT.

    Args:
      arguments: the parsed options.

    Returns:
      The data set, whose items are photos.

    Raises:
      SourceError: the XML file is missing or damaged.
    """
    items = sources.tagged_images(sources.find(arguments.data_dir, arguments.split + ".xml"))
    read = functools.partial(read_photo, arguments.data_dir, arguments.crop_margin)
    return DataSet(items, read, EXPECTED[arguments.split])


def read_photo(data_dir: str, margin: float, item: tuple) -> Iterator:
    """Crops the words of a photo.

    Args:
      data_dir: the folder of the data set.
      margin: around a word, as a share of its height.
      item: (file name, lexicon, [(x, y, width, height, text)]), as sources.tagged_images gives it.

    Yields:
      A Sample for each word, or Skipped.

    Raises:
      ValueError or OSError: the photo can't be read.
    """
    from aster.data.example import Sample
    name, lexicon, words = item
    image = sources.open_image(data_dir, name)
    for i, (x, y, width, height, text) in enumerate(words):
        word_name = f"{name}:{i}"
        try:
            box = geometry.box_with_margin((x, y, x + width, y + height), margin=margin, size=image.size)
        except ValueError as error:
            yield Skipped(word_name, str(error))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), text, lexicon, filename=word_name)


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--split", choices=sorted(EXPECTED), default="test",
                        help="the words to convert (default: test)")
    geometry.crop_margin(parser, 0.05)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
