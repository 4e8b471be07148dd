"""ASTER's own ops, from the library that setup.py builds out of src/.

A library serves one version of TensorFlow, which its name tells, so that one
checkout can hold those of both stacks.
"""
import ctypes
import os

from aster.compat import tf

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "libaster_ops_tf%s.so" % tf.__version__)


def _load():
    """Returns the TensorFlow ops and the plain C functions of the library."""
    try:
        return tf.load_op_library(PATH), ctypes.CDLL(PATH)
    except (tf.errors.OpError, OSError) as error:
        problem = "does not load (%s)" % error if os.path.exists(PATH) else "is not built"
        raise ImportError("the op library of this TensorFlow, %s, %s; in ASTER's checkout run: "
                          "python setup.py build_ext --inplace" % (PATH, problem)) from None


_ops, _functions = _load()
_functions.aster_masked_crc32c.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_functions.aster_masked_crc32c.restype = ctypes.c_uint32

for _name in ("AsterStringFiltering", "AsterStringReverse", "AsterDivideCurve"):
    tf.NotDifferentiable(_name)


def string_filtering(strings, lower_case=False, include_charset="", name=None):
    """Keeps only some characters of each string.

    Text is UTF-8 and taken by code point; bytes that are not UTF-8 are dropped.

    Args:
      strings: string tensor of any shape.
      lower_case: whether to lower-case first, each code point by itself: Latin with accents,
        Greek, Cyrillic, Armenian and full-width Latin (src/utf8.h says which letters).
      include_charset: str, the characters to keep; empty: all.

    Returns:
      A string tensor of the same shape.
    """
    return _ops.aster_string_filtering(
        strings, lower_case=lower_case, include_charset=include_charset, name=name)


def string_reverse(strings, name=None):
    """Reverses each string by code point; bytes that are not UTF-8 are dropped.

    Accents stay with their letters where text is NFC-normalized, as everywhere in ASTER.

    Args:
      strings: string tensor of any shape.

    Returns:
      A string tensor of the same shape.
    """
    return _ops.aster_string_reverse(strings, name=name)


def divide_curve(curve, num_points, name=None):
    """Spreads points evenly by arc length over the polyline through the points of a curve.

    Args:
      curve: float32 [n, 2] or [batch, n, 2] tensor, n >= 1.
      num_points: int, at least 1.

    Returns:
      A float32 [num_points, 2] or [batch, num_points, 2] tensor. The first and the last point are
      the curve's own; one point alone is the first. A curve of zero length repeats its point.
    """
    return _ops.aster_divide_curve(curve, num_points=num_points, name=name)


def masked_crc32c(data):
    """The checksum of TFRecord files (CRC-32C, masked) of some bytes, as an int."""
    return _functions.aster_masked_crc32c(data, len(data))
