"""Image files of many kinds, whole and damaged."""
import numpy as np
import pytest
from data_helpers import encode_image
from PIL import Image

from aster.data.image import decode_image, load_image

PIXELS = np.random.RandomState(0).randint(0, 256, [6, 9, 3]).astype(np.uint8)
RGB = Image.fromarray(PIXELS)


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_formats(image_format):
    np.testing.assert_array_equal(decode_image(encode_image(PIXELS, image_format)), PIXELS)


@pytest.mark.parametrize("image_format", ["JPEG", "GIF"])
def test_other_formats(image_format):
    decoded = decode_image(encode_image(PIXELS, image_format))
    assert decoded.shape == (6, 9, 3) and decoded.dtype == np.uint8


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes(mode):
    converted = RGB.convert(mode)
    np.testing.assert_array_equal(decode_image(encode_image(converted)), converted.convert("RGB"))


def test_transparent_is_white():
    alpha = np.zeros([6, 9], np.uint8)
    alpha[:, 4:] = 255
    decoded = decode_image(encode_image(np.dstack([PIXELS, alpha])))
    assert (decoded[:, :4] == 255).all()
    np.testing.assert_array_equal(decoded[:, 4:], PIXELS[:, 4:])


def test_transparent_palette_is_white():
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30] + [0] * 762)
    image.putpixel((0, 0), 0)
    decoded = decode_image(encode_image(image, transparency=0))
    assert decoded[0, 0].tolist() == [255] * 3 and decoded[1, 2].tolist() == [10, 20, 30]


def test_16_bits():
    values = np.array([[0, 255, 256], [40000, 65280, 65535]], np.uint16)
    decoded = decode_image(encode_image(Image.fromarray(values)))
    np.testing.assert_array_equal(decoded, np.dstack([values // 256] * 3))


def test_floats_of_either_range():
    for scale in 1, 255:
        image = Image.fromarray(np.array([[0, 0.5, 1]], np.float32) * scale)
        assert load_image(image)[0, :, 0].tolist() == [0, 127, 255]


def test_cmyk():
    decoded = decode_image(encode_image(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert abs(decoded.astype(int) - [255, 0, 0]).max() < 10


def test_exif_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to see it upright
    encoded = encode_image(RGB, "JPEG", exif=exif.tobytes())
    assert decode_image(encoded).shape == (6, 9, 3)
    assert decode_image(encoded, apply_exif=True).shape == (9, 6, 3)


DAMAGED = {
    "nothing": (b"", "empty"),
    "text": (b"not an image", "no image"),
    "a format that starts Ghostscript": (b"%!PS-Adobe-3.0 EPSF-3.0", "no image"),
    "half a header": (encode_image(PIXELS, "JPEG")[:200], "header is damaged"),
    "half a JPEG": (encode_image(PIXELS, "JPEG")[:-20], "the image is damaged"),
    "half a PNG": (encode_image(PIXELS, "PNG")[:100], "the image is damaged"),
    "too many pixels": (encode_image(Image.new("1", (9000, 9000))), "9000 x 9000"),
    "a bomb": (encode_image(Image.new("1", (20000, 20000))), "bomb"),
}


@pytest.mark.parametrize("damage", sorted(DAMAGED))
def test_damaged(damage):
    encoded, words = DAMAGED[damage]
    with pytest.raises(ValueError) as error:
        decode_image(encoded)
    assert words in str(error.value)
