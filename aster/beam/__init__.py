"""Reading and converting many images with Apache Beam (docs/beam.md).

`ReadWords` reads images, `Recognize` reads their texts, and `WriteTFRecord` writes records to train on. Python 3.6, and
so TensorFlow 1.4, has no Apache Beam.
"""
from typing import TYPE_CHECKING

from aster import lazy

if TYPE_CHECKING:
    from aster.beam.recognize import Recognize, Text
    from aster.beam.records import WriteTFRecord
    from aster.beam.words import Broken, ReadWords, Word

__all__ = ["Broken", "ReadWords", "Recognize", "Text", "Word", "WriteTFRecord"]

lazy.offer(__name__, {"Broken": "aster.beam.words", "ReadWords": "aster.beam.words", "Word": "aster.beam.words",
                      "Recognize": "aster.beam.recognize", "Text": "aster.beam.recognize",
                      "WriteTFRecord": "aster.beam.records"})
