"""The C++ ops, loaded once. Text is UTF-8 and handled by code point."""
import ctypes
import os

from aster.compat import tf

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libaster_ops.so")
_BUILD = "run in the source folder: python setup.py build_ext --inplace"


def _load():
    if not os.path.exists(_PATH):
        raise ImportError("%s is missing; %s" % (_PATH, _BUILD))
    try:
        return tf.load_op_library(_PATH), ctypes.CDLL(_PATH)
    except (tf.errors.OpError, OSError) as error:
        raise ImportError("%s does not fit TensorFlow %s; %s (%s)" % (
            _PATH, tf.__version__, _BUILD, str(error).splitlines()[0]))


_ops, _library = _load()
_library.aster_masked_crc32c.restype = ctypes.c_uint32
_library.aster_masked_crc32c.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

for _name in ("AsterStringFiltering", "AsterStringReverse", "AsterDivideCurve"):
    tf.NotDifferentiable(_name)


def string_filtering(strings, lower_case=False, include_charset=""):
    """Strings of any shape -> the same without the characters that `include_charset` lacks (empty: all stay).

    `lower_case` comes first; it knows ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic. Bytes that
    aren't UTF-8 are left out.
    """
    return _ops.aster_string_filtering(strings, lower_case=lower_case, include_charset=include_charset)


def string_reverse(strings):
    """Strings of any shape -> the same from the last code point to the first."""
    return _ops.aster_string_reverse(strings)


def divide_curve(curve, num_points):
    """Polyline float32 [n, 2] -> points [num_points, 2] evenly spaced by arc length, from its first to its last.

    One point asked for is the first; a curve of zero length gives the same point throughout. Any other shape, or
    n = 0, is an InvalidArgumentError.
    """
    return _ops.aster_divide_curve(curve, num_points=num_points)


def masked_crc32c(data):
    """The checksum that TFRecord files keep of `data` (bytes) -> int."""
    return _library.aster_masked_crc32c(data, len(data))
