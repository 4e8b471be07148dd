"""Any PIL image -> RGB of 8 bits: transparency, 16 bits per channel, floats."""
import numpy as np
from PIL import Image, ImageChops, ImageStat

_WITH_ALPHA = ("LA", "RGBA", "PA", "La", "RGBa")
MIDDLE_GRAY = 127.5  # darker pixels are dark, the others are light


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image to what the model reads.

    A transparent image is laid over the ground that contrasts with it, since letters may be all that it has: over black
    if its pixels are light, and over white if they are dark. The mean luminance decides, in which each pixel counts
    by its alpha. A wholly transparent image becomes white.

    Args:
      image: of any mode. 16 bits per channel are reduced to 8, and gray is repeated in all channels.

    Returns:
      The image in mode RGB. Of an opaque image the pixels are as they were.
    """
    if image.mode.startswith("I"):
        image = _gray_of_16_bits(image)
    elif image.mode == "F":
        values = np.nan_to_num(np.array(image))
        # Programs write floats from 0 to 1 as well as from 0 to 255.
        image = Image.fromarray(np.clip(values if values.max() > 1 else 255 * values, 0, 255).astype(np.uint8))
    if not has_transparency(image):
        return image.convert("RGB")
    rgba = to_rgba(image)
    return Image.alpha_composite(Image.new("RGBA", rgba.size, _ground(rgba)), rgba).convert("RGB")


def has_transparency(image: Image.Image) -> bool:
    """Tells whether an image has an alpha channel, or colors that are transparent."""
    return image.mode in _WITH_ALPHA or "transparency" in image.info


def to_rgba(image: Image.Image) -> Image.Image:
    """Converts an image to mode RGBA; alpha is 0 for colors that are transparent, of 16 bits too."""
    if image.mode.startswith("I"):
        image = _gray_of_16_bits(image)
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and max(transparent) > 255:  # of 16 bits, of which Pillow has kept 8
        image = image.copy()
        image.info["transparency"] = tuple(value // 256 for value in transparent)
    return image.convert("RGBA")


def _gray_of_16_bits(image):
    """-> mode L, or LA if one of the values is transparent. Pillow keeps some images of 16 bits in 32."""
    values = np.clip(np.array(image), 0, 65535)
    gray = Image.fromarray((values // 256).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return gray


def _ground(rgba):
    """The color, black or white, that contrasts with the pixels that are seen."""
    alpha = rgba.getchannel("A")
    total, = ImageStat.Stat(alpha).sum
    weighted, = ImageStat.Stat(ImageChops.multiply(rgba.convert("L"), alpha)).sum  # luminance * alpha / 255
    return "black" if total and 255 * weighted / total >= MIDDLE_GRAY else "white"
