"""Photographs to write on."""
import os
import sys
from typing import Tuple

import numpy as np
from PIL import Image

from aster.errors import printable

_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
_LONGEST = 1200  # pixels; larger photographs are scaled down, because each worker keeps all of them in memory


class PhotoError(Exception):
    """Says what is wrong with the folder of photographs, and what to do."""


class Photos:
    """All photographs below a folder, to cut pieces out of.

    A process loads a photograph when it first needs it. If it can't be read, the process says so and takes the
    next one.
    """

    def __init__(self, folder: str) -> None:
        """Finds the photographs.

        Args:
          folder: where to search.

        Raises:
          PhotoError: there are none.
        """
        self._paths = sorted(os.path.join(place, name) for place, _, names in os.walk(folder)
                             for name in names if name.lower().endswith(_EXTENSIONS))
        if not self._paths:
            raise PhotoError(f"no photograph ({' '.join(_EXTENSIONS)}) below {folder}; give --backgrounds a folder "
                             "that has some")
        self._images = {}

    def piece(self, size: Tuple[int, int], rng: np.random.RandomState) -> np.ndarray:
        """Cuts out a random piece of a random photograph.

        Args:
          size: (width, height) in pixels, to which the piece is scaled.
          rng: where the chance comes from.

        Returns:
          float32 [height, width, 3], 0 to 255.

        Raises:
          PhotoError: none of the photographs can be read.
        """
        first = rng.randint(len(self._paths))
        image = next(filter(None, map(self._load, self._paths[first:] + self._paths[:first])), None)
        if image is None:
            raise PhotoError(f"none of the {len(self._paths)} photographs of --backgrounds can be read")
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
                print(printable(f"{path} is left out: it can't be read ({error})"), file=sys.stderr)
                image = None
            self._images[path] = image
        return self._images[path]
