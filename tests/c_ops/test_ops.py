"""The ops against what Python and numpy say."""
import os
import shutil
import subprocess
import sys
import threading
import unicodedata

import numpy as np
import pytest

from aster.c_ops import ops
from aster.compat import tf

TEXTS = ["", "Hello", "a b-c", "Café", "中文abc", "ПрИвет", "\U0001F600x\U0001F1E9", "ΑΩΆΏ", "ĀĹŸŽ",
         "ẤỰ", "سلام", "a\0b", "x" * 1000]

BROKEN = [  # what is dropped: everything that Python ignores
    b"a\xffb",
    b"\x80\xbfa",  # stray continuation bytes
    b"\xc3",  # cut off
    b"\xe4\xb8x",
    b"\xf0\x9f\x98",
    b"\xf0\x9fA\x98",
    b"\xc0\x80a",  # overlong
    b"\xe0\x80\x80a",
    b"\xf0\x80\x80\x80a",
    b"\xed\xa0\x80a",  # a surrogate
    b"\xf4\x90\x80\x80a",  # above U+10FFFF
    b"\xc3\xa9\xc3\xc3\xa9",
]


def decoded(values):
    return [value.decode("utf-8") for value in values]


@pytest.mark.parametrize("lower_case", [False, True])
@pytest.mark.parametrize("charset", ["", "abcxyzHELo", "中é\U0001F600x"])
def test_string_filtering(session, lower_case, charset):
    result = decoded(session.run(ops.string_filtering(TEXTS, lower_case, charset)))
    texts = [text.lower() if lower_case else text for text in TEXTS]
    assert result == ["".join(c for c in text if not charset or c in charset) for text in texts]


@pytest.mark.parametrize("first, last", [
    (0x00, 0x17F),  # ASCII, Latin-1, Latin Extended-A
    (0x1CD, 0x1DC),  # Pinyin
    (0x218, 0x21B),  # Romanian
    (0x386, 0x3CE),  # Greek
    (0x400, 0x52F),  # Cyrillic
    (0x531, 0x556),  # Armenian
    (0x1E00, 0x1EFF),  # Latin Extended Additional, with Vietnamese
    (0x4E00, 0x4E20),  # no case
    (0xFF00, 0xFF60),  # full-width Latin
])
def test_lower_case_is_pythons(session, first, last):
    letters = [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c)) != "Cn"]
    result = decoded(session.run(ops.string_filtering(letters, True)))
    # Of İ alone Python makes two code points, i and a dot above.
    assert result == [letter.lower()[0] for letter in letters]


def test_string_reverse(session):
    assert decoded(session.run(ops.string_reverse(TEXTS))) == [text[::-1] for text in TEXTS]


@pytest.mark.parametrize("broken", BROKEN)
def test_bytes_that_are_not_utf8_are_dropped(session, broken):
    text = broken.decode("utf-8", "ignore")
    filtered, reverse = session.run([ops.string_filtering([broken]), ops.string_reverse([broken])])
    assert decoded(filtered) == [text]
    assert decoded(reverse) == [text[::-1]]


@pytest.mark.parametrize("strings", ["abc", [], [["ab", "cd"]], np.array([[["é"], ["xy"]]])],
                         ids=["scalar", "none", "matrix", "array"])
def test_string_ops_keep_the_shape(session, strings):
    strings = tf.constant(strings, tf.string)
    for result in ops.string_filtering(strings), ops.string_reverse(strings):
        assert result.shape.as_list() == strings.shape.as_list()
        assert list(np.shape(session.run(result))) == strings.shape.as_list()


def expected_points(curve, num_points):
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    keep = np.concatenate([[True], np.diff(lengths) > 0])  # np.interp wants rising positions
    targets = np.linspace(0, lengths[-1], num_points)
    return np.stack([np.interp(targets, lengths[keep], curve[keep, axis]) for axis in (0, 1)], 1)


@pytest.mark.parametrize("num_points", [1, 2, 3, 10, 101])
@pytest.mark.parametrize("curve", [
    [[0, 0], [10, 0]],
    [[0, 0], [1, 0], [1, 3], [5, 3]],
    [[2, 1], [2, 1], [4, 1], [4, 1], [8, 1], [8, 1]],  # repeated points
    [[5, 5], [0, 0], [5, 5]],  # back to where it began
    [[3, 4]],
    [[3, 4], [3, 4], [3, 4]],  # of zero length
    [[1e-6, 0], [2e-6, 0]],
    [[1e30, 0], [-1e30, 1e30]],
    np.random.RandomState(1).randn(50, 2).cumsum(0) * 10,
])
def test_divide_curve(session, curve, num_points):
    curve = np.array(curve, np.float32)
    points = ops.divide_curve(curve, num_points)
    assert points.shape.as_list() == [num_points, 2]
    points = session.run(points)
    expected = expected_points(curve.astype(np.float64), num_points)
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-6 * np.abs(curve).max())
    np.testing.assert_array_equal(points[0], curve[0])
    if num_points > 1:
        np.testing.assert_array_equal(points[-1], curve[-1])


