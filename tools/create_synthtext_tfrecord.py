#!/usr/bin/env python
"""Converts SynthText: gt.mat and 858,750 images with some 7 million words.

    python tools/create_synthtext_tfrecord.py --data_dir SynthText --output_path synthtext.tfrecord --num_shards 100

Each word is cropped with a margin and has keypoints: parabolas through the tops and the bottoms of its characters.
Crops outside of the image or of less than 20 pixels are left out, and images whose boxes don't fit their texts. (The
published converter crashes on gt.mat as it is now read.)
"""
import functools
import re

import numpy as np
from conversion import sources
from conversion.convert import Skipped, SourceError, make_parser, run

_MARGIN = 0.1       # of the geometric mean of width and height
_SMALLEST_AREA = 20  # square pixels


class Images:
    """The images of gt.mat as a sequence of (name, words, word boxes [n, 4, 2], character boxes [m, 4, 2]).

    gt.mat holds millions of small arrays; each of its four variables is read by itself and packed into one.
    """

    def __init__(self, path):
        self._names = [_text(cell) for cell in _variable(path, "imnames")]
        self._texts = ["\n".join(_lines(cell)) for cell in _variable(path, "txt")]
        self._words, self._word_bounds = _pack(_variable(path, "wordBB"), None)
        self._characters, self._character_bounds = _pack(_variable(path, "charBB"), np.float32)
        counts = [len(one) for one in (self._names, self._texts, self._word_bounds[1:], self._character_bounds[1:])]
        if len(set(counts)) != 1:
            raise SourceError("{}: imnames, txt, wordBB and charBB have {} entries; expected as many of each".format(path, ", ".join(map(str, counts))))

    def __len__(self):
        return len(self._names)

    def __getitem__(self, part):
        return [(self._names[i], self._texts[i].split(),
                 self._words[self._word_bounds[i]:self._word_bounds[i + 1]],
                 self._characters[self._character_bounds[i]:self._character_bounds[i + 1]])
                for i in range(part.start, part.stop)]


def _variable(path, name):
    """The cells of a variable of a .mat file."""
    from scipy import io
    try:
        return io.loadmat(path, variable_names=[name])[name].flatten()
    except KeyError:
        raise SourceError(f"{path} has no variable {name}; expected SynthText's gt.mat")
    except Exception as error:  # scipy raises many types for bytes that it can't read
        raise SourceError(f"{path} is no MATLAB file that scipy can read, or damaged: {error}")


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


def load(arguments):
    images = Images(sources.find(arguments.data_dir, "gt.mat"))
    return images, functools.partial(read_image, arguments.data_dir), None


def read_image(data_dir, item):
    from aster.data.example import Sample
    name, words, word_corners, character_corners = item
    if len(words) != len(word_corners) or sum(map(len, words)) != len(character_corners):
        raise ValueError("it has %d words of %d characters in its text, but %d and %d boxes"
                         % (len(words), sum(map(len, words)), len(word_corners), len(character_corners)))
    image = sources.open_image(data_dir, name)
    end = 0
    for i, (word, corners) in enumerate(zip(words, word_corners)):
        characters = character_corners[end:end + len(word)].astype(np.float64)
        end += len(word)
        word_name = "%s:%d" % (name, i)
        try:
            box = crop_box(corners, image.size)
            characters -= box[:2]
            keypoints = sources.text_curves(characters[:, :2].reshape(-1, 2), characters[:, 2:].reshape(-1, 2))
        except ValueError as error:
            yield Skipped(word_name, re.sub(r"\s+", " ", str(error)))
            continue
        yield Sample(sources.crop_to_jpeg(image, box), word, keypoints=keypoints, filename=word_name)


def crop_box(corners, size):
    """The box around corners [4, 2] with its margin, clipped to [0, size] and rounded, as published."""
    low, high = corners.min(0), corners.max(0)
    if not np.isfinite(corners).all():
        raise ValueError("its box is not made of numbers")
    margin = _MARGIN * np.sqrt((high[0] - low[0]) * (high[1] - low[1]))
    x_min, y_min = np.round(np.maximum(low - margin, 0)).astype(int)
    x_max, y_max = np.round(np.minimum(high + margin, size)).astype(int)
    if x_max <= x_min or y_max <= y_min:
        raise ValueError("its box lies outside of the image")
    if (x_max - x_min) * (y_max - y_min) < _SMALLEST_AREA:
        raise ValueError("its crop has less than %d pixels" % _SMALLEST_AREA)
    return int(x_min), int(y_min), int(x_max), int(y_max)


def main(arguments=None):
    run(make_parser(__doc__).parse_args(arguments), load)


if __name__ == "__main__":
    main()
