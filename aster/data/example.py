"""The TFRecord schema: one image of a word per tf.train.Example.

tools/ write it and `aster.data` reads it. The feature names are those of the
published system, so records of either can be used with the other.

The functions import TensorFlow when they are called, because the worker
processes of tools/ need only Sample and start faster without it.
"""
import unicodedata
from typing import NamedTuple, Optional, Sequence

import numpy as np

# Key points further away than this, in pixels, are a mistake of the annotation and would ruin the loss.
_FARTHEST_KEYPOINT = 1e5


class Sample(NamedTuple):
    """What a record says of one image."""
    encoded: bytes  # a JPEG or PNG file
    text: str
    lexicon: Sequence[str] = ()  # the words that the text is one of, where the data set has them
    # float32 [2n, 2], (x, y) in pixels of the image: n points along the top edge of the text from left to right, then n
    # along the bottom edge
    keypoints: Optional[np.ndarray] = None
    filename: str = ""


def serialize(sample: Sample, width: Optional[int] = None, height: Optional[int] = None) -> bytes:
    """Writes a sample as a record.

    Args:
      sample: the Sample.
      width: the width of the image in pixels, if known.
      height: the height of the image in pixels, if known.

    Returns:
      The bytes of a tf.train.Example. Equal samples give equal bytes.
    """
    from aster.compat import tf
    example = tf.train.Example()
    feature = example.features.feature
    for name, value in (
            ("image/encoded", sample.encoded),
            ("image/format", b"jpeg"),  # also for PNG bytes, as published: readers look at the bytes
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
    return example.SerializeToString(deterministic=True)


def parse(serialized: bytes) -> Sample:
    """Reads a record.

    Args:
      serialized: the bytes of a tf.train.Example.

    Returns:
      The Sample; its text and lexicon are NFC-normalized. Key points that can't supervise are left out.

    Raises:
      ValueError: it is no tf.train.Example, lacks the image or the text, or a text is not UTF-8.
    """
    from aster.compat import tf
    try:
        feature = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # protobuf's DecodeError moved between its versions
        raise ValueError(f"not a tf.train.Example ({error})") from error
    lexicon = _text(feature, "image/lexicon", b"")
    return Sample(encoded=_first_bytes(feature, "image/encoded"),
                  text=_text(feature, "image/transcript"),
                  lexicon=tuple(lexicon.split("\t")) if lexicon else (),
                  keypoints=_keypoints(feature),
                  filename=_text(feature, "image/filename", b""))


def _first_bytes(feature, name, default=None):
    values = feature[name].bytes_list.value if name in feature else ()
    if not values and default is None:
        raise ValueError(f"the record has no feature {name!r}")
    return values[0] if values else default


def _text(feature, name, default=None):
    try:
        return unicodedata.normalize("NFC", _first_bytes(feature, name, default).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"feature {name!r} is not UTF-8 text") from error


def _keypoints(feature):
    """The key points [2n, 2], or None unless they are two curves of at least two points each, near the image."""
    if "image/keypoints" not in feature:
        return None
    values = np.array(feature["image/keypoints"].float_list.value, np.float32)
    if values.size < 8 or values.size % 4 or not (np.abs(values) < _FARTHEST_KEYPOINT).all():  # NaN is not near
        return None
    return values.reshape(-1, 2)
