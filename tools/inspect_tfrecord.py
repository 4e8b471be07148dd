#!/usr/bin/env python
"""Shows what is in TFRecord files: number of words, lengths, sizes, characters, damaged records.

    python tools/inspect_tfrecord.py data/train.tfrecord --charset 0123456789abcdef --sheet words.png

The status is 1 if a record is damaged.
"""
import argparse
import collections
import os
import sys
from typing import Collection, Iterable, List, Tuple

import find_aster  # noqa: F401
import numpy as np
from conversion import sheet
from conversion.output import OutputError, complete_files

from aster import command
from aster.errors import safe_for_terminal
from aster.files import find_matches

_MOST_NAMED = 20  # damaged records


def parse_arguments() -> argparse.Namespace:
    """Parses the command line.

    Returns:
      The options.
    """
    parser = command.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="FILE",
                        help="TFRecord files, or patterns such as 'data/*.tfrecord'")
    parser.add_argument("--charset", metavar="CHARACTERS",
                        help="count the characters of the texts that are not among these")
    parser.add_argument("--charset_file", metavar="FILE",
                        help="the same, with the characters in a file, one a line")
    parser.add_argument("--sheet", metavar="PNG", help="draw the first words with their key points and texts")
    parser.add_argument("--num_images", type=int, default=80, metavar="N",
                        help="how many words --sheet draws (default: 80)")
    arguments = parser.parse_args()
    if arguments.num_images < 1:
        parser.error("argument --num_images: must be 1 or more")
    return arguments


class _Counts:
    """What is counted over all records."""

    def __init__(self):
        self.lengths, self.formats, self.unknown = (collections.Counter() for _ in range(3))
        self.sizes, self.lexicons, self.damaged = [], [], []
        self.keypoints = self.unknown_texts = self.not_upright = 0

    def add(self, sample, size, orientation, characters):
        self.sizes.append(size)
        self.lengths[len(sample.text)] += 1
        self.formats["PNG" if sample.encoded.startswith(b"\x89PNG") else
                     "JPEG" if sample.encoded.startswith(b"\xff\xd8") else "other"] += 1
        self.lexicons.append(len(sample.lexicon))
        self.not_upright += orientation != 1
        self.keypoints += sample.keypoints is not None
        outside = set(sample.text) - set(characters) if characters else ()
        self.unknown.update(outside)
        self.unknown_texts += bool(outside)


def inspect(paths: Iterable[str], characters: Collection[str] = (), most: int = 80) -> Tuple[List[str], list, int]:
    """Reads and decodes all records of some files.

    Args:
      paths: the TFRecord files.
      characters: a character set. Characters of the texts that are not in it are counted, if it is not empty.
      most: how many samples to keep.

    Returns:
      The lines of a report, the first samples, and the number of damaged records.

    Raises:
      OSError: a file can't be read.
    """
    import quiet_tensorflow  # noqa: F401

    from aster.data import example, image, records
    counts, first = _Counts(), []
    for record in (record for path in paths for record in records.read_records(path)):
        try:
            if record.error:
                raise ValueError(record.error)
            sample = example.parse(record.payload)
            counts.add(sample, image.decode_image(sample.encoded).shape[:2], image.orientation(sample.encoded),
                       characters)
        except ValueError as error:
            counts.damaged.append(f"{record.where}: {error}")
            continue
        if len(first) < most:
            first.append(sample)
    return _report(counts, bool(characters)), first, len(counts.damaged)


def _report(counts, with_characters):
    lines = [f"{len(counts.sizes)} words, {len(counts.damaged)} damaged records"]
    lines += [f"  {name}" for name in counts.damaged[:_MOST_NAMED]]
    if len(counts.damaged) > _MOST_NAMED:
        lines.append(f"  and {len(counts.damaged) - _MOST_NAMED} more")
    if counts.sizes:
        lines += _describe(counts)
    if with_characters:
        unknown = " ".join(f"{character} ({count})" for character, count in counts.unknown.most_common(50))
        lines.append(f"characters outside of the charset: {unknown or 'none'} in {counts.unknown_texts} words")
    return lines


def _describe(counts):
    total = sum(length * count for length, count in counts.lengths.items())
    heights, widths = np.array(counts.sizes).T
    lexicons = [length for length in counts.lexicons if length]
    range_of_lexicons = f", of {min(lexicons)} to {max(lexicons)} words" if lexicons else ""
    return [
        "lengths: " + ", ".join(f"{length}: {count}" for length, count in sorted(counts.lengths.items())),
        f"mean length: {total / len(counts.sizes):.2f}",
        f"widths: {widths.min()} to {widths.max()}, median {int(np.median(widths))}",
        f"heights: {heights.min()} to {heights.max()}, median {int(np.median(heights))}",
        "images: " + ", ".join(f"{count} {name}" for name, count in counts.formats.most_common()),
        f"with keypoints: {counts.keypoints}",
        f"with lexicons: {len(lexicons)}{range_of_lexicons}"] + ([
            f"with an EXIF orientation that training and evaluation do not apply: {counts.not_upright}; photos of your "
            "own need to be converted again"] if counts.not_upright else [])


@safe_for_terminal()
def main():
    from aster.data import charset
    from aster.files import read_text
    arguments = parse_arguments()
    paths = []
    for path in arguments.paths:
        matches = [path] if os.path.exists(path) else find_matches(path)
        if not matches:
            sys.exit(f"inspect_tfrecord: there is no {path}")
        paths += matches
    try:
        if arguments.sheet:
            command.check_no_input(arguments.sheet, paths + [arguments.charset_file or ""])
        characters = set(charset.normalize(arguments.charset or ""))
        if arguments.charset_file:
            text = charset.normalize(read_text(arguments.charset_file, "the character set"))
            characters.update("".join(text.splitlines()))
        lines, first, num_damaged = inspect(paths, characters, arguments.num_images)
        if arguments.sheet and first:
            with complete_files([arguments.sheet]) as (part,):
                sheet.draw(first, part)
    except OSError as error:
        sys.exit(f"inspect_tfrecord: {error.filename}: {error.strerror}")
    except (OutputError, ValueError) as error:
        sys.exit(f"inspect_tfrecord: {error}")
    command.say("\n".join(lines))
    sys.exit(1 if num_damaged else 0)


if __name__ == "__main__":
    main()
