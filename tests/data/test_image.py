"""Image files of many kinds, whole, large and damaged."""
import os
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from data_helpers import encode_image
from PIL import Image

from aster.data import image as images
from aster.data.image import Budget, decode_image, find_images, load_image, orientation, upright

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


def of_letters(letters, hidden=(0, 0, 0), alpha=255):
    """RGBA pixels: a bar of one color, and around it transparent pixels of another."""
    pixels = np.zeros([6, 9, 4], np.uint8)
    pixels[..., :3] = hidden
    pixels[2:4, 3:7] = letters + (alpha,)
    return pixels


def in_every_format(pixels):
    """{name: file} of RGBA pixels with two colors, one of them transparent."""
    rgba = Image.fromarray(pixels)
    palette = Image.fromarray((pixels[..., 3] > 0).astype(np.uint8)).convert("P")
    palette.putpalette([int(value) for color in (pixels[0, 0], pixels[2, 3]) for value in color[:3]] + [0] * 762)
    gray16 = pixels[..., 0].astype(np.uint16) * 257
    hidden = tuple(int(value) for value in pixels[0, 0, :3])
    return {
        "RGBA": encode_image(rgba), "LA": encode_image(rgba.convert("LA")),
        "palette": encode_image(palette, transparency=0),
        "palette with alphas": encode_image(palette, transparency=bytes([0, 255])),
        "GIF": encode_image(palette, "GIF", transparency=0),
        "WEBP": encode_image(rgba, "WEBP", lossless=True, exact=True),
        "TIFF": encode_image(rgba, "TIFF"), "a color": encode_image(rgba.convert("RGB"), transparency=hidden),
        "a gray": encode_image(rgba.convert("RGB").convert("L"), transparency=hidden[0]),
        "16 bits": encode_png16(gray16, hidden[0] * 257),
        "16 bits RGB": encode_png16(np.dstack([gray16] * 3), *[hidden[0] * 257] * 3),
        "16 bits and alpha": encode_png16(np.dstack([gray16, pixels[..., 3] * np.uint16(257)])),
        "array": pixels, "PIL": rgba, "PIL with premultiplied alpha": rgba.convert("RGBa")}


def encode_png16(values, *transparent):
    """A PNG file of 16 bits per channel, which Pillow can't write: gray, RGB, or gray and alpha."""
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    color = {1: 0, 2: 4, 3: 2}[values[0, 0].size]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, color, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + (chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b"")
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("letters, ground", [((255,) * 3, 0), ((0,) * 3, 255), ((180,) * 3, 0), ((90,) * 3, 255)])
@pytest.mark.parametrize("kind", sorted(in_every_format(of_letters((255,) * 3))))
def test_a_transparent_image_is_laid_over_the_contrast(kind, letters, ground):
    hidden = (100,) * 3  # what the file has where nothing is seen
    pixels = of_letters(letters, hidden)
    expected = np.full([6, 9, 3], ground, np.uint8)
    expected[2:4, 3:7] = letters
    source = in_every_format(pixels)[kind]
    np.testing.assert_array_equal(load_image(source), expected)
    if isinstance(source, bytes):
        np.testing.assert_array_equal(decode_image(source), expected)


@pytest.mark.parametrize("letters, ground", [
    ((255, 255, 0), 0), ((255, 0, 0), 255), ((0, 255, 0), 0), ((0, 0, 255), 255)])
def test_the_contrast_is_that_of_luminance(letters, ground):
    decoded = decode_image(encode_image(of_letters(letters)))
    assert decoded[0, 0].tolist() == [ground] * 3 and decoded[2, 3].tolist() == list(letters)


def test_pixels_count_by_their_alpha():
    """A faint dark shadow, larger than its light letters, does not decide."""
    pixels = of_letters((255,) * 3)
    pixels[..., 3] = np.maximum(pixels[..., 3], 30)
    decoded = decode_image(encode_image(pixels))
    assert decoded[0, 0].max() == 0 and decoded[2, 3].min() == 255
    pixels[..., 3] = np.maximum(pixels[..., 3], 120)
    decoded = decode_image(encode_image(pixels))
    assert decoded[0, 0].tolist() == [135] * 3  # black, of which 120 of 255 are seen over white


