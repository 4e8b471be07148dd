#!/usr/bin/env python
"""Tells what is in TFRecords: counts, lengths, sizes, characters outside of a charset, damaged records.

    python tools/inspect_tfrecord.py data/train.tfrecord --charset 0123456789abcdef --sheet words.png

Exits with 1 where a record is damaged.
"""
import argparse
import collections
import glob
import os
import sys

import numpy as np
from conversion import sheet

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_MOST_NAMED = 20


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="FILE", help="TFRecord files, or patterns of their names")
    parser.add_argument("--charset", metavar="CHARACTERS", help="name characters of texts that are not among these")
    parser.add_argument("--charset_file", metavar="FILE", help="the same from a file of one character per line")
    parser.add_argument("--sheet", metavar="PNG", help="a picture of the first words, their keypoints and texts")
    parser.add_argument("--num_images", type=int, default=80, metavar="N", help="words in it (default: 80)")
    return parser.parse_args()


def inspect(paths, characters=None, most=80):
    """-> (lines of the report, first samples, number of damaged records)."""
    from aster.data import example, image, records
    lengths, unknown, formats = collections.Counter(), collections.Counter(), collections.Counter()
    first, sizes, damaged, lexicons, keypoints, unknown_texts = [], [], [], [], 0, 0
    for path in paths:
        for record in records.read_records(path):
            if record.error:
                damaged.append(f"{record.where}: {record.error}")
                continue
            try:
                sample = example.parse(record.payload)
                sizes.append(image.decode_image(sample.encoded).shape[:2])
            except ValueError as error:
                damaged.append(f"{record.where}: {error}")
                continue
            lengths[len(sample.text)] += 1
            formats["PNG" if sample.encoded.startswith(b"\x89PNG") else
                    "JPEG" if sample.encoded.startswith(b"\xff\xd8") else "other"] += 1
            lexicons.append(len(sample.lexicon))
            keypoints += sample.keypoints is not None
            outside = set(sample.text) - characters if characters else ()
            unknown.update(outside)
            unknown_texts += bool(outside)
            if len(first) < most:
                first.append(sample)
    lines = ["%d words, %d damaged records" % (len(sizes), len(damaged))]
    lines += ["  " + name for name in damaged[:_MOST_NAMED]]
    if len(damaged) > _MOST_NAMED:
        lines.append("  and %d more" % (len(damaged) - _MOST_NAMED))
    if sizes:
        lines += _describe(lengths, formats, np.array(sizes), np.array(lexicons), keypoints)
    if characters:
        lines.append("characters outside of the charset: %s in %d words" % (
            " ".join("%s (%d)" % (character, count) for character, count in unknown.most_common(50)) or "none",
            unknown_texts))
    return lines, first, len(damaged)


def _describe(lengths, formats, sizes, lexicons, keypoints):
    total = sum(lengths.values())
    heights, widths = sizes.T
    return [
        "lengths: " + ", ".join("%d: %d" % item for item in sorted(lengths.items())),
        "mean length: %.2f" % (sum(length * count for length, count in lengths.items()) / float(total)),
        "widths: %d to %d, median %d" % (widths.min(), widths.max(), np.median(widths)),
        "heights: %d to %d, median %d" % (heights.min(), heights.max(), np.median(heights)),
        "images: " + ", ".join("%d %s" % (count, name) for name, count in formats.most_common()),
        "with keypoints: %d" % keypoints,
        "with lexicons: %d%s" % ((lexicons > 0).sum(), ", of %d to %d words" % (
            lexicons[lexicons > 0].min(), lexicons.max()) if lexicons.any() else "")]


def main():
    from aster.data import charset
    arguments = parse_arguments()
    paths = []
    for path in arguments.paths:
        found = [path] if os.path.exists(path) else sorted(glob.glob(path))
        if not found:
            sys.exit(f"inspect_tfrecord: there is no {path}")
        paths += found
    characters = set(charset.normalize(arguments.charset or ""))
    if arguments.charset_file:
        try:
            with open(arguments.charset_file, encoding="utf-8-sig") as stream:
                characters.update(charset.normalize(stream.read()).replace("\n", ""))
        except (OSError, UnicodeDecodeError) as error:
            sys.exit(f"inspect_tfrecord: --charset_file {arguments.charset_file}: {error}")
    try:
        lines, first, damaged = inspect(paths, characters, arguments.num_images)
        if arguments.sheet and first:
            sheet.draw(first, arguments.sheet)
    except OSError as error:
        sys.exit(f"inspect_tfrecord: {error}")
    print("\n".join(lines))
    sys.exit(1 if damaged else 0)


if __name__ == "__main__":
    main()
