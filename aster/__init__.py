"""ASTER: scene-text recognition with flexible rectification (Shi et al., PAMI 2018).

`aster.Recognizer` recognizes images of words, and `aster.crop` cuts words out of a photo. TensorFlow is imported when
the Recognizer is first used. `aster.pretrained.list()` names the trained models that come with the library.
"""
from typing import TYPE_CHECKING

from aster import lazy, pretrained, renamed

if TYPE_CHECKING:
    from aster.reading.crops import crop
    from aster.reading.recognizer import Reading, Recognizer

__version__ = "0.2.0"
__all__ = ["Reading", "Recognizer", "crop", "pretrained"]

renamed.install()
lazy.offer(__name__, {"Reading": "aster.reading.recognizer", "Recognizer": "aster.reading.recognizer",
                      "crop": "aster.reading.crops"})