def test_what_is_wholly_transparent_is_white():
    assert (decode_image(encode_image(np.zeros([6, 9, 4], np.uint8))) == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_an_opaque_alpha_changes_nothing(mode):
    rgb = RGB if mode == "RGBA" else RGB.convert("P" if mode == "P" else "L")
    encoded = encode_image(rgb, transparency=bytes([255] * 256)) if mode == "P" else encode_image(rgb.convert(mode))
    np.testing.assert_array_equal(decode_image(encoded), rgb.convert("RGB"))


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
    monkeypatch.setattr(images, "LARGE_PIXELS", 30 * 45)
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


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_upright(image_format, value):
    if image_format not in images._known_formats():
        pytest.skip(f"Pillow is without {image_format}")
    exif = Image.Exif()
    exif[0x0112] = value
    try:
        encoded = encode_image(RGB, image_format, exif=exif.tobytes() if image_format != "TIFF" else exif)
    except TypeError:
        pytest.skip(f"this Pillow writes no EXIF into {image_format}")
    turned = upright(encoded)
    np.testing.assert_array_equal(decode_image(turned), load_image(encoded))  # as the Recognizer sees it, and lossless
    assert orientation(turned) == 1
    if value == 1:
        assert turned == encoded
    elif image_format in ("JPEG", "PNG"):
        assert orientation(encoded) == value
    if image_format in ("JPEG", "PNG", "TIFF"):
        assert decode_image(turned).shape == ((6, 9, 3) if value < 5 else (9, 6, 3))


def test_exif_that_is_damaged_says_nothing():
    for exif in b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12", b"Exif\0\0":
        encoded = encode_image(RGB, "JPEG", exif=exif)
        assert upright(encoded) == encoded and load_image(encoded).shape == (6, 9, 3)


def test_upright_keeps_what_needs_no_turn():
    for encoded in (encode_image(RGB, "JPEG"), encode_image(RGB, "WEBP"), encode_image(RGB, "TIFF")):
        assert upright(encoded) == encoded and orientation(encoded) == 1
    with pytest.raises(ValueError, match="no image"):
        upright(b"not an image")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
def test_upright_of_other_modes(mode):
    exif = Image.Exif()
    exif[0x0112] = 8
    encoded = encode_image(RGB.convert(mode), "JPEG" if mode == "CMYK" else "PNG", exif=exif.tobytes())
    np.testing.assert_array_equal(decode_image(upright(encoded)), load_image(encoded))


@pytest.mark.parametrize("image_format, ending", [("AVIF", ".avif"), ("JPEG2000", ".jp2")])
def test_formats_that_some_pillows_read(tmp_path, monkeypatch, image_format, ending):
    path = tmp_path / ("word" + ending)
    if image_format not in images._known_formats():
        path.write_bytes(b"")
        with pytest.raises(ValueError, match=f"no image there .*, but 1 file \\(1 {ending}\\)"):
            list(find_images([tmp_path]))
        pytest.skip(f"Pillow is without {image_format}")
    pixels = np.kron(PIXELS // 64 * 64, np.ones([16, 16, 1], np.uint8))
    path.write_bytes(encode_image(pixels, image_format))
    assert list(find_images([tmp_path])) == [str(path)]
    assert abs(load_image(path).astype(int) - pixels).mean() < 8
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    monkeypatch.setattr(Image.Image, "load", None)  # the size is looked at before the pixels are
    with pytest.raises(ValueError, match="its size is 144 x 96, more than 100 pixels"):
        load_image(path)


def test_files_that_are_passed_over_are_counted(tmp_path, caplog):
    for name in "a.png", "b.JPG", "c.heic", "d.HEIC", "labels.tsv", "LICENSE", ".DS_Store":
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.heic").mkdir()
    assert len(list(find_images([tmp_path]))) == 2
    message, = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{tmp_path}: passed over 4 files (2 .heic, 1 ") and "1 without ending" in message
    caplog.clear()
    assert len(list(find_images([str(tmp_path / "[abc].*")]))) == 2
    assert "passed over 1 file (1 .heic)" in caplog.records[0].getMessage()
    with pytest.raises(ValueError, match=r"no image there .*, but 2 files \(2 .heic\)"):
        list(find_images([str(tmp_path / "*.[hH]*")]))
    caplog.clear()
    assert list(find_images([str(tmp_path / "[ab].*")])) and not caplog.records


CUT = [(image_format, share) for image_format in ("PNG", "WEBP", "BMP", "JPEG2000", "AVIF") for share in (0.5, 0.9)]


@pytest.mark.parametrize("image_format, share", CUT)
def test_an_image_that_is_cut_short(image_format, share):
    if image_format not in images._known_formats():
        pytest.skip(f"Pillow is without {image_format}")
    whole = encode_image(np.random.RandomState(0).randint(0, 256, [60, 90, 3]).astype(np.uint8), image_format)
    size = int(len(whole) * share)
    with pytest.raises(ValueError, match="damaged") as error:
        decode_image(whole[:size])
    missing = len(whole) - size
    if image_format == "PNG":  # what follows the chunk that is cut off is not known
        missing = int(str(error.value).split("least ")[1].split()[0])
        assert 12 < missing <= len(whole) - size
    assert f"at least {missing} bytes are missing after its {size} bytes" in str(error.value)


@pytest.mark.parametrize("image_format", ["JPEG", "GIF", "TIFF", "PPM"])
def test_an_image_that_is_cut_short_and_has_no_length(image_format):
    whole = encode_image(np.random.RandomState(0).randint(0, 256, [60, 90, 3]).astype(np.uint8), image_format)
    size = len(whole) // 2
    with pytest.raises(ValueError, match=f"damaged: its {size} bytes end before its pixels do"):
        decode_image(whole[:size])


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
