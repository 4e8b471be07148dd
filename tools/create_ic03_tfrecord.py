#!/usr/bin/env python
"""Converts ICDAR 2003: words.xml with its photos, and lexicon_full.

    python tools/create_ic03_tfrecord.py --data_dir SceneTrialTest --output_path ic03.tfrecord --subset 860 --check

Texts are as in the set; the published converter lower-cased them: --lower_case. Its subset was 860. lexicon_full is
the list of one word per line that the test sets' users share; without it words have no lexicon.
"""
import functools
import os
import random
import re

from conversion import sources
from conversion.convert import SourceError, make_parser, run
from create_svt_tfrecord import read_image

EXPECTED = {"1107": 1107, "860": 860}
_LEXICON_SIZE = 50


def load(arguments):
    images = sources.tagged_images(sources.find(arguments.data_dir, "words.xml"))
    if arguments.subset == "860":
        images = [(name, lexicon, [word for word in words if not is_difficult(word[-1])])
                  for name, lexicon, words in images]
    full = read_lexicon(arguments)
    draw = random.Random(1)  # as published, so that the same words come out
    items = []
    for name, _, words in images:
        for i, word in enumerate(words):
            lexicon = full if arguments.lexicon == "full" else small_lexicon(full, word[-1], draw) if full else []
            items.append((name, i, lexicon, word))
    read = functools.partial(read_word, arguments.data_dir, arguments.crop_margin)
    return items, read, EXPECTED[arguments.subset]


def is_difficult(text):
    return len(text) < 3 or not re.match(r"^\w+$", text)


def read_lexicon(arguments):
    if arguments.lexicon == "none":
        return []
    path = os.path.join(arguments.data_dir, "lexicon_full")
    if not os.path.exists(path):
        if arguments.lexicon:
            raise SourceError(f"there is no {path}, which --lexicon {arguments.lexicon} needs")
        return []
    return [text for _, text in sources.read_lines(path)]


def small_lexicon(full, text, draw):
    """The text and 49 others, drawn as published: all others shuffled, the first of them taken."""
    others = list(full)
    folded = [word.lower() for word in others]
    if text.lower() in folded:
        del others[folded.index(text.lower())]
    draw.shuffle(others)
    return [text] + others[:_LEXICON_SIZE - 1]


def read_word(data_dir, margin, item):
    name, index, lexicon, word = item
    for result in read_image(data_dir, margin, (name, lexicon, [word])):
        if hasattr(result, "filename"):
            result = result._replace(filename="%s:%d" % (name, index))
        yield result


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--subset", choices=sorted(EXPECTED), default="1107",
                        help="860: without words shorter than 3 or of other characters than letters, digits and _")
    parser.add_argument("--lexicon", choices=("50", "full", "none"), help="50 (the default): the word and 49 others "
                        "of lexicon_full, the same in each conversion; full: all of it, with each word")
    sources.crop_margin(parser, 0.2)
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
