#!/usr/bin/env python
"""Converts ICDAR 2013: its word images or its photos.

    python tools/create_ic13_tfrecord.py --data_dir ic13 --output_path data/ic13_1015.tfrecord --subset 1015 --check

Word images are Task 3: Challenge2_Test_Task3_GT.txt or gt.txt, beside word_*.png. They are copied as they are. Photos
are Task 1: gt_img_*.txt in Challenge2_Test_Task1_GT, and img_*.jpg in Challenge2_Test_Task12_Images. Their words are
cropped with a margin. The published converter took Task 1 and the subset 1015.

Lists and images come in different archives. Both are found in --data_dir, and in the folders in it and beside it.
"""
import argparse
import functools
import re
from typing import Iterator, List, Optional

from conversion import geometry, lists, neighbours, sources
from conversion.convert import DataSet, Skipped, make_parser, run

EXPECTED = {"1095": 1095, "1015": 1015, "857": 857}
LISTS = ("Challenge2_Test_Task3_GT.txt", "Challenge2_Training_Task3_Images_GT.txt", "gt.txt")
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
    photos, words = neighbours.find_set(arguments.data_dir, LISTS,
                                        functools.partial(lists.quoted_list, encoding=arguments.encoding),
                                        task=arguments.task)
    if words:
        read = functools.partial(sources.read_word_image, words.folder)
        return DataSet(lists.filtered(words.items, keep), read, EXPECTED[arguments.subset])
    items = [(name, folder, [word for word in read_boxes(path, arguments.encoding) if keep(word[-1])])
             for path, folder, name in photos]
    return DataSet(items, functools.partial(read_photo, arguments.crop_margin), EXPECTED[arguments.subset])


def read_boxes(path: str, encoding: Optional[str] = None) -> List[tuple]:
    """Reads the words of a photo.

    Args:
      path: a gt_img_N.txt.
      encoding: what --encoding says.

    Returns:
      (x_min, y_min, x_max, y_max, text) of each line, in pixels. The box of a line that can't be read is nan, so that
      its word is skipped.
    """
    boxes: List[tuple] = []
    for _, line in lists.read_lines(path, encoding, or_latin_1=True):
        match = _BOX.match(line)
        if match:
            boxes.append(tuple(float(side) for side in match.groups()[:4]) + (lists.unescape(match.group(5)),))
        else:
            boxes.append((float("nan"),) * 4 + (line,))
    return boxes


def read_photo(margin: float, item: tuple) -> Iterator:
    """Crops the words of a photo.

    Args:
      margin: around a word, as a share of its height.
      item: (name of the photo, its folder, what read_boxes gives for it).

    Yields:
      A Sample for each word, or Skipped.

    Raises:
      ValueError or OSError: the photo can't be read.
    """
    from aster.data.example import Sample
    name, folder, words = item
    image = sources.open_image(folder, name)
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
    lists.encoding_option(parser)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
