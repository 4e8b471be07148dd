#!/usr/bin/env python
"""Converts ICDAR 2015 Incidental Scene Text, as it was unpacked: word images (Task 4.3) with gt.txt or
Challenge4_Test_Task3_GT.txt, or photos (Task 4.1, 4.4) with gt_img_*.txt.

    python tools/create_ic15_tfrecord.py --data_dir ch4_test_word_images_gt --output_path ic15.tfrecord --check

The published converter can't read these lists (byte-order marks, quotes, escapes); it took a list of its own of
`path text`, which --list still names. Word images go in as they are; it re-encoded them. With coords.txt each word
has keypoints: the corners of its quadrilateral. Of photos, the box around each quadrilateral is cropped; words
marked ### ("do not care") are left out.
"""
import functools
import glob
import os
import re

from conversion import sources
from conversion.convert import Skipped, make_parser, run

LISTS = ("Challenge4_Test_Task3_GT.txt", "gt.txt")


def load(arguments):
    keep = sources.is_alphanumeric if arguments.subset in ("1922", "alphanumeric") else lambda text: True
    photos = glob.glob(os.path.join(glob.escape(arguments.data_dir), "**", "gt_img_*.txt"), recursive=True)
    expected = None
    if arguments.list:
        path = arguments.list if os.path.exists(arguments.list) else sources.find(arguments.data_dir, arguments.list)
        items, folder = sources.read_pairs(path), arguments.data_dir
    elif photos:
        items = sorted(photos, key=lambda path: (int(re.sub(r"\D", "", os.path.basename(path)) or 0), path))
        return items, functools.partial(read_photo, arguments.data_dir, arguments.subset), None
    else:
        path = sources.find(arguments.data_dir, *LISTS)
        folder, items = os.path.dirname(path), sources.quoted_list(path)
        expected = {4468: 4468, 2077: 2077}.get(len(items), 2077)
    if arguments.subset in ("1922", "alphanumeric"):
        expected = 1922 if expected == 2077 else None
    corners = read_corners(os.path.join(folder, "coords.txt"))
    return sources.filtered(items, keep), functools.partial(read_word, folder, corners), expected


def read_corners(path):
    """{image name: corners [4][2], clockwise from the top left} of coords.txt; empty without that."""
    corners = {}
    for _, line in sources.read_lines(path) if os.path.exists(path) else ():
        name, *numbers = line.split(",")
        try:
            corners[name.strip()] = sources.quadrilateral(numbers)
        except ValueError:
            continue  # the word has no keypoints, then
    return corners


def read_word(folder, corners, item):
    for sample in sources.read_word_image(folder, item):
        if item[0] in corners:
            sample = sample._replace(keypoints=sources.corner_curves(corners[item[0]]))
        yield sample


def read_photo(data_dir, subset, path):
    from aster.data.example import Sample
    name = os.path.basename(path)[len("gt_"):-len(".txt")] + ".jpg"
    found = glob.glob(os.path.join(glob.escape(data_dir), "**", name), recursive=True)
    image = sources.open_image(data_dir, os.path.relpath(found[0], data_dir) if found else name)
    for i, (_, line) in enumerate(sources.read_lines(path)):
        word_name = "%s:%d" % (name, i)
        try:
            fields = line.split(",", 8)
            if len(fields) < 9:
                raise ValueError("expected eight coordinates and a text")
            corners, text = sources.quadrilateral(fields[:8]), fields[8]
            if text == "###" or (subset in ("1922", "alphanumeric") and not sources.is_alphanumeric(text)):
                continue
            box = sources.box_with_margin(*(list(corners.min(0)) + list(corners.max(0))), margin=0, size=image.size)
        except ValueError as error:
            yield Skipped(word_name, str(error))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), text, filename=word_name,
                     keypoints=sources.corner_curves(corners - box[:2]))


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--subset", choices=("all", "2077", "1922", "alphanumeric"), default="all",
                        help="1922 or alphanumeric: words of ASCII letters and digits only; all is 2077 words of the "
                             "test split, 4468 of the training split")
    parser.add_argument("--list", metavar="FILE", help="a list of `path text` instead of those above")
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
