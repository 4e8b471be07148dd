#!/usr/bin/env python
"""Converts IIIT5K-Words: traindata.mat or testdata.mat, and the images in train/ and test/.

    python tools/create_iiit5k_tfrecord.py --data_dir IIIT5K --output_path data/iiit5k_50.tfrecord --lexicon 50 --check

Images are copied as they are. Lexicons are in alphabetical order. If there is a trainCharBound.mat, words of the
training split have key points: curves through the tops and the bottoms of their characters. The published converter
crashes on the training split, which has no lexicons.
"""
import argparse
import functools
import os
from typing import Any, Optional

import numpy as np
from conversion import geometry, sources
from conversion.convert import DataSet, SourceError, make_parser, run

EXPECTED = {"train": 2000, "test": 3000}
_LEXICONS = {"50": "smallLexi", "1k": "mediumLexi"}


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the words of a split of IIIT5K.

    Args:
      arguments: the parsed options.

    Returns:
      The data set.

    Raises:
      SourceError: a .mat file is missing or damaged, or the training split is asked for lexicons.
    """
    if arguments.lexicon and arguments.split == "train":
        raise SourceError("the words of the training split have no lexicons; leave --lexicon out")
    entries = read_mat(sources.find(arguments.data_dir, arguments.split + "data.mat"))
    bounds = os.path.join(arguments.data_dir, "trainCharBound.mat")
    curves = {}
    if arguments.split == "train" and os.path.exists(bounds):
        curves = {text_of(entry["ImgName"]): character_curves(entry["charBB"]) for entry in read_mat(bounds)}
    field = _LEXICONS.get(arguments.lexicon)
    items = []
    for entry in entries:
        name = text_of(entry["ImgName"])
        lexicon = sources.alphabetical(text_of(word) for word in entry[field].flat) if field else []
        items.append((name, text_of(entry["GroundTruth"]), lexicon, curves.get(name)))
    return DataSet(items, functools.partial(sources.read_word_image, arguments.data_dir), EXPECTED[arguments.split])


def read_mat(path: str) -> np.ndarray:
    """Reads a MATLAB file that has one array of structures.

    Args:
      path: the .mat file.

    Returns:
      The structures, as a vector of numpy's structured type.

    Raises:
      SourceError: the file is damaged, or has something else in it.
    """
    from scipy import io
    try:
        content = io.loadmat(path)
    except Exception as error:  # scipy raises many types for bytes that it can't read
        raise SourceError(f"{path} is no MATLAB file, or damaged: {error}") from error
    arrays = [value for name, value in content.items() if not name.startswith("__")]
    if len(arrays) != 1 or not arrays[0].dtype.names:
        raise SourceError(f"{path}: expected one array of structures")
    return arrays[0].flatten()


def text_of(value: Any) -> str:
    """Takes a text out of the cells around it.

    Args:
      value: a text, or an array that has it as its first element, or an array of such an array, and so on.

    Returns:
      The text; "" for an empty array.
    """
    while isinstance(value, np.ndarray):
        if value.size == 0:
            return ""
        value = value.flat[0]
    return str(value)


def character_curves(boxes: np.ndarray) -> Optional[np.ndarray]:
    """Makes the key points of a word.

    Args:
      boxes: [n, 4], the (x, y, width, height) of its characters in pixels.

    Returns:
      float [2 * CURVE_POINTS, 2], as geometry.text_curves gives them; None where the boxes are not usable.
    """
    boxes = np.asarray(boxes, float)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) or not np.isfinite(boxes).all():
        return None
    x, y, width, height = boxes.T
    xs = np.concatenate([x, x + width])
    return geometry.text_curves(np.stack([xs, np.tile(y, 2)], 1), np.stack([xs, np.tile(y + height, 2)], 1))


def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("--split", choices=sorted(EXPECTED), default="test",
                        help="the words to convert (default: test)")
    parser.add_argument("--lexicon", choices=sorted(_LEXICONS),
                        help="add the lexicon of 50 or of 1,000 words to each word of the test split (default: none)")
    run(parser.parse_args(arguments), load)


if __name__ == "__main__":
    main()
