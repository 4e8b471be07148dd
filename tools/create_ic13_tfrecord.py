#!/usr/bin/env python
"""Converts ICDAR 2013: its word images or its photos.

    python tools/create_ic13_tfrecord.py --data_dir ic13 --output_path data/ic13_1015.tfrecord --subset 1015 --check

Word images are Task 3: Challenge2_Test_Task3_GT.txt or gt.txt, beside word_*.png. They are copied as they are. Photos
are Task 1: gt_img_*.txt in Challenge2_Test_Task1_GT, and img_*.jpg in Challenge2_Test_Task12_Images. Their words are
cropped with a margin. The published converter took Task 1 and the subset 1015.
"""
import argparse
import functools
import os
import re
from typing import Iterator, List

from conversion import geometry, lists, sources
from conversion.convert import DataSet, Skipped, make_parser, run

EXPECTED = {"1095": 1095, "1015": 1015, "857": 857}
LISTS = ("Challenge2_Test_Task3_GT.txt", "Challenge2_Training_Task3_Images_GT.txt", "gt.txt")
_PHOTO_FOLDERS = ("Challenge2_Test_Task12_Images", "Challenge2_Training_Task12_Images", "")
_BOX = re.compile(r'^\s*(-?\d+)[, ]\s*(-?\d+)[, ]\s*(-?\d+)[, ]\s*(-?\d+)[, ]\s*"(.*)"\s*$')
_SUBSETS = {"1095": lambda text: True,
            "1015": lambda text: bool(re.match(r"^\w+$", text)),
            "857": lambda text: lists.is_alphanumeric(text) and len(text) >= 3}


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of IC13.

    Args:
      arguments: the parsed options.

    Returns:
      The data set. Its items are words of Task 3, or photos of Task 1.

    Raises:
      SourceError: the files of the task are not there.
    """
    keep = _SUBSETS[arguments.subset]
    box_files = sources.find_box_files(arguments.data_dir)
    if arguments.task == "1" or (arguments.task is None and box_files):
        if not box_files:
            sources.find(arguments.data_dir, "Challenge2_Test_Task1_GT")
        items = [(path, [word for word in read_boxes(path) if keep(word[-1])]) for path in box_files]
        read = functools.partial(read_photo, arguments.data_dir, arguments.crop_margin)
    else:
        path = sources.find(arguments.data_dir, *LISTS)
        items = lists.filtered(lists.quoted_list(path), keep)
        read = functools.partial(sources.read_word_image, os.path.dirname(path))
    return DataSet(items, read, EXPECTED[arguments.subset])


def read_boxes(path: str) -> List[tuple]:
    """Reads the words of a photo.

    Args:
      path: a gt_img_N.txt.

    Returns:
      (x_min, y_min, x_max, y_max, text) of each line, in pixels. The box of a line that can't be read is nan, so that
      its word is skipped.
    """
    boxes: List[tuple] = []
    for _, line in lists.read_lines(path):
        match = _BOX.match(line)
        if match:
            boxes.append(tuple(float(side) for side in match.groups()[:4]) + (lists.unescape(match.group(5)),))
        else:
            boxes.append((float("nan"),) * 4 + (line,))
    return boxes


def read_photo(data_dir: str, margin: float, item: tuple) -> Iterator:
    """Crops the words of a photo.

    Args:
      data_dir: the folder of the data set.
      margin: around a word, as a share of its height.
      item: (path of the gt_img_N.txt, what read_boxes gives for it).

    Yields:
      A Sample for each word, or Skipped.

    Raises:
      ValueError or OSError: the photo can't be read.
    """
    from aster.data.example import Sample
    path, words = item
    name = sources.photo_name(path)
    folders = _PHOTO_FOLDERS + (os.path.dirname(path),)
    folder = next((folder for folder in folders if os.path.exists(os.path.join(data_dir, folder, name))), "")
    image = sources.open_image(data_dir, os.path.join(folder, name))
    for i, (*sides, text) in enumerate(words):
        word_name = f"{name}:{i}"
        try:
            box = geometry.box_with_margin(sides, margin=margin, size=image.size)
        except ValueError as error:
            yield Skipped(word_name, str(error))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), text, filename=word_name)


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--subset", choices=sorted(EXPECTED), default="1095",
                        help="1015: words of letters, digits and _ only; 857: words of three or more letters and "
                             "digits (default: 1095, all words)")
    parser.add_argument("--task", choices=("1", "3"), help="1: photos; 3: word images (default: 1 if it is there)")
    geometry.crop_margin(parser, 0.15)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
