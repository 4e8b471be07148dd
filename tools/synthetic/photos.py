"""Photographs to write on."""
import os
import sys

import numpy as np
from PIL import Image

_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
_LONGEST = 1200  # pixels; larger ones are scaled down, since each worker keeps them all


class PhotoError(Exception):
    """Says what is wrong with the folder of photographs, and what to do."""


class Photos:
    """All photographs below a folder; `piece` cuts pieces out of them. A process loads one when it first needs it, and
    says so where it can't be read; the next one stands in for it."""

    def __init__(self, folder):
        self._paths = sorted(os.path.join(place, name) for place, _, names in os.walk(folder)
                             for name in names if name.lower().endswith(_EXTENSIONS))
        if not self._paths:
            raise PhotoError("no photograph ({}) below {}; give --backgrounds a folder that has some".format(" ".join(_EXTENSIONS), folder))
        self._images = {}

    def piece(self, size, rng):
        """float32 [height, width, 3]: a random piece of one of them, scaled to size (width, height)."""
        first = rng.randint(len(self._paths))
        image = next(filter(None, map(self._load, self._paths[first:] + self._paths[:first])), None)
        if image is None:
            raise PhotoError("none of the %d photographs of --backgrounds can be read" % len(self._paths))
        scale = min(np.exp(rng.uniform(-1, 1.4)), image.width / size[0], image.height / size[1])
        width, height = [max(int(edge * scale), 1) for edge in size]
        x, y = rng.randint(image.width - width + 1), rng.randint(image.height - height + 1)
        return np.asarray(image.crop((x, y, x + width, y + height)).resize(size, Image.BILINEAR), np.float32)

    def _load(self, path):
        """An image, or None."""
        if path not in self._images:
            try:
                image = Image.open(path).convert("RGB")
                image.thumbnail((_LONGEST, _LONGEST))
            except Exception as error:  # Pillow's plugins raise many types for files they can't read
                print(f"{path} is left out: it can't be read ({error})", file=sys.stderr)
                image = None
            self._images[path] = image
        return self._images[path]
