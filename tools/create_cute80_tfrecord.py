#!/usr/bin/env python
"""Converts CUTE80: imagelist.txt and the word images that it names.

    python tools/create_cute80_tfrecord.py --data_dir cute80 --output_path data/cute80.tfrecord --check

The lines of imagelist.txt are `path text lexicon_length word,word,...`. Images are copied as they are. Lexicons are
left out. The published converter converted the texts to lower case; use --lower_case for the same texts.
"""
import argparse
import functools

from conversion import lists, sources
from conversion.convert import DataSet, Skipped, make_parser, run


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of CUTE80.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: there is no imagelist.txt.
    """
    items = lists.image_list(sources.find(arguments.data_dir, "imagelist.txt"), arguments.encoding)
    items = [item if isinstance(item, Skipped) else item[:2] for item in items]
    return DataSet(items, functools.partial(sources.read_word_image, arguments.data_dir), expected=288)


def main(arguments=None):
    parser = make_parser(__doc__)
    lists.encoding_option(parser)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
