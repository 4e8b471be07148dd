"""Reading photos of words with the model that comes with the library: python benchmarks/photos.py [FOLDER]"""
import os
import sys
import time

from common import ROOT, report

from aster.data.image import find_images
from aster.models import SAMPLES
from aster.recognizer import BATCH_SIZE, Recognizer


def main(folder=SAMPLES, seconds=10):
    paths = list(find_images([folder]))
    paths *= -(-2 * BATCH_SIZE // len(paths))
    with Recognizer.from_experiment() as recognizer:
        for batch in 1, BATCH_SIZE:
            list(recognizer.recognize(paths, batch))
            start, count = time.time(), 0
            while time.time() < start + seconds:
                count += len(list(recognizer.recognize(paths, batch)))
            taken = (time.time() - start) / count
            report("photos", batch, 1 / taken, milliseconds=round(1000 * taken, 2),
                   folder=os.path.relpath(folder, ROOT))


if __name__ == "__main__":
    main(*sys.argv[1:2])
