"""Measures the mark of doubtful texts and the hints with the pretrained model:

    PYTHONPATH=. python benchmarks/doubtful.py LIST.tsv...

A list has lines of a path, seen from the list, a tab and the word. docs/notes/doubtful_texts.md has the result.
"""
import os
import sys
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np
from PIL import Image

from aster.data.image import load_image
from aster.evaluation.metrics import comparable
from aster.reading import policy
from aster.reading.recognizer import Recognizer

THRESHOLDS = 0.98, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.1, 0.01
NUM_PHOTOS = 500
HEIGHTS, NUM_RESIZED = (4, 5, 6, 7, 8, 10, 12), 400


def read_lists(lists: List[str]) -> Iterator[Tuple[str, str]]:
    """Yields (path, word)."""
    for path in lists:
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                name, word = line.rstrip("\n").split("\t")
                yield os.path.join(os.path.dirname(path), name), word


def texture(rng: np.random.RandomState, size: Tuple[int, int]) -> Image.Image:
    """A ground of a random color with spots of several sizes."""
    pixels = rng.uniform(30, 220, 3) + rng.normal(0, rng.uniform(0, 12), [size[1], size[0], 1])
    for spots in 2, 5, 13, 40, 150:
        small = rng.uniform(0, 255, [max(2, spots * size[1] // size[0]), spots, 3]).astype(np.uint8)
        layer = np.array(Image.fromarray(small).resize(size, Image.BILINEAR), np.float32)  # type: ignore[attr-defined]
        pixels = pixels + (layer / 127.5 - 1) * rng.uniform(5, 60)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make_photo(rng: np.random.RandomState, paths: List[str]) -> np.ndarray:
    """2 to 10 words on a texture, 240 to 2000 pixels wide."""
    width = int(np.exp(rng.uniform(np.log(240), np.log(2000))))
    height = int(width * rng.choice([0.4, 0.5625, 0.66, 0.75, 1, 1.33, 1.5]))
    photo = texture(rng, (width, height))
    for _ in range(rng.randint(2, 11)):
        word = Image.fromarray(load_image(paths[rng.randint(len(paths))]))
        word_width = int(width * rng.uniform(0.08, 0.45))
        word_height = int(np.clip(word_width * word.height / word.width, 8, height / 2))
        photo.paste(word.resize((word_width, word_height)),
                    (rng.randint(max(1, width - word_width)), rng.randint(max(1, height - word_height))))
    return np.array(photo)


def resized(path: str, height: int) -> np.ndarray:
    """The image at a height of a few pixels."""
    image = Image.fromarray(load_image(path))
    return np.array(image.resize((max(1, round(image.width * height / image.height)), height), Image.LANCZOS))


def is_wrong(readings: List[Any], truths: Sequence[str]) -> np.ndarray:
    """-> bool for each reading."""
    return np.array([comparable(one.text or "") != comparable(truth) for one, truth in zip(readings, truths)])


def main(*lists: str) -> None:
    paths, truths = zip(*read_lists(list(lists)))
    step = max(1, len(paths) // NUM_RESIZED)
    rng = np.random.RandomState(1)
    with Recognizer.from_experiment() as recognizer:
        words = list(recognizer.recognize(paths))
        photos = list(recognizer.recognize(make_photo(rng, list(paths)) for _ in range(NUM_PHOTOS)))
        small = [list(recognizer.recognize(resized(path, height) for path in paths[::step])) for height in HEIGHTS]
    wrong = is_wrong(words, truths)
    probability = np.exp([word.score for word in words])
    print(f"{len(words)} words, {100 * wrong.mean():.1f} % wrong")
    print("| below | marked % | wrong of the marked % | marked of the wrong % | marked of the right % |")
    for threshold in THRESHOLDS:
        marked = probability < threshold
        print(f"| {threshold} | {100 * marked.mean():.1f} | {100 * wrong[marked].mean():.1f} | "
              f"{100 * marked[wrong].mean():.1f} | {100 * marked[~wrong].mean():.1f} |")
    for name, readings in ("words", words), ("made-up photos", photos):
        count = sum(reading.hint == policy.WHOLE_PHOTO for reading in readings)
        print(f"{name}: {count} of {len(readings)} get the hint at a whole photo")
    print("| height | right % | doubtful % | wrong and not doubtful % |")
    for height, readings in zip(HEIGHTS, small):
        wrong, doubtful = is_wrong(readings, truths[::step]), np.array([reading.doubtful for reading in readings])
        print(f"| {height} | {100 * (~wrong).mean():.0f} | {100 * doubtful.mean():.0f} | "
              f"{100 * (wrong & ~doubtful).mean():.0f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
