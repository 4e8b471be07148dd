"""How many bytes are missing at the end of an image file, by the lengths that are written in it."""
import struct
from typing import Iterator, Tuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_2000 = b"\x00\x00\x00\x0cjP  "


def missing_bytes(encoded: bytes) -> int:
    """Tells how many bytes a file lacks at least.

    Args:
      encoded: the file. PNG, WebP, BMP, AVIF and JPEG 2000 have lengths; the other formats do not.

    Returns:
      The number of bytes; 0 if nothing is known to be missing.
    """
    if encoded.startswith(_PNG):
        return _missing_of_parts(encoded, _png_chunks(encoded), last=b"IEND")
    if encoded[4:8] == b"ftyp" or encoded.startswith(_JPEG_2000):
        return _missing_of_parts(encoded, _boxes(encoded))
    if encoded.startswith(b"RIFF") and len(encoded) >= 8:
        return max(0, 8 + struct.unpack_from("<I", encoded, 4)[0] - len(encoded))
    if encoded.startswith(b"BM") and len(encoded) >= 6:
        return max(0, struct.unpack_from("<I", encoded, 2)[0] - len(encoded))
    return 0


def _missing_of_parts(encoded, parts: Iterator[Tuple[bytes, int]], last: bytes = b"") -> int:
    """What is missing of a file that consists of parts, and ends with `last` if it is not empty."""
    name, end = b"", 0
    for name, end in parts:
        if end > len(encoded) or (last and name == last):
            break
    return max(0, end - len(encoded)) + (_LAST_CHUNK if last and name != last else 0)


_LAST_CHUNK = 12  # bytes of PNG's chunk IEND


def _png_chunks(encoded: bytes) -> Iterator[Tuple[bytes, int]]:
    """Yields the name and the end of each chunk: a length, a name, the content, a checksum."""
    end = len(_PNG)
    while end + 8 <= len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, end)
        end += 12 + length
        yield name, end


def _boxes(encoded: bytes) -> Iterator[Tuple[bytes, int]]:
    """Yields the name and the end of each box of ISO/IEC 14496-12 and 15444-1: its length, its name, the content."""
    end = 0
    while end + 8 <= len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, end)
        if length == 1 and end + 16 <= len(encoded):
            length, = struct.unpack_from(">Q", encoded, end + 8)
        if length < 8:  # 0: up to the end of the file
            return
        end += length
        yield name, end
