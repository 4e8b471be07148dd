#!/usr/bin/env python
"""Converts SVT-Perspective: imagelist.txt and the word images that it names.

    python tools/create_svt_perspective_tfrecord.py --data_dir svt-p --output_path data/svtp.tfrecord --check

The lines of imagelist.txt are `path text lexicon_length word,word,...`. Images are copied as they are. Lexicons
are in alphabetical order. The published converter converted texts and lexicons to lower case; use --lower_case for the
same texts.
"""
import argparse
import functools

from conversion import lists, sources
from conversion.convert import DataSet, make_parser, run


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of SVT-Perspective.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: there is no imagelist.txt.
    """
    items = lists.image_list(sources.find(arguments.data_dir, "imagelist.txt"), arguments.encoding)
    return DataSet(items, functools.partial(sources.read_word_image, arguments.data_dir), expected=645)


def main(arguments=None):
    parser = make_parser(__doc__)
    lists.encoding_option(parser)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
