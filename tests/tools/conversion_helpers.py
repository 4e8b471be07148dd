"""Images and lists for the tests of tools/."""
import io
import os
import sys

import numpy as np
from PIL import Image

from aster.compat import tf
from aster.data import example

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
REPORTS = os.path.join(TOOLS, "..", "..", "shared", "data", "reports")
sys.path.append(TOOLS)


def encoded(width=40, height=16, kind="PNG", seed=0, **options):
    pixels = np.random.RandomState(seed).randint(0, 255, [height, width, 3]).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def read(path):
    return [example.parse(record) for record in tf.python_io.tf_record_iterator(path)]
