"""Draws docs/images/reading.png and attention.png: sample images, which are rendered words, as the pretrained
model reads them.

    python tools/draw_readme_pictures.py

Images that it misreads stop it, so that none can get into the README.
"""
import os
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(REPOSITORY)  # the checkout serves where aster is not installed

from aster.pretrained import SAMPLES  # noqa: E402
from aster.reading.pictures import draw_reading, draw_readings  # noqa: E402
from aster.reading.recognizer import Recognizer  # noqa: E402

SEVERAL = ["7_HARBOUR.jpg", "3_LIBRARY.jpg", "4_BAKERY.jpg", "5_MUSEUM.jpg", "8_GARDEN.jpg"]
SINGLE = "7_HARBOUR.jpg"
WIDTH = 1200  # pixels; a page shows 800 of them, or all on a fine screen


def main():
    with Recognizer.from_experiment() as recognizer:
        paths = [os.path.join(SAMPLES, name) for name in SEVERAL]
        readings = dict(zip(SEVERAL, recognizer.recognize(paths, details=True)))
    for name, reading in readings.items():
        truth = os.path.splitext(name)[0].partition("_")[2]
        if reading.text.lower() != truth.lower():
            sys.exit(f"{name} is read as {reading.text!r}; name other images in SEVERAL")
    folder = os.path.join(REPOSITORY, "docs", "images")
    draw_readings([readings[name] for name in SEVERAL], WIDTH).save(os.path.join(folder, "reading.png"), optimize=True)
    draw_reading(readings[SINGLE], width=WIDTH).save(os.path.join(folder, "attention.png"), optimize=True)


if __name__ == "__main__":
    main()
