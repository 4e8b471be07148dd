"""Image files of many kinds, whole, large and damaged."""
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from data_helpers import encode_image
from PIL import Image

from aster.data import image as image_module
from aster.data.image import Budget, decode_image, load_image

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


_TURNED = Image.Exif()
_TURNED[0x0112] = 6


def _of_every_kind(pixels):
    """{name: what load_image takes} of RGBA pixels whose alpha is 0 or 255."""
    rgba = Image.fromarray(pixels)
    rgb, gray = rgba.convert("RGB"), pixels[..., 0]
    return {"RGBA": encode_image(rgba), "RGB": encode_image(rgb), "L": encode_image(rgb.convert("L")),
            "LA": encode_image(rgba.convert("LA")), "1": encode_image(Image.fromarray(gray // 128 * 255).convert("1")),
            "P": encode_image(rgb.quantize(64), transparency=3), "GIF": encode_image(rgb.quantize(64), "GIF"),
            "16 bits": encode_image(Image.fromarray(gray.astype(np.uint16) * 257)),
            "floats": encode_image(Image.fromarray(gray.astype(np.float32) / 255), "TIFF"),
            "CMYK": encode_image(rgb.convert("CMYK"), "TIFF"),
            "a color is transparent": encode_image(rgb, transparency=tuple(map(int, pixels[0, 0, :3]))),
            "turned PNG": encode_image(rgb, exif=_TURNED.tobytes()),
            "turned TIFF": encode_image(rgb, "TIFF", tiffinfo=_TURNED, compression="tiff_lzw"),
            "array": pixels, "array RGB": pixels[..., :3], "array of one channel": pixels[..., :1], "PIL": rgba}


@pytest.mark.parametrize("kind", sorted(_of_every_kind(np.zeros([2, 2, 4], np.uint8))))
def test_a_large_image_is_the_small_one(monkeypatch, kind):
    """Each pixel is repeated, and the reduction takes that back."""
    small = np.random.RandomState(0).randint(0, 256, [30, 45, 4]).astype(np.uint8)
    small[..., 3] = small[..., 3] // 128 * 255
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    expected = load_image(_of_every_kind(small)[kind])
    monkeypatch.setattr(image_module, "LARGE_PIXELS", 30 * 45)
    np.testing.assert_array_equal(load_image(_of_every_kind(large)[kind]), expected)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak is in /proc")
def test_the_largest_image_takes_little_memory():
    """250 kB with 64 million pixels; a bare decoder makes four copies of them, of 256 MB each."""
    code = ("import io\n"
            "from PIL import Image\n"
            "from aster.data.image import load_image\n"
            "stream = io.BytesIO(); Image.new('RGBA', (8000, 8000), (9, 9, 9, 99)).save(stream, 'PNG')\n"
            "shape = load_image(stream.getvalue()).shape\n"
            "peak, = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
            "print(peak, shape)\n")
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, universal_newlines=True, check=True,
                          cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    kilobytes, shape = done.stdout.split(" ", 1)
    assert shape.strip() == "(2000, 2000, 3)" and int(kilobytes) < 800 * 1000


def test_a_budget_is_never_exceeded():
    budget, taken, most = Budget(10, free=2), [], []

    def work(amount):
        with budget.take(amount):
            taken.append(amount)
            most.append(sum(taken))
            time.sleep(0.01)
            taken.remove(amount)

    threads = [threading.Thread(target=work, args=(amount,)) for amount in [3, 4, 5, 6] * 5 + [11]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 21 and max(most) == 11  # the one that is larger than all ran alone
    with budget.take(10), budget.take(2):
        pass  # small amounts do not wait


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
