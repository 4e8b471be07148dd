"""Image files -> arrays; one decoder for records, the recogniser and the demo."""
import functools
import glob
import io
import os

import numpy as np
from PIL import Image, ImageOps

# Not every format that Pillow knows: some start other programs, and none of them is used for words.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "MPO")
_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MAX_PIXELS = 64 * 1000 * 1000  # more is taken for a decompression bomb


def decode_image(encoded, apply_exif=False):
    """Bytes of an image file -> uint8 [H, W, 3], RGB.

    Transparent pixels are laid over white, as a page shows them. 16 bits per
    channel are reduced to 8, gray is repeated, and of an animation the first
    frame is taken. `apply_exif` turns the image as its EXIF orientation says:
    right for photos, wrong for records, whose key points know the pixels as
    they are stored. Raises ValueError that says what is wrong.
    """
    return _decode(encoded, lambda image: np.array(_to_rgb(ImageOps.exif_transpose(image) if apply_exif else image)))


def load_image(source):
    """A path, bytes of an image file, a PIL image or a uint8 array [H, W, 3], [H, W, 4], [H, W, 1] or [H, W] -> uint8
    [H, W, 3], RGB, turned as EXIF says. Raises ValueError that says what is wrong."""
    if isinstance(source, (str, os.PathLike)):
        if os.path.exists(str(source)) and not os.path.isfile(str(source)):
            raise ValueError("it is a folder, a pipe or a device; expected a file")  # a pipe may never end
        try:
            with open(str(source), "rb") as stream:
                source = stream.read()
        except OSError as error:
            raise ValueError(error.strerror or str(error))
    if isinstance(source, bytes):
        return decode_image(source, apply_exif=True)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in ((), (1,), (3,), (4,)):
            raise ValueError(f"expected a uint8 array [H, W, 3], [H, W, 4], [H, W, 1] or [H, W], got {source.dtype} {list(source.shape)}")
        if not source.size:
            raise ValueError(f"the array is empty: {list(source.shape)}")
        if source.shape[2:] == (3,):
            return source
        source = Image.fromarray(source[..., 0] if source.shape[2:] == (1,) else source)
    if not hasattr(source, "convert"):
        raise ValueError(f"expected a path, bytes of an image file, a PIL image or a uint8 array, got {type(source).__name__}")
    if 0 in source.size:
        raise ValueError("the image is empty: %d x %d" % source.size)
    try:
        return np.array(_to_rgb(ImageOps.exif_transpose(source)))
    except Exception as error:  # a lazily opened file can be damaged in many ways
        raise ValueError(f"the image is damaged ({error})")


def find_images(images):
    """Yields the images of an iterable; paths of folders and patterns such as *.jpg stand for the image files there, in
    the order of their names. Raises ValueError for one without any."""
    for image in images:
        image = str(image) if isinstance(image, os.PathLike) else image
        found = None
        if isinstance(image, str) and os.path.isdir(image):
            found = [os.path.join(image, name) for name in sorted(os.listdir(image))]
        elif isinstance(image, str) and glob.has_magic(image) and not os.path.exists(image):
            found = sorted(glob.glob(image, recursive=True))
        if found is None:
            yield image
            continue
        found = [path for path in found if path.lower().endswith(_EXTENSIONS)]
        if not found:
            raise ValueError("{}: no image there ({})".format(image, " ".join(_EXTENSIONS)))
        yield from found


def check_image(encoded):
    """Decodes the bytes of an image file -> (width, height), sooner than decode_image. Raises ValueError as that."""
    def load(image):
        image.load()
        return image.size
    return _decode(encoded, load)


def _decode(encoded, use):
    """use(PIL image), all of whose errors are ValueErrors that say what is wrong."""
    if not encoded:
        raise ValueError("the image is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(encoded), formats=_known_formats())
    except Image.DecompressionBombError:
        raise ValueError("it has far more than %d pixels, as a decompression bomb; make it smaller" % MAX_PIXELS)
    except Exception:  # Pillow's plugins raise many types for bytes they can't read
        raise ValueError("it is no image of a known format ({}), or its header is damaged".format(", ".join(_known_formats())))
    width, height = image.size
    if width * height < 1:
        raise ValueError("the image is empty: %d x %d" % (width, height))
    if width * height > MAX_PIXELS:
        raise ValueError("its size is %d x %d, more than %d pixels; make it smaller" % (width, height, MAX_PIXELS))
    try:
        return use(image)
    except Exception as error:
        raise ValueError(f"the image is damaged ({error})")


@functools.lru_cache()
def _known_formats():
    Image.init()  # a Pillow may be built without some of them
    return [name for name in _FORMATS if name in Image.OPEN]


def _to_rgb(image):
    if image.mode.startswith("I"):  # 16 bits, in a mode of 16 or 32
        values = np.clip(np.array(image), 0, 65535) // 256
        image = Image.fromarray(values.astype(np.uint8))
    elif image.mode == "F":
        values = np.nan_to_num(np.array(image))
        # from 0 to 1 or to 255: both are in use
        image = Image.fromarray(np.clip(values if values.max() > 1 else 255 * values, 0, 255).astype(np.uint8))
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB")
