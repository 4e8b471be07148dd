"""Measures reading photos of words with the pretrained model: python benchmarks/photos.py [FOLDER]"""
import os
import sys

from common import alternate, report

from aster.data.image import find_images
from aster.pretrained import SAMPLES
from aster.reading.recognizer import BATCH_SIZE, Recognizer


def main(folder: str = os.path.relpath(SAMPLES), seconds: float = 10) -> None:
    paths = list(find_images([folder]))
    paths *= -(-2 * BATCH_SIZE // len(paths))  # at least two whole batches
    with Recognizer.from_experiment() as recognizer:
        for batch in 1, BATCH_SIZE:
            def recognize_all(size=batch):
                return list(recognizer.recognize(paths, size))
            seconds_per_word = alternate([recognize_all], seconds)[0] / len(paths)
            report("photos", batch, 1 / seconds_per_word, milliseconds=round(1000 * seconds_per_word, 2), folder=folder)


if __name__ == "__main__":
    main(*sys.argv[1:2])
