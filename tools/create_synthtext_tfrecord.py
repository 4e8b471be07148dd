#!/usr/bin/env python
"""Converts SynthText: gt.mat and 858,750 images with some 7 million words.

    python tools/create_synthtext_tfrecord.py --data_dir SynthText --output_path synthtext.tfrecord --num_shards 100

Each word is cropped with a margin and has key points: parabolas through the tops and the bottoms of its characters.
Words whose crop is outside of the image or smaller than 20 pixels are left out, and so are images whose boxes don't fit
their texts. (The published converter crashes on gt.mat as scipy reads it today.)
"""
import argparse
import functools
import re
from typing import Iterator, List, Tuple

import numpy as np
from conversion import geometry, sources
from conversion.convert import DataSet, Skipped, SourceError, make_parser, run

_MARGIN = 0.1  # of the geometric mean of width and height
_SMALLEST_AREA = 20  # square pixels


class Images:
    """The images of gt.mat as a sequence of (name, words, word boxes [n, 4, 2], character boxes [m, 4, 2]).

    gt.mat has millions of small arrays. To save memory, each of its four variables is read by itself and packed into
    one array.
    """

    def __init__(self, path: str) -> None:
        """Reads the file.

        Args:
          path: gt.mat.

        Raises:
          SourceError: the file is damaged, or is not SynthText's.
        """
        self._names = [_text(cell) for cell in _variable(path, "imnames")]
        self._texts = ["\n".join(_lines(cell)) for cell in _variable(path, "txt")]
        self._words, self._word_bounds = _pack(_variable(path, "wordBB"), None)
        self._characters, self._character_bounds = _pack(_variable(path, "charBB"), np.float32)
        counts = [len(self._names), len(self._texts), len(self._word_bounds) - 1, len(self._character_bounds) - 1]
        if len(set(counts)) != 1:
            raise SourceError(f"{path}: imnames, txt, wordBB and charBB have {', '.join(map(str, counts))} entries; "
                              "expected the same number of each")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, part: slice) -> List[tuple]:
        return [(self._names[i], self._texts[i].split(),
                 self._words[self._word_bounds[i]:self._word_bounds[i + 1]],
                 self._characters[self._character_bounds[i]:self._character_bounds[i + 1]])
                for i in range(part.start, part.stop)]


def _variable(path, name):
    """The cells of a variable of a .mat file."""
    from scipy import io
    try:
        return io.loadmat(path, variable_names=[name])[name].flatten()
    except KeyError as error:
        raise SourceError(f"{path} has no variable {name}; expected SynthText's gt.mat") from error
    except Exception as error:  # scipy raises many types for bytes that it can't read
        raise SourceError(f"{path} is no MATLAB file that scipy can read, or damaged: {error}") from error


def _text(cell):
    while isinstance(cell, np.ndarray):
        cell = cell.flat[0] if cell.size else ""
    return str(cell)


def _lines(cell):
    if not isinstance(cell, np.ndarray):
        return [str(cell)]
    return [line for part in cell.flat for line in ([part] if isinstance(part, str) else _lines(part))]


def _pack(cells, dtype):
    """Boxes of many images, [2, 4, n] or [2, 4] each -> corners of all [N, 4, 2], and where each image's start."""
    counts = [cell.size // 8 for cell in cells]
    bounds = np.concatenate([[0], np.cumsum(counts)])
    dtype = dtype or next((cell.dtype for cell in cells if cell.size), np.float32)
    packed = np.empty([bounds[-1], 4, 2], dtype)
    for i, cell in enumerate(cells):
        if counts[i]:
            packed[bounds[i]:bounds[i + 1]] = cell.reshape(2, 4, -1).transpose(2, 1, 0)
    return packed, bounds


def load(arguments: argparse.Namespace) -> DataSet:
    """Finds the images of SynthText.

    Args:
      arguments: the parsed options.

    Returns:
      The data set, whose items are images.

    Raises:
      SourceError: gt.mat is missing or damaged.
    """
    images = Images(sources.find(arguments.data_dir, "gt.mat"))
    return DataSet(images, functools.partial(read_image, arguments.data_dir))


def read_image(data_dir: str, item: tuple) -> Iterator:
    """Crops the words of an image.

    Args:
      data_dir: the folder of the data set.
      item: (name, words, word boxes, character boxes), an element of Images.

    Yields:
      A Sample for each word, or Skipped.

    Raises:
      ValueError or OSError: the image can't be read, or its boxes don't fit its words.
    """
    from aster.data.example import Sample
    name, words, word_corners, character_corners = item
    if len(words) != len(word_corners) or sum(map(len, words)) != len(character_corners):
        raise ValueError(f"it has {len(words)} words of {sum(map(len, words))} characters in its text, but "
                         f"{len(word_corners)} and {len(character_corners)} boxes")
    image = sources.open_image(data_dir, name)
    end = 0
    for i, (word, corners) in enumerate(zip(words, word_corners)):
        characters = character_corners[end:end + len(word)].astype(np.float64)
        end += len(word)
        word_name = f"{name}:{i}"
        try:
            box = crop_box(corners, image.size)
            characters -= box[:2]
            keypoints = geometry.text_curves(characters[:, :2].reshape(-1, 2), characters[:, 2:].reshape(-1, 2))
        except ValueError as error:
            yield Skipped(word_name, re.sub(r"\s+", " ", str(error)))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), word, keypoints=keypoints, filename=word_name)


def crop_box(corners: np.ndarray, size: Tuple[int, int]) -> geometry.Box:
    """Computes the box to crop, as published: with a margin, rounded, and clipped to [0, size].

    Args:
      corners: float [4, 2], (x, y) of the corners of the word in pixels.
      size: (width, height) of the image in pixels.

    Returns:
      The box.

    Raises:
      ValueError: the box is not in the image, or smaller than 20 pixels.
    """
    low, high = corners.min(0), corners.max(0)
    if not np.isfinite(corners).all():
        raise ValueError("its box is not made of numbers")
    margin = _MARGIN * np.sqrt((high[0] - low[0]) * (high[1] - low[1]))
    x_min, y_min = np.round(np.maximum(low - margin, 0)).astype(int)
    x_max, y_max = np.round(np.minimum(high + margin, size)).astype(int)
    if x_max <= x_min or y_max <= y_min:
        raise ValueError("its box lies outside of the image")
    if (x_max - x_min) * (y_max - y_min) < _SMALLEST_AREA:
        raise ValueError(f"its crop has less than {_SMALLEST_AREA} pixels")
    return int(x_min), int(y_min), int(x_max), int(y_max)


def main(arguments=None):
    run(make_parser(__doc__).parse_args(arguments), load)


if __name__ == "__main__":
    main()
