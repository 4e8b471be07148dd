"""Pictures of what the model does."""
import io

import numpy as np
from PIL import Image, ImageDraw

_TOP, _BOTTOM = (255, 64, 64), (64, 128, 255)
_HEIGHT = 128  # pixels of each picture in a drawing


def draw_recognition(image, text, control_points=None, rectified=None):
    """PIL image: the input with its control points, the rectified image below, and the text.

    image [H, W, 3], 0..255; control_points [K, 2], fractions of width and height; rectified [h, w, 3], -1..1.
    """
    pictures = [draw_control_points(image, control_points)]
    if rectified is not None:
        pictures.append(_enlarge(Image.fromarray(to_uint8((rectified + 1.0) * 127.5))))
    width = max(picture.width for picture in pictures)
    drawing = Image.new("RGB", (width, sum(picture.height + 4 for picture in pictures) + 16), "white")
    top = 0
    for picture in pictures:
        drawing.paste(picture, (0, top))
        top += picture.height + 4
    # Pillow's built-in font knows Latin-1 only
    ImageDraw.Draw(drawing).text((4, top), text.encode("latin-1", "replace").decode("latin-1"), fill="black")
    return drawing


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


def to_uint8(image):
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def encode_png(image):
    """PIL image -> bytes."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _enlarge(picture):
    width = max(1, int(round(picture.width * _HEIGHT / float(picture.height))))
    return picture.resize((min(width, 16 * _HEIGHT), _HEIGHT), Image.BILINEAR)
