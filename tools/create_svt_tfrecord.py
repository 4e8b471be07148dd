#!/usr/bin/env python
"""Converts Street View Text: train.xml or test.xml, and the photos in img/.

    python tools/create_svt_tfrecord.py --data_dir svt1 --output_path data/svt_test.tfrecord --check

Each word is cropped with a margin and gets the lexicon of its photo (about 50 words). Texts are upper case in the
set; the published converter lower-cased them: --lower_case.
"""
import functools

from conversion import sources
from conversion.convert import Skipped, make_parser, run

EXPECTED = {"train": 257, "test": 647}


def load(arguments):
    path = sources.find(arguments.data_dir, arguments.split + ".xml")
    items = sources.tagged_images(path)
    return items, functools.partial(read_image, arguments.data_dir, arguments.crop_margin), EXPECTED[arguments.split]


def read_image(data_dir, margin, item):
    """The words of one photo, as tagged_images gives it."""
    from aster.data.example import Sample
    name, lexicon, words = item
    image = sources.open_image(data_dir, name)
    for i, (x, y, width, height, text) in enumerate(words):
        word_name = "%s:%d" % (name, i)
        try:
            box = sources.box_with_margin(x, y, x + width, y + height, margin, image.size)
        except ValueError as error:
            yield Skipped(word_name, str(error))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), text, lexicon, filename=word_name)


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--split", choices=sorted(EXPECTED), default="test")
    sources.crop_margin(parser, 0.05)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
