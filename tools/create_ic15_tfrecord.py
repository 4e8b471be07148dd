#!/usr/bin/env python
"""Converts ICDAR 2015 Incidental Scene Text: its word images or its photos.

    python tools/create_ic15_tfrecord.py --data_dir ch4_test_word_images_gt --output_path ic15.tfrecord --check

Word images are Task 4.3: gt.txt or Challenge4_Test_Task3_GT.txt, beside the images. They are copied as they are. If
there is a coords.txt, each word has key points: the corners of its quadrilateral. Photos are Task 4.1 or 4.4, with
gt_img_*.txt. The box around each quadrilateral is cropped, and words marked ### ("do not care") are left out.

Lists and images come in different archives. Both are found in --data_dir, and in the folders in it and beside it.

The published converter can't read these lists, because of their byte order marks, quotes and escapes. It read a list of
`path text`, for which there is --list, and encoded the images again.
"""
import argparse
import functools
import os
from typing import Dict, Iterator, Optional

import numpy as np
from conversion import geometry, labels, lists, neighbours, sources
from conversion.convert import DataSet, Skipped, make_parser, run

LISTS = ("Challenge4_Test_Task3_GT.txt", "gt.txt")
_NUM_TEST, _NUM_ALPHANUMERIC, _NUM_TRAIN = 2077, 1922, 4468  # words of the published splits


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of IC15.

    Args:
      arguments: the parsed options.

    Returns:
      The data set. Its items are words of Task 4.3 or of --list, or photos of Task 4.1 or 4.4.

    Raises:
      SourceError: the files are not there.
    """
    alphanumeric = arguments.subset in ("1922", "alphanumeric")
    keep = lists.is_alphanumeric if alphanumeric else (lambda text: True)
    if arguments.list:
        items = labels.without_detection(lists.read_pairs(sources.find_list(arguments.data_dir, arguments.list),
                                                          arguments.encoding))
        folder = coords = arguments.data_dir
        expected = None
    else:
        photos, words = neighbours.find_set(arguments.data_dir, LISTS,
                                            functools.partial(lists.quoted_list, encoding=arguments.encoding))
        if not words:
            return DataSet(photos, functools.partial(read_photo, alphanumeric, arguments.encoding))
        items, folder, coords = words.items, words.folder, os.path.dirname(words.path)
        expected = _NUM_TRAIN if len(items) == _NUM_TRAIN else _NUM_TEST
    if alphanumeric:
        expected = _NUM_ALPHANUMERIC if expected == _NUM_TEST else None
    # coords.txt comes in one archive with the images, or with the list.
    corners = read_corners(next((path for path in (os.path.join(place, "coords.txt") for place in (folder, coords))
                                 if os.path.exists(path)), ""))
    read = functools.partial(read_word, folder, corners)
    return DataSet(lists.filtered(items, keep), read, expected)


def read_corners(path: str) -> Dict[str, np.ndarray]:
    """Reads the quadrilaterals of word images.

    Args:
      path: coords.txt; "" for none.

    Returns:
      {image name: float [4, 2]}: corners in pixels, clockwise from the top left. Lines that can't be read are left
      out; their words get no key points.
    """
    corners = {}
    for _, line in lists.read_lines(path, or_latin_1=True) if path else ():
        name, *numbers = line.split(",")
        try:
            corners[name.strip()] = geometry.quadrilateral(numbers)
        except ValueError:
            continue
    return corners


def read_word(folder: str, corners: Dict[str, np.ndarray], item: tuple) -> Iterator:
    """Reads a word image.

    Args:
      folder: where the images are.
      corners: what read_corners gives.
      item: (image name, text).

    Yields:
      The Sample.

    Raises:
      ValueError or OSError: the image can't be read.
    """
    for sample in sources.read_word_image(folder, item):
        if item[0] in corners:
            sample = sample._replace(keypoints=geometry.corner_curves(corners[item[0]]))
        yield sample


def read_photo(alphanumeric: bool, encoding: Optional[str], item: tuple) -> Iterator:
    """Crops the words of a photo.

    Args:
      alphanumeric: whether to leave out words with other characters than ASCII letters and digits.
      encoding: what --encoding says.
      item: (path of the gt_img_N.txt, folder of the photo, name of the photo). The file has x and y of four corners and
        a text in each line.

    Yields:
      A Sample for each word, or Skipped.

    Raises:
      ValueError or OSError: the photo can't be read.
    """
    from aster.data.example import Sample
    path, folder, name = item
    image = sources.open_image(folder, name)
    for i, (_, line) in enumerate(lists.read_lines(path, encoding, or_latin_1=True)):
        word_name = f"{name}:{i}"
        try:
            fields = line.split(",", 8)
            if len(fields) < 9:
                raise ValueError("expected eight coordinates and a text")
            corners, text = geometry.quadrilateral(fields[:8]), fields[8]
            if text == "###" or (alphanumeric and not lists.is_alphanumeric(text)):
                continue
            sides = corners.min(axis=0).tolist() + corners.max(axis=0).tolist()
            box = geometry.box_with_margin(sides, margin=0, size=image.size)
        except ValueError as error:
            yield Skipped(word_name, str(error))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), text, filename=word_name,
                     keypoints=geometry.corner_curves(corners - box[:2]))


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--subset", choices=("all", "2077", "1922", "alphanumeric"), default="all",
                        help="1922 or alphanumeric: words of ASCII letters and digits only; all or 2077: all words, "
                             "which are 2077 in the test split and 4468 in the training split (default: all)")
    parser.add_argument("--list", metavar="FILE",
                        help="a list of `path text`, one word a line, instead of the lists above")
    lists.encoding_option(parser)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
