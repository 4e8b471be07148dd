#!/usr/bin/env python
"""Converts SVT-Perspective: imagelist.txt (`path text lexicon_length word,word,...`) and the word images that it names.

    python tools/create_svt_perspective_tfrecord.py --data_dir svt-p --output_path data/svtp.tfrecord --check

Images go in as they are. The published converter lower-cased texts and lexicons: --lower_case.
"""
import functools

from conversion import sources
from conversion.convert import make_parser, run


def load(arguments):
    items = sources.image_list(sources.find(arguments.data_dir, "imagelist.txt"))
    return items, functools.partial(sources.read_word_image, arguments.data_dir), 645


def main(arguments=None):
    run(make_parser(__doc__).parse_args(arguments), load)


if __name__ == "__main__":
    main()
