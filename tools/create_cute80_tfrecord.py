#!/usr/bin/env python
"""Converts CUTE80: imagelist.txt (`path text lexicon_length word,word,...`) and the word images that it names.

    python tools/create_cute80_tfrecord.py --data_dir cute80 --output_path data/cute80.tfrecord --check

Images go in as they are, lexicons stay out. The published converter lower-cased the texts: --lower_case.
"""
import functools

from conversion import sources
from conversion.convert import Skipped, make_parser, run


def load(arguments):
    items = sources.image_list(sources.find(arguments.data_dir, "imagelist.txt"))
    items = [item if isinstance(item, Skipped) else item[:2] for item in items]
    return items, functools.partial(sources.read_word_image, arguments.data_dir), 288


def main(arguments=None):
    run(make_parser(__doc__).parse_args(arguments), load)


if __name__ == "__main__":
    main()
