import unicodedata

import numpy as np
import pytest

from aster.c_ops import ops
from aster.compat import tf

TEXTS = ["", "Hello", "a b-c", u"Caf\u00e9", u"\u4e2d\u6587abc", u"\u041f\u0440\u0418\u0432", u"\U0001F600x",
         u"\u0391\u03a9\u0386\u038f", u"\u0100\u0139\u0178\u017d", "x" * 1000]


def evaluate(tensor):
    with tf.Session() as session:
        return session.run(tensor)


def decoded(values):
    return [value.decode("utf-8") for value in values]


@pytest.mark.parametrize("lower_case", [False, True])
@pytest.mark.parametrize("charset", ["", "abcxyzHELo", u"\u4e2d\u00e9\U0001F600x"])
def test_string_filtering(lower_case, charset):
    with tf.Graph().as_default():
        result = decoded(evaluate(ops.string_filtering(TEXTS, lower_case, charset)))
    texts = [text.lower() if lower_case else text for text in TEXTS]
    assert result == ["".join(c for c in text if not charset or c in charset) for text in texts]


def test_lower_case_agrees_with_python_in_the_alphabets_it_knows():
    letters = [chr(c) for c in list(range(0x20, 0x7F)) + list(range(0xA0, 0x180)) + list(range(0x386, 0x3CF))
               + list(range(0x400, 0x530)) if unicodedata.category(chr(c)) != "Cn"]
    letters = [c for c in letters if len(c.lower()) == 1 and ord(c) not in (0x3CF,)]
    with tf.Graph().as_default():
        result = decoded(evaluate(ops.string_filtering(letters, True)))
    assert [(c, r) for c, r in zip(letters, result) if r != c.lower()] == []


def test_string_reverse_keeps_the_shape_and_code_points():
    with tf.Graph().as_default():
        tensor = ops.string_reverse([TEXTS[:5], TEXTS[5:]])
        assert tensor.shape.as_list() == [2, 5]
        result = evaluate(tensor)
    assert decoded(result.ravel()) == [text[::-1] for text in TEXTS]


@pytest.mark.parametrize("broken, expected", [
    (b"a\xffb", "ab"), (b"\xc3", ""), (b"\xe4\xb8x", "x"), (b"\xc0\x80a", "a"), (b"\xed\xa0\x80a", "a"),
    (b"\xf4\x90\x80\x80a", "a")])
def test_bytes_that_are_not_utf8_are_left_out(broken, expected):
    with tf.Graph().as_default():
        assert decoded(evaluate(ops.string_filtering([broken]))) == [expected]


@pytest.mark.parametrize("curve", [
    [[0, 0], [10, 0]], [[0, 0], [1, 0], [1, 3], [5, 3]], [[2, 1], [2, 1], [4, 1], [4, 1], [8, 1]], [[3, 4]],
    [[3, 4], [3, 4], [3, 4]], [[1e-6, 0], [2e-6, 0]]])
@pytest.mark.parametrize("num_points", [1, 2, 10])
def test_divide_curve(curve, num_points):
    curve = np.array(curve, np.float32)
    with tf.Graph().as_default():
        points = evaluate(ops.divide_curve(curve, num_points))
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    targets = np.linspace(0, lengths[-1], num_points)
    keep = np.concatenate([[True], np.diff(lengths) > 0])  # np.interp wants distinct positions
    expected = np.stack([np.interp(targets, lengths[keep], curve[keep, axis]) for axis in (0, 1)], 1)
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(points[0], curve[0])
    if num_points > 1:
        np.testing.assert_array_equal(points[-1], curve[-1])


@pytest.mark.parametrize("shape", [[0, 2], [3, 3], [4]])
def test_divide_curve_says_what_it_expects(shape):
    with tf.Graph().as_default():
        curve = tf.placeholder_with_default(np.zeros(shape, np.float32), None)
        with pytest.raises(tf.errors.InvalidArgumentError, match="divide_curve expects"):
            evaluate(ops.divide_curve(curve, 3))


def test_masked_crc32c_agrees_with_tensorflow(tmp_path):
    assert ops.masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path = str(tmp_path / "x.tfrecord")
    payload = bytes(bytearray(range(256))) * 3 + b"tail"
    with tf.python_io.TFRecordWriter(path) as writer:
        writer.write(payload)
    with open(path, "rb") as stream:
        content = stream.read()
    assert ops.masked_crc32c(payload) == int.from_bytes(content[-4:], "little")
    assert ops.masked_crc32c(content[:8]) == int.from_bytes(content[8:12], "little")
