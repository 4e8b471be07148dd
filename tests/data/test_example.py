"""Records -> samples."""
import numpy as np
import pytest

from aster.compat import tf
from aster.data import example


def raw(**features):
    """A serialized Example with bytes features; a dot in a name is written as __."""
    message = tf.train.Example()
    for name, value in features.items():
        message.features.feature[name.replace("__", "/")].bytes_list.value.append(value)
    return message.SerializeToString()


def test_round_trip():
    points = np.arange(12, dtype=np.float32).reshape(6, 2)
    sample = example.Sample(b"bytes\0", "caf\u00e9 \u65e5\u672c", ("one", "two"), points, "a.png")
    parsed = example.parse(example.serialize(sample, 20, 10))
    assert parsed[:3] == sample[:3] and parsed.filename == "a.png"
    np.testing.assert_array_equal(parsed.keypoints, points)


def test_text_becomes_nfc():
    parsed = example.parse(raw(image__encoded=b"x", image__transcript="e\u0301".encode("utf-8"),
                               image__lexicon="e\u0301\tb".encode("utf-8")))
    assert parsed.text == "\u00e9" and parsed.lexicon == ("\u00e9", "b")


def test_only_what_is_needed():
    parsed = example.parse(raw(image__encoded=b"x", image__transcript=b"word"))
    assert parsed == example.Sample(b"x", "word")


@pytest.mark.parametrize("serialized, words", [
    (b"\xff\xff no example", "not a tf.train.Example"),
    (b"", "image/encoded"),
    (raw(image__encoded=b"x"), "image/transcript"),
    (raw(image__transcript=b"x"), "image/encoded"),
    (raw(image__encoded=b"x", image__transcript=b"\xff"), "UTF-8"),
], ids=["no example", "nothing", "no text", "no image", "no UTF-8"])
def test_broken(serialized, words):
    with pytest.raises(ValueError) as error:
        example.parse(serialized)
    assert words in str(error.value)


@pytest.mark.parametrize("values", [[], [1.0] * 4, [1.0] * 10, [float("nan")] * 8])
def test_unusable_keypoints_are_none(values):
    message = tf.train.Example.FromString(raw(image__encoded=b"x", image__transcript=b"x"))
    message.features.feature["image/keypoints"].float_list.value.extend(values)
    assert example.parse(message.SerializeToString()).keypoints is None
