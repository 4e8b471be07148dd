"""Finding words in a whole photo, by the detector of PP-OCR, whose weights are in the package rapidocr."""
import functools
from typing import Any, List

import numpy as np

from aster.data.image import load_image


def detect_words(image: Any) -> List[np.ndarray]:
    """Finds words in a photo. A line of several words may be found as one.

    Args:
      image: what `Recognizer.recognize` takes: a path, the bytes of a file, an array, or an image of Pillow.

    Returns:
      For each word its corners, float32 [4, 2], (x, y) in pixels, as `aster.crop` takes them; from top to bottom.

    Raises:
      ImportError: the package rapidocr is missing.
      ValueError: the image can't be decoded.
      OSError: a file can't be read.
    """
    pixels = load_image(image)
    found = _detector()(np.ascontiguousarray(pixels[:, :, ::-1]), use_det=True, use_cls=False, use_rec=False)
    boxes = [] if found.boxes is None else [np.asarray(box, np.float32) for box in found.boxes]
    return sorted(boxes, key=lambda box: (box[:, 1].mean(), box[:, 0].mean()))


@functools.lru_cache(maxsize=None)
def _detector() -> Any:
    try:
        import rapidocr
    except ImportError as error:
        raise ImportError(f"finding words in a photo needs the package rapidocr ({error}); run: pip install rapidocr "
                          "onnxruntime") from error
    return rapidocr.RapidOCR(params={"Global.log_level": "error"})
