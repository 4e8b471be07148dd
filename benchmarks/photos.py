"""Reading photos of words with the model that comes with the library: python benchmarks/photos.py [FOLDER]"""
import os
import sys

from common import alternate, report

from aster.data.image import find_images
from aster.pretrained import SAMPLES
from aster.reading.recognizer import BATCH_SIZE, Recognizer


def main(folder=os.path.relpath(SAMPLES), seconds=10):
    paths = list(find_images([folder]))
    paths *= -(-2 * BATCH_SIZE // len(paths))
    with Recognizer.from_experiment() as recognizer:
        for batch in 1, BATCH_SIZE:
            taken = alternate([lambda: list(recognizer.recognize(paths, batch))], seconds)[0] / len(paths)
            report("photos", batch, 1 / taken, milliseconds=round(1000 * taken, 2), folder=folder)


if __name__ == "__main__":
    main(*sys.argv[1:2])
