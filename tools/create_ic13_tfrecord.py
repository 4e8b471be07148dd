#!/usr/bin/env python
"""Converts ICDAR 2013, either of word images (Task 3: Challenge2_Test_Task3_GT.txt or gt.txt beside word_*.png) or
of photos (Task 1: gt_img_*.txt, in Challenge2_Test_Task1_GT, and img_*.jpg, in Challenge2_Test_Task12_Images).

    python tools/create_ic13_tfrecord.py --data_dir ic13 --output_path data/ic13_1015.tfrecord --subset 1015 --check

The published converter took Task 1 and the subset 1015; word images go in as they are.
"""
import functools
import glob
import os
import re

from conversion import sources
from conversion.convert import Skipped, make_parser, run

EXPECTED = {"1095": 1095, "1015": 1015, "857": 857}
LISTS = ("Challenge2_Test_Task3_GT.txt", "Challenge2_Training_Task3_Images_GT.txt", "gt.txt")
_BOX = re.compile(r'^\s*(-?\d+)[, ]\s*(-?\d+)[, ]\s*(-?\d+)[, ]\s*(-?\d+)[, ]\s*"(.*)"\s*$')


def load(arguments):
    keep = {"1095": lambda text: True, "1015": lambda text: bool(re.match(r"^\w+$", text)),
            "857": lambda text: sources.is_alphanumeric(text) and len(text) >= 3}[arguments.subset]
    photos = _box_files(arguments.data_dir)
    if arguments.task == "1" or (arguments.task is None and photos):
        if not photos:
            sources.find(arguments.data_dir, "Challenge2_Test_Task1_GT")
        items = [(path, [word for word in read_boxes(path) if keep(word[-1])]) for path in photos]
        read = functools.partial(read_photo, arguments.data_dir, arguments.crop_margin)
    else:
        path = sources.find(arguments.data_dir, *LISTS)
        items = sources.filtered(sources.quoted_list(path), keep)
        read = functools.partial(sources.read_word_image, os.path.dirname(path))
    return items, read, EXPECTED[arguments.subset]


def _box_files(data_dir):
    found = glob.glob(os.path.join(glob.escape(data_dir), "**", "gt_img_*.txt"), recursive=True)
    return sorted(found, key=lambda path: (int(re.sub(r"\D", "", os.path.basename(path)) or 0), path))


def read_boxes(path):
    """[(x_min, y_min, x_max, y_max, text)] of a gt_img_N.txt; a line that is none is left out with nan as box."""
    boxes = []
    for _, line in sources.read_lines(path):
        match = _BOX.match(line)
        if match:
            boxes.append(tuple(float(side) for side in match.groups()[:4]) + (sources.unescape(match.group(5)),))
        else:
            boxes.append((float("nan"),) * 4 + (line,))
    return boxes


def read_photo(data_dir, margin, item):
    from aster.data.example import Sample
    path, words = item
    name = os.path.basename(path)[len("gt_"):-len(".txt")] + ".jpg"
    folders = ("Challenge2_Test_Task12_Images", "Challenge2_Training_Task12_Images", "", os.path.dirname(path))
    folder = next((one for one in folders if os.path.exists(os.path.join(data_dir, one, name))), "")
    image = sources.open_image(data_dir, os.path.join(folder, name))
    for i, word in enumerate(words):
        word_name = "%s:%d" % (name, i)
        try:
            box = sources.box_with_margin(*word[:4], margin=margin, size=image.size)
        except ValueError as error:
            yield Skipped(word_name, str(error))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), word[4], filename=word_name)


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--subset", choices=sorted(EXPECTED), default="1095",
                        help="1015: letters, digits and _ only; 857: letters and digits, three or more")
    parser.add_argument("--task", choices=("1", "3"), help="default: whichever is there")
    sources.crop_margin(parser, 0.15)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
