"""The TFRecord schema: one word image per tf.train.Example.

Written by tools/, read by `aster.data.dataset`; the feature names are those of
the published system, so records of either can be used with the other.
"""
import unicodedata
from typing import NamedTuple, Optional, Sequence

import numpy as np


class Sample(NamedTuple):
    """One record. `encoded` is a JPEG or PNG file; `keypoints` is float32 [2 * n, 2],
    (x, y) in pixels of the image: n points of the top curve left to right, then n of the bottom."""
    encoded: bytes
    text: str
    lexicon: Sequence[str] = ()
    keypoints: Optional[np.ndarray] = None
    filename: str = ""


def serialize(sample, width=None, height=None):
    """Sample -> bytes of a tf.train.Example. `width` and `height` are in pixels, if known."""
    from aster.compat import tf
    example = tf.train.Example()
    feature = example.features.feature
    for name, value in (
            ("image/encoded", sample.encoded),
            ("image/format", b"jpeg"),  # also for PNG bytes, as published: readers sniff the bytes
            ("image/filename", sample.filename.encode("utf-8")),
            ("image/colorspace", b"rgb"),
            ("image/source_id", b""),
            ("image/transcript", sample.text.encode("utf-8")),
            ("image/lexicon", "\t".join(sample.lexicon).encode("utf-8"))):
        feature[name].bytes_list.value.append(value)
    feature["image/channels"].int64_list.value.append(3)
    if width and height:
        feature["image/width"].int64_list.value.append(int(width))
        feature["image/height"].int64_list.value.append(int(height))
    if sample.keypoints is not None:
        feature["image/keypoints"].float_list.value.extend(np.asarray(sample.keypoints, np.float32).ravel().tolist())
    return example.SerializeToString(deterministic=True)  # equal samples, equal bytes


_FAR = 1e5  # pixels


def parse(serialized):
    """bytes of a tf.train.Example -> Sample, its text and lexicon NFC normalised.

    Raises ValueError that says what is wrong with it.
    """
    from aster.compat import tf
    try:
        feature = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # protobuf's DecodeError moved between its versions
        raise ValueError(f"not a tf.train.Example ({error})")

    def first(name, default=None):
        values = feature[name].bytes_list.value if name in feature else ()
        if not values and default is None:
            raise ValueError(f"the record has no feature {name!r}")
        return values[0] if values else default

    def text(name, default=None):
        try:
            return unicodedata.normalize("NFC", first(name, default).decode("utf-8"))
        except UnicodeDecodeError:
            raise ValueError(f"feature {name!r} is not UTF-8 text")

    keypoints = None
    if "image/keypoints" in feature:
        values = np.array(feature["image/keypoints"].float_list.value, np.float32)
        # two curves of at least two points each, near the image; anything else can't supervise
        if values.size >= 8 and values.size % 4 == 0 and (np.abs(values) < _FAR).all():
            keypoints = values.reshape(-1, 2)
    lexicon = text("image/lexicon", b"")
    return Sample(first("image/encoded"), text("image/transcript"),
                  tuple(lexicon.split("\t")) if lexicon else (), keypoints,
                  text("image/filename", b""))
