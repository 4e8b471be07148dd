"""Square root and logarithm as the published system's numerics library approximated them, in float32.

The coefficients of a thin-plate spline are large and cancel, so that the last bit of a float32 decides about 1e-4 of a
pixel's value (see tps.py). With exact functions the rectified images would differ from the published ones.
"""
import numpy as np

_LOG_COEFFICIENTS = np.array([
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1], np.float32)


def sqrt(x: np.ndarray) -> np.ndarray:
    """Computes the square root from a reciprocal root of 12 bits and one Newton step.

    Args:
      x: float32, 0 or more.

    Returns:
      float32 of the same shape.
    """
    bits = (1.0 / np.sqrt(np.maximum(x, 1e-30).astype(np.float64))).astype(np.float32).view(np.int32)
    y = ((bits + (1 << 10)) & ~((1 << 11) - 1)).view(np.float32)  # rounded to 12 bits
    return (y * (np.float32(1.5) - np.float32(0.5) * x * (y * y))) * x


def log(x: np.ndarray) -> np.ndarray:
    """Computes the natural logarithm by the polynomial of the Cephes library (logf).

    Args:
      x: float32, above 0.

    Returns:
      float32 of the same shape.
    """
    p = _LOG_COEFFICIENTS
    # x = mantissa * 2 ** exponent, with the mantissa from sqrt(1/2) to sqrt(2); z = mantissa - 1
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.float32(0.70710678)
    exponent = (exponent - low).astype(np.float32)
    z = np.where(low, mantissa + mantissa, mantissa) - np.float32(1.0)
    square = z * z
    cube = square * z
    a, b, c = ((p[i] * z + p[i + 1]) * z + p[i + 2] for i in (0, 3, 6))
    # log(2) = 0.693359375 - 2.12194440e-4; the first part has few bits, so that its product is exact
    y = ((a * cube + b) * cube + c) * cube + exponent * np.float32(-2.12194440e-4)
    return (z - square * np.float32(0.5)) + y + exponent * np.float32(0.693359375)
