#!/usr/bin/env python
"""Converts ICDAR 2003: words.xml with its photos, and lexicon_full.

    python tools/create_ic03_tfrecord.py --data_dir SceneTrialTest --output_path ic03.tfrecord --subset 860 --check

Texts are as in the set. The published converter converted them to lower case (use --lower_case for the same texts) and
took the subset 860.

lexicon_full is a list of one word per line that users of this test set share. Without it the words have no lexicons.
The lexicon of a word is the word and 49 others, in alphabetical order. The published converter put the word itself
first, and the published evaluation takes the first of several words that are equally near to what was read. So
accuracy with these lexicons can be a little lower than with the published ones. This library's evaluation gives the
same result for both, since it does not look at the order.
"""
import argparse
import functools
import os
import random
import re
from typing import Iterator, List, Optional, Sequence

from conversion import geometry, lists, sources
from conversion.convert import DataSet, Skipped, SourceError, make_parser, run
from create_svt_tfrecord import read_photo

EXPECTED = {"1107": 1107, "860": 860}
_LEXICON_SIZE = 50


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of IC03.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: words.xml is missing or damaged, or lexicon_full is missing and asked for.
    """
    photos = sources.tagged_images(sources.find(arguments.data_dir, "words.xml"))
    if arguments.subset == "860":
        photos = [(name, lexicon, [word for word in words if not is_difficult(word[-1])])
                  for name, lexicon, words in photos]
    full = read_lexicon(arguments.data_dir, arguments.lexicon, arguments.encoding)
    rng = random.Random(1)  # as published, so that the same words are drawn
    items = []
    for name, _, words in photos:
        for i, word in enumerate(words):
            lexicon = full if arguments.lexicon == "full" else small_lexicon(full, word[-1], rng) if full else []
            items.append((name, i, lexicon, word))
    read = functools.partial(read_word, arguments.data_dir, arguments.crop_margin)
    return DataSet(items, read, EXPECTED[arguments.subset])


def is_difficult(text: str) -> bool:
    """Tells whether the subset 860 leaves a word out.

    Args:
      text: the word.

    Returns:
      Whether it is shorter than 3 or has characters other than letters, digits and _.
    """
    return len(text) < 3 or not re.match(r"^\w+$", text)


def read_lexicon(data_dir: str, kind: str, encoding: Optional[str] = None) -> List[str]:
    """Reads lexicon_full.

    Args:
      data_dir: the folder of the data set.
      kind: what --lexicon says; None or "" where it was not given.
      encoding: what --encoding says.

    Returns:
      All words; none where lexicon_full is not there and was not asked for.

    Raises:
      SourceError: lexicon_full is not there, but --lexicon asks for it.
    """
    if kind == "none":
        return []
    path = os.path.join(data_dir, "lexicon_full")
    if not os.path.exists(path):
        if kind:
            raise SourceError(f"there is no {path}, which --lexicon {kind} needs")
        return []
    return [text for _, text in lists.read_lines(path, encoding, or_latin_1=True)]


def small_lexicon(full: Sequence[str], text: str, rng: random.Random) -> List[str]:
    """Draws the lexicon of a word.

    Args:
      full: the words to draw from.
      text: the word.
      rng: where the chance comes from.

    Returns:
      The word and the 49 others that the published converter draws, in alphabetical order, so that nothing in the
      order tells which word is the right one.
    """
    others = list(full)
    folded = [word.lower() for word in others]
    if text.lower() in folded:
        del others[folded.index(text.lower())]
    rng.shuffle(others)
    return sources.alphabetical([text] + others[:_LEXICON_SIZE - 1])


def read_word(data_dir: str, margin: float, item: tuple) -> Iterator:
    """Crops a word of a photo.

    Args:
      data_dir: the folder of the data set.
      margin: around the word, as a share of its height.
      item: (file name, number of the word, lexicon, (x, y, width, height, text)).

    Yields:
      The Sample, or Skipped.

    Raises:
      ValueError or OSError: the photo can't be read.
    """
    name, index, lexicon, word = item
    for result in read_photo(data_dir, margin, (name, lexicon, [word])):
        word_name = f"{name}:{index}"
        yield Skipped(word_name, result.reason) if isinstance(result, Skipped) else result._replace(filename=word_name)


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--subset", choices=sorted(EXPECTED), default="1107",
                        help="860: without words that are shorter than 3 or have characters other than letters, digits "
                             "and _ (default: 1107, all words)")
    parser.add_argument("--lexicon", choices=("50", "full", "none"),
                        help="50 (the default where there is a lexicon_full): each word gets a lexicon of itself and "
                             "49 other words, the same ones in each conversion, in alphabetical order; full: each word "
                             "gets all words of lexicon_full; none: no lexicons")
    geometry.crop_margin(parser, 0.2)
    lists.encoding_option(parser)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
