"""Image files -> arrays. The same decoder serves records, the Recognizer and the commands."""
import collections
import contextlib
import functools
import glob
import io
import logging
import math
import os
import threading
from typing import Any, Callable, Iterable, Iterator, List, Tuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from aster.data.pixels import to_rgb, to_rgba
from aster.data.truncation import missing_bytes
from aster.files import find_matches

_log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Not all formats that Pillow knows: some start other programs, and none of those is used for words.
_FORMATS = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png", ".apng"), "BMP": (".bmp",), "GIF": (".gif",),
            "WEBP": (".webp",), "TIFF": (".tif", ".tiff"), "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
            "MPO": (), "JPEG2000": (".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".j2c"), "AVIF": (".avif", ".avifs")}
_ORIENTATION = 0x0112  # EXIF's tag
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # what PNG stores without loss
MAX_PIXELS = 64 * 1000 * 1000  # a larger image may be a decompression bomb
LARGE_PIXELS = 4 * 1000 * 1000  # far more than an image of one word has


class Budget:
    """Threads share an amount of something. They wait where too much of it is taken.

    Args:
      total: what there is. An amount that is larger than all of it can be taken while nothing else is.
      free: amounts up to this one are not counted, so that small ones never wait for large ones.
    """

    def __init__(self, total: int, free: int) -> None:
        self._total, self._free, self._taken = total, free, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Takes an amount, and gives it back at the end of the `with` block."""
        if amount <= self._free:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + amount <= self._total)
            self._taken += amount
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()


# A pixel takes up to 16 bytes while it is decoded.
_pixels_in_flight = Budget(MAX_PIXELS, LARGE_PIXELS)


def decode_image(encoded: bytes, apply_exif: bool = False) -> np.ndarray:
    """Decodes an image file.

    A transparent image is laid over black or white, whichever contrasts with it; `pixels.to_rgb` has the rule. 16 bits
    per channel are reduced to 8, gray is repeated in all channels, and an animation gives its first frame.

    Args:
      encoded: the bytes of the file.
      apply_exif: whether the image is turned as its EXIF orientation says. That is right for photos, but wrong for
        records, whose key points refer to the pixels as they are stored.

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      ValueError: the image can't be decoded. The message says what is wrong.
    """
    return _decode(encoded, lambda image: np.array(to_rgb(_turned(image) if apply_exif else image)))


def load_image(source: Any) -> np.ndarray:
    """Loads an image in any of the forms that the Recognizer takes. Photos are turned as their EXIF orientation says.

    An image of more than LARGE_PIXELS is reduced by a whole factor: a model sees far fewer pixels, and some 250 kB can
    hold 64 million. All threads together decode MAX_PIXELS of such images at a time; others wait.

    Args:
      source: a path, the bytes of an image file, a PIL image, or a uint8 array [H, W, 3], [H, W, 4], [H, W, 1] or
        [H, W].

    Returns:
      uint8 [H, W, 3], RGB.

    Raises:
      ValueError: it can't be loaded. The message says what is wrong.
    """
    if isinstance(source, (str, os.PathLike)):
        source = _read_file(str(source))
    if isinstance(source, bytes):
        return _decode(source, _to_array)
    if isinstance(source, np.ndarray):
        channels = source.shape[2:]
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or channels not in ((), (1,), (3,), (4,)):
            raise ValueError("expected a uint8 array [H, W, 3], [H, W, 4], [H, W, 1] or [H, W], "
                             f"got {source.dtype} {list(source.shape)}")
        if not source.size:
            raise ValueError(f"the array is empty: {list(source.shape)}")
        if channels == (3,) and source.shape[0] * source.shape[1] <= LARGE_PIXELS:
            return source
        source = Image.fromarray(source[..., 0] if channels == (1,) else source)
    if not hasattr(source, "convert"):
        raise ValueError("expected a path, bytes of an image file, a PIL image or a uint8 array, "
                         f"got {type(source).__name__}")
    width, height = source.size
    if not width or not height:
        raise ValueError(f"the image is empty: {width} x {height}")
    try:
        with _pixels_in_flight.take(width * height):
            return _to_array(source)
    except Exception as error:  # a file that PIL opened but has not read yet can be damaged in many ways
        raise ValueError(f"the image is damaged ({error})") from error


def _read_file(path: str) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("it is a folder, a pipe or a device; expected a file")  # a pipe may never end
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error


def find_images(images: Iterable[Any]) -> Iterator[Any]:
    """Replaces paths of folders, and patterns such as *.jpg, by the image files that they stand for.

    The log says how many other files a folder or pattern has, and of which kinds.

    Args:
      images: what load_image takes, and paths of folders and patterns.

    Yields:
      The images; the files of one folder or pattern in the order of their names.

    Raises:
      ValueError: a folder or pattern has no image file.
    """
    for image in images:
        image = str(image) if isinstance(image, os.PathLike) else image
        if isinstance(image, str) and os.path.isdir(image):
            paths = [os.path.join(image, name) for name in sorted(os.listdir(image))]
        elif isinstance(image, str) and glob.has_magic(image) and not os.path.exists(image):
            paths = find_matches(image, recursive=True)
        else:
            yield image
            continue
        wanted = [path for path in paths if has_image_name(path)]
        passed_over = count_kinds(path for path in paths if path not in set(wanted) and os.path.isfile(path))
        if not wanted:
            raise ValueError(f"{image}: no image there ({' '.join(_extensions())})" + (
                f", but {passed_over}" if passed_over else ""))
        if passed_over:
            _log.warning("%s: passed over %s, whose names end like no image that can be read here", image, passed_over)
        yield from wanted


def has_image_name(path: str) -> bool:
    """Tells whether the name of a file ends like that of an image which can be read here."""
    return path.lower().endswith(_extensions())


def count_kinds(paths: Iterable[str]) -> str:
    """Counts files by the endings of their names.

    Args:
      paths: of the files. Hidden ones are not counted.

    Returns:
      Such as "3 files (2 .heic, 1 .txt)"; "" if there is none.
    """
    names = [os.path.basename(path) for path in paths]
    kinds = collections.Counter(os.path.splitext(name)[1].lower() or "without ending" for name in names
                                if not name.startswith("."))
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{sum(kinds.values())} file{'s' if sum(kinds.values()) > 1 else ''} ({counts})" if kinds else ""


def check_image(encoded: bytes) -> Tuple[int, int]:
    """Checks that an image file can be decoded, without making an array of it.

    Args:
      encoded: the bytes of the file.

    Returns:
      (width, height) in pixels.

    Raises:
      ValueError: as decode_image.
    """
    return open_image(encoded).size


def open_image(encoded: bytes) -> Image.Image:
    """Opens an image file and decodes its pixels as they are stored.

    Args:
      encoded: the bytes of the file.

    Returns:
      The PIL image.

    Raises:
      ValueError: as decode_image.
    """
    def load(image):
        image.load()
        return image
    return _decode(encoded, load)


def orientation(encoded: bytes) -> int:
    """Looks up how a camera was held. Records are decoded without regard to it.

    Args:
      encoded: the bytes of an image file.

    Returns:
      The EXIF orientation, 2 to 8; 1 if the pixels are upright as they are stored, or nothing is said.

    Raises:
      ValueError: as decode_image.
    """
    return _decode(encoded, _orientation_of)


def upright(encoded: bytes) -> bytes:
    """Turns an image as its EXIF orientation says. Readers and converters of photos need it, as records are decoded
    without regard to EXIF.

    Args:
      encoded: the bytes of an image file.

    Returns:
      The same bytes if there is nothing to turn, else a PNG file of the turned pixels, without loss.

    Raises:
      ValueError: as decode_image.
    """
    def turn(image):
        if _orientation_of(image) == 1:
            return encoded
        turned = _turned(image)
        stream = io.BytesIO()
        (turned if turned.mode in _PNG_MODES else to_rgb(turned)).save(stream, "PNG", exif=b"")
        return stream.getvalue()
    return _decode(encoded, turn)


def _orientation_of(image):
    if image.format == "TIFF":  # Pillow turns it as it loads it
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except OSError:  # of the pixels, which it loads for some formats
        raise
    except Exception:  # EXIF that is damaged in one of many ways says nothing
        value = 1
    return value if value in range(1, 9) else 1


def _turned(image):
    """A PIL image as its EXIF orientation says."""
    return image if _orientation_of(image) == 1 else ImageOps.exif_transpose(image)


def _decode(encoded: bytes, use: Callable[[Image.Image], Result]) -> Result:
    """Returns use(PIL image). All errors are ValueErrors that say what is wrong."""
    if not encoded:
        raise ValueError("the image is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(encoded), formats=_known_formats())
    except Image.DecompressionBombError as error:
        raise ValueError(f"it has far more than {MAX_PIXELS} pixels, as a decompression bomb; "
                         "make it smaller") from error
    except Exception as error:  # Pillow's plugins raise many types for bytes they can't read
        if missing_bytes(encoded):
            raise _damaged(encoded, error) from error
        raise ValueError(f"it is no image of a known format ({', '.join(_known_formats())}), or its header is "
                         "damaged") from error
    width, height = image.size
    if not width or not height:
        raise ValueError(f"the image is empty: {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ValueError(f"its size is {width} x {height}, more than {MAX_PIXELS} pixels; make it smaller")
    try:
        with _pixels_in_flight.take(width * height):
            return use(image)
    except Exception as error:
        raise _damaged(encoded, error) from error


def _damaged(encoded: bytes, error: Exception) -> ValueError:
    missing = missing_bytes(encoded)
    if missing:
        return ValueError(f"the image is damaged: at least {missing} bytes are missing after its {len(encoded)} bytes")
    if "truncated" in str(error).lower():  # the number of bytes in such a message is not what is missing
        return ValueError(f"the image is damaged: its {len(encoded)} bytes end before its pixels do")
    return ValueError(f"the image is damaged ({error})")


@functools.lru_cache()
def _known_formats() -> List[str]:
    Image.init()  # a Pillow may be built without some of them
    return [name for name in _FORMATS if name in Image.OPEN]


@functools.lru_cache()
def _extensions() -> Tuple[str, ...]:
    return tuple(extension for name in _known_formats() for extension in _FORMATS[name])


def _to_array(image):
    """Any PIL image -> uint8 [H, W, 3], upright and not larger than needed."""
    return np.array(to_rgb(_turned(_reduced(image))))


def _reduced(image):
    """A large image made smaller, before it is copied to turn it, to lay it over a ground and to make it RGB."""
    factor = math.ceil(math.sqrt(image.width * image.height / LARGE_PIXELS))
    if factor <= 1:
        return image
    orientation = _orientation_of(image)  # an old Pillow finds it before `load` only
    image.load()  # a TIFF file is turned here, which changes its size
    if image.mode in ("1", "P", "PA") or "transparency" in image.info:  # means of such values say nothing
        image = to_rgba(image)
    elif image.mode.startswith("I;"):  # Pillow can't reduce 16 bits
        image = image.convert("I")
    image = image.reduce(factor)
    image.getexif()[_ORIENTATION] = orientation  # some formats keep it where `reduce` does not look
    return image
