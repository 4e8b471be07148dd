"""Pictures of what the model does."""
import io

import numpy as np
from PIL import Image, ImageDraw

_TOP, _BOTTOM = (255, 64, 64), (64, 128, 255)
_HEIGHT = 128  # pixels of each picture in a drawing
_THUMBNAIL = 160, 48  # pixels
_STRIP = 32  # pixels of each character's picture of the attention
_MARGIN = 88  # pixels left of it, for the character and its probability


def draw_reading(reading, truth=None):
    """PIL image of a Reading with details; see draw_recognition."""
    text = reading.text if truth is None else f"{reading.text} (truth: {truth})"
    return draw_recognition(reading.image, text, reading.control_points, reading.rectified, reading.attention,
                            list(zip(reading.text, reading.probabilities)))


def draw_recognition(image, text, control_points=None, rectified=None, attention=None, characters=()):
    """PIL image: the input with its control points, the rectified image below, the attention, and the text.

    image [H, W, 3], 0..255; control_points [K, 2], fractions of width and height; rectified [h, w, 3], -1..1;
    attention [S, T], for each of the `characters`, (character, probability), where in [h, w] it was read.
    """
    pictures = [draw_control_points(image, control_points)]
    seen = image if rectified is None else (rectified + 1.0) * 127.5
    if rectified is not None:
        pictures.append(_enlarge(Image.fromarray(to_uint8(seen))))
    if attention is not None and len(attention):
        pictures.append(draw_attention(seen, attention, characters))
    width = max(picture.width for picture in pictures)
    drawing = Image.new("RGB", (width, sum(picture.height + 4 for picture in pictures) + 16), "white")
    top = 0
    for picture in pictures:
        drawing.paste(picture, (0, top))
        top += picture.height + 4
    ImageDraw.Draw(drawing).text((4, top), _drawable(text), fill="black")
    return drawing


def draw_attention(image, attention, characters):
    """PIL image: one row for each of `characters`, (character, probability), of an image [h, w, 3], 0..255, bright
    where attention [S, T] lies, which runs along its width."""
    strip = _enlarge(Image.fromarray(to_uint8(image)), 2 * _STRIP)
    pixels = np.asarray(strip.resize((strip.width, _STRIP)), np.float32)
    drawing = Image.new("RGB", (_MARGIN + strip.width, len(attention) * (_STRIP + 2)), "white")
    pen = ImageDraw.Draw(drawing)
    columns = np.arange(strip.width) + 0.5
    for row, (weights, (character, probability)) in enumerate(zip(attention, characters)):
        centres = (np.arange(len(weights)) + 0.5) * strip.width / len(weights)
        light = np.interp(columns, centres, weights / max(weights.max(), 1e-6))[None, :, None]
        top = row * (_STRIP + 2)
        drawing.paste(Image.fromarray(to_uint8(pixels * (0.15 + 0.85 * light))), (_MARGIN, top))
        pen.text((4, top + 10), f"{_drawable(character)}  {100 * probability:.1f} %", fill="black")
    return drawing


def _drawable(text):
    """Pillow's built-in font knows Latin-1 only."""
    return text.encode("latin-1", "replace").decode("latin-1")


def draw_control_points(image, control_points=None):
    """PIL image: `image` enlarged, its top control points in red and its bottom ones in blue, joined by lines.

    A margin shows the points that lie outside of the image.
    """
    picture = _enlarge(Image.fromarray(to_uint8(image)))
    if control_points is None:
        return picture
    margin = _HEIGHT // 4
    drawing = Image.new("RGB", (picture.width + 2 * margin, picture.height + 2 * margin), (230, 230, 230))
    drawing.paste(picture, (margin, margin))
    pen = ImageDraw.Draw(drawing)
    points = np.asarray(control_points) * [picture.width, picture.height] + margin
    half = len(points) // 2
    for edge, color in ((points[:half], _TOP), (points[half:], _BOTTOM)):
        pen.line([tuple(point) for point in edge], fill=color, width=1)
        for x, y in edge:
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=color)
    return drawing


def draw_curves(curves, size=(640, 160)):
    """PIL image: one chart for each of {name: [(step, value)]} that has values, over the same steps."""
    curves = [(name, points) for name, points in sorted(curves.items()) if points]
    drawing = Image.new("RGB", (size[0], max(1, len(curves)) * size[1]), "white")
    pen = ImageDraw.Draw(drawing)
    last = max([points[-1][0] for _, points in curves] + [1])
    for i, (name, points) in enumerate(curves):
        left, top, right, bottom = 60, i * size[1] + 20, size[0] - 10, (i + 1) * size[1] - 20
        low, high = min(0.0, min(value for _, value in points)), max(value for _, value in points)
        scale = (bottom - top) / (high - low or 1.0)
        pen.rectangle([left, top, right, bottom], outline=(200, 200, 200))
        line = [(left + (right - left) * step / float(last), bottom - (value - low) * scale) for step, value in points]
        if len(line) > 1:
            pen.line(line, fill=_BOTTOM, width=2)
        for x, y in line if len(line) < 40 else ():
            pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_BOTTOM)
        pen.text((left, top - 14), f"{name}: {points[-1][1]:.4g}", fill="black")
        pen.text((4, top - 4), f"{high:.4g}", fill="black")
        pen.text((4, bottom - 8), f"{low:.4g}", fill="black")
        pen.text((right - 60, bottom + 2), "step %d" % last, fill="black")
    return drawing


def to_uint8(image):
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def encode(image, kind="PNG"):
    """PIL image -> bytes of a file; a JPEG is a fourth as large."""
    stream = io.BytesIO()
    image.save(stream, kind, quality=80)
    return stream.getvalue()


def thumbnail(image):
    """[H, W, 3], 0..255 -> bytes of a small JPEG."""
    return encode(Image.fromarray(to_uint8(image)).resize(_THUMBNAIL, Image.BILINEAR), "JPEG")


def _enlarge(picture, height=_HEIGHT):
    width = max(1, int(round(picture.width * height / float(picture.height))))
    return picture.resize((min(width, 16 * height), height), Image.BILINEAR)