def test_divide_curve_takes_batches_and_lists(session):
    curves = [[[0, 0], [4, 0], [4, 4]], [[1, 1], [1, 1], [1, 1]]]
    points = ops.divide_curve(curves, 3)
    assert points.shape.as_list() == [2, 3, 2]
    assert session.run(points).tolist() == [[[0, 0], [4, 0], [4, 4]], [[1, 1]] * 3]
    assert session.run(ops.divide_curve(np.zeros([0, 3, 2]), 5)).shape == (0, 5, 2)


def test_divide_curve_survives_what_is_not_finite(session):
    for curve in [[[np.nan, 0], [1, 1], [2, 2]], [[0, 0], [np.inf, 1], [2, 2]]]:
        assert session.run(ops.divide_curve(curve, 4)).shape == (4, 2)


@pytest.mark.parametrize("shape", [[0, 2], [3, 3], [4], [2, 0, 2], [1, 1, 3, 2], []])
def test_divide_curve_says_what_it_expects(session, shape):
    curve = tf.placeholder(tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"expects a curve of shape \[n, 2\]"):
        session.run(ops.divide_curve(curve, 3), {curve: np.zeros(shape)})


@pytest.mark.parametrize("shape", [[3, 3], [4], [1, 1, 3, 2]])
def test_divide_curve_refuses_a_wrong_shape_when_the_graph_is_built(session, shape):
    with pytest.raises(ValueError):
        ops.divide_curve(np.zeros(shape), 3)


def test_divide_curve_refuses_no_points(session):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        ops.divide_curve([[0, 0]], 0)


@pytest.mark.parametrize("data, crc", [
    (b"", 0), (b"a", 0xC1D04330), (b"123456789", 0xE3069283), (b"\0" * 32, 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43), (bytes(bytearray(range(32))), 0x46DD794E)])
def test_masked_crc32c_of_known_vectors(data, crc):
    assert ops.masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2 ** 32


@pytest.mark.parametrize("size", list(range(20)) + [4096, 100003])
def test_masked_crc32c_is_that_of_tfrecords(tmp_path, size):
    path = str(tmp_path / "one.tfrecord")
    payload = os.urandom(size)
    with tf.python_io.TFRecordWriter(path) as writer:
        writer.write(payload)
    with open(path, "rb") as stream:
        content = stream.read()
    assert ops.masked_crc32c(content[:8]) == int.from_bytes(content[8:12], "little")
    assert ops.masked_crc32c(payload) == int.from_bytes(content[-4:], "little")


def test_ops_run_in_threads(session):
    """The same values as alone: nothing is shared between calls."""
    text, points = ops.string_reverse(TEXTS), ops.divide_curve([[0, 0], [1, 0], [1, 3]], 20)
    expected = session.run([text, points])
    results = []
    threads = [threading.Thread(target=lambda: results.append(session.run([text, points])))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        assert result[0].tolist() == expected[0].tolist()
        np.testing.assert_array_equal(result[1], expected[1])


def run_python(code, folder):
    return subprocess.run([sys.executable, "-c", code], cwd=str(folder), universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_import_from_many_threads_loads_once(pytestconfig):
    code = """
import threading
found = []
def load():
    from aster.c_ops import ops
    found.append(ops.masked_crc32c(b"a"))
threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
print(len(found), len(set(found)))
"""
    done = run_python(code, pytestconfig.rootdir)
    assert done.stdout.split() == ["8", "1"], done.stderr


@pytest.mark.parametrize("library, problem", [(None, "is not built"), (b"junk", "does not load")])
def test_library_that_does_not_load_says_how_to_build_it(tmp_path, pytestconfig, library, problem):
    shutil.copytree(str(pytestconfig.rootdir / "aster"), str(tmp_path / "aster"),
                    ignore=shutil.ignore_patterns("*.so"))
    if library:
        (tmp_path / "aster" / "c_ops" / os.path.basename(ops.PATH)).write_bytes(library)
    done = run_python("from aster.c_ops import ops", tmp_path)
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError") and problem in message
    assert message.endswith("run: python setup.py build_ext --inplace")
