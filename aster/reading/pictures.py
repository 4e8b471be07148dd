"""Pictures of what the model does: one composition for a word, and one for several words.

drawing.py says in which units a figure is laid out.
"""
import io
import math
from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageOps

from aster.reading import drawing
from aster.reading.drawing import PIXELS, WIDTH, render, to_uint8, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aster.reading.recognizer import Reading

_MARGIN, _GAP = 16, 24
_RIGHT = 304  # width of the right column, with what the model made of the image
_LEFT = WIDTH - 2 * _MARGIN - _GAP - _RIGHT
_TALLEST = 190  # height of the input's picture
_ROW = 30  # height of a character's row
_FAR = 0.5  # control points farther out than this share of the image are not shown
_TOP, _BOTTOM, _BAR, _PALE = "#d62728", "#1f77b4", "#4c78a8", "#e8ecf1"
_HIGHLIGHT = np.array([255, 170, 0], np.float32)  # orange, where attention lies
_THUMBNAIL = 160, 48  # pixels


def draw_reading(reading: "Reading", truth: Optional[str] = None, *, corrected: Optional[str] = None,
                 width: int = PIXELS) -> Image.Image:
    """Draws how one word was read.

    Args:
      reading: a Reading with details.
      truth: the true text, to name beside the text read.
      corrected: the word of a lexicon that the text was replaced by.
      width: the width of the picture, in pixels; from 800 on its smallest letters are easy to read.

    Returns:
      An RGB image.

    Raises:
      ValueError: the reading has no details.
    """
    return render(reading_figure(reading, truth, corrected), width)


def draw_readings(readings: Sequence["Reading"], width: int = PIXELS) -> Image.Image:
    """Draws several words in one picture, a row each: input with control points, rectified image, text.

    Args:
      readings: Readings with details.
      width: the width of the picture, in pixels.

    Returns:
      An RGB image.

    Raises:
      ValueError: a reading has no details.
    """
    return render(readings_figure(readings), width)


def reading_figure(reading: "Reading", truth: Optional[str] = None, corrected: Optional[str] = None) -> "Figure":
    """Composes the figure that `draw_reading` renders; its `savefig("word.pdf")` gives a file for LaTeX.

    Args:
      reading: a Reading with details.
      truth: the true text.
      corrected: the word of a lexicon that the text was replaced by.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: the reading has no details.
    """
    image, seen = _images(reading)
    axes = drawing.new_axes()
    y = _draw_texts(axes, reading, truth, corrected, _MARGIN - 6) + 22
    right = _MARGIN + _LEFT + _GAP
    if reading.rectified is None:
        drawing.write_caption(axes, _MARGIN, y, "Input")
        y = _draw_input(axes, image, None, _MARGIN, y + 20, WIDTH - 2 * _MARGIN)
    else:
        drawing.write_caption(axes, _MARGIN, y, "Input with control points")
        drawing.write_caption(axes, right, y, "Rectified image")
        y = max(_draw_input(axes, image, reading.control_points, _MARGIN, y + 20, _LEFT),
                _draw_image(axes, seen, right, y + 20, _RIGHT))
    if reading.probabilities:
        y += 18
        drawing.write_caption(axes, _MARGIN, y, "Probability of each character")
        bottom = _draw_bars(axes, _labels(reading), reading.probabilities, _MARGIN, y + 20, _LEFT)
        if reading.attention is not None and len(reading.attention):
            drawing.write_caption(axes, right, y, "Where each character was read (attention)")
            _draw_attention(axes, seen, reading.attention, right, y + 20, _RIGHT)
        y = bottom
    return drawing.finish(axes, y + _MARGIN)


def readings_figure(readings: Sequence["Reading"]) -> "Figure":
    """Composes the figure that `draw_readings` renders.

    Args:
      readings: Readings with details.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: a reading has no details.
    """
    widths = 330, 190, 200
    columns = [_MARGIN, _MARGIN + widths[0] + _GAP, _MARGIN + widths[0] + widths[1] + 2 * _GAP]
    axes = drawing.new_axes()
    for x, caption in zip(columns, ("Input with control points", "Rectified image", "Text and its probability")):
        drawing.write_caption(axes, x, _MARGIN, caption)
    y = _MARGIN + 24.0
    for reading in readings:
        image, seen = _images(reading)
        bottom = _draw_input(axes, image, reading.control_points, columns[0], y, widths[0], tallest=110)
        middle = (y + bottom) / 2
        height = widths[1] * seen.shape[0] / seen.shape[1]
        if reading.rectified is not None:
            _draw_image(axes, seen, columns[1], middle - height / 2, widths[1])
        write(axes, columns[2], middle - 8, reading.text or "(nothing)", size=21, weight="bold", va="center",
              within=widths[2])
        write(axes, columns[2], middle + 16, _percent(math.exp(reading.score or 0.0)), size=13, va="center",
              color=drawing.GREY)
        y = bottom + 14
    return drawing.finish(axes, y)


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    """Encodes a picture as a file.

    Args:
      image: the picture.
      kind: "PNG", or "JPEG", which is a fourth as large.

    Returns:
      The content of the file.
    """
    stream = io.BytesIO()
    image.save(stream, kind, quality=80)
    return stream.getvalue()


def thumbnail(image: np.ndarray) -> bytes:
    """Makes a small JPEG file, 160 by 48 pixels, of an image [H, W, 3], 0..255."""
    return encode(_resize(image, _THUMBNAIL), "JPEG")


def _images(reading: "Reading") -> Tuple[np.ndarray, np.ndarray]:
    """The image as it was given, or else as the model saw it; and the one that was decoded; [H, W, 3], 0..255."""
    if reading.image is None:
        raise ValueError("this Reading has no details to draw; ask for them by recognize(images, details=True)")
    original = getattr(reading, "original", None)
    seen = reading.image if reading.rectified is None else (reading.rectified + 1.0) * 127.5
    return (reading.image if original is None else original), seen


def _labels(reading: "Reading") -> Sequence[str]:
    """What names each character's row: the character, or its number where a lexicon spells the text differently."""
    if len(reading.text or "") != len(reading.probabilities):
        return [str(i + 1) for i in range(len(reading.probabilities))]
    return ["\u2423" if character == " " else character for character in reading.text or ""]


def _draw_texts(axes: Any, reading: "Reading", truth: Optional[str], corrected: Optional[str], y: float) -> float:
    """Every _draw function puts something below y and returns where it ends."""
    score = reading.score or 0.0
    lines = [("Text read", reading.text or "(nothing)", 22), ("By its lexicon", corrected, 17), ("Truth", truth, 17),
             ("Score", f"{score:.3g}, a probability of {_percent(math.exp(score))}" + (
                 " (doubtful)" if reading.doubtful else ""), 13)]
    for name, text, size in lines:
        if text is not None:
            y += size + 5
            write(axes, _MARGIN, y, name, size=13, color=drawing.GREY)
            write(axes, _MARGIN + 106, y, text, size=size, weight="bold" if size > 20 else "normal",
                  within=WIDTH - 2 * _MARGIN - 106)
    return y


def _draw_input(axes: Any, image: np.ndarray, points: Optional[np.ndarray], x: float, y: float, width: float,
                tallest: float = _TALLEST) -> float:
    """The image at its own aspect ratio, with points [K, 2] that are fractions of its width and height. It is drawn
    smaller where points lie outside of it, so that they show in a white margin."""
    shape = np.array([image.shape[1], image.shape[0]])
    low, high = np.zeros(2), np.ones(2)
    if points is not None:
        shown = np.clip(np.where(np.isfinite(points), points, 0.5), -_FAR, 1 + _FAR)
        low, high = np.minimum(low, shown.min(axis=0)), np.maximum(high, shown.max(axis=0))
    radius = 4 if low.min() < 0 or high.max() > 1 else 0  # room for what is drawn of a point at the border
    scale = ((np.array([width, tallest]) - 2 * radius) / ((high - low) * shape)).min()
    size = shape * scale
    corner = np.array([x, y]) + radius - low * size
    drawing.show_image(axes, image, corner, size)
    if points is not None:
        inside = np.all((points >= low) & (points <= high), axis=1)
        half = len(points) // 2
        for edge, color in ((slice(half), _TOP), (slice(half, None), _BOTTOM)):
            xy = (corner + points[edge] * size)[inside[edge]]
            axes.plot(xy[:, 0], xy[:, 1], color="white", linewidth=2.4, alpha=0.8)  # so that a blue line shows on blue
            axes.plot(xy[:, 0], xy[:, 1], "-o", color=color, linewidth=1.2, markersize=4.5, markeredgecolor="white",
                      markeredgewidth=0.6)
    return y + 2 * radius + ((high - low) * size)[1]


def _draw_image(axes: Any, image: np.ndarray, x: float, y: float, width: float) -> float:
    height = min(_TALLEST, width * image.shape[0] / image.shape[1])
    drawing.show_image(axes, image, (x, y), (height * image.shape[1] / image.shape[0], height))
    return y + height


def _draw_bars(axes: Any, labels: Sequence[str], probabilities: Sequence[float], x: float, y: float,
               width: float) -> float:
    """A row for each character: the character, a bar, and its probability."""
    left, full = x + 32, width - 32 - 64
    middles = y + _ROW * (np.arange(len(labels)) + 0.5)
    axes.barh(middles, [full] * len(labels), 16, left, color=_PALE)
    axes.barh(middles, full * np.asarray(probabilities), 16, left, color=_BAR)
    for middle, label, probability in zip(middles, labels, probabilities):
        write(axes, x + 12, middle, label, size=17, weight="bold", ha="center", va="center")
        write(axes, x + width, middle, _percent(probability), size=13, ha="right", va="center")
    return y + _ROW * len(labels)


def _draw_attention(axes: Any, image: np.ndarray, attention: np.ndarray, x: float, y: float, width: float) -> float:
    """A row for each character: the image, coloured where its attention [S, T] lies, which runs along the width."""
    columns = 2 * int(width)
    strip = _resize(image, (columns, 2 * _ROW - 8))
    grey = np.asarray(ImageOps.autocontrast(strip.convert("L"), 2), np.float32)[:, :, None]
    pale, marked = 255 - 0.5 * (255 - grey), grey * _HIGHLIGHT / 255  # as a marker pen does
    rows = np.full([len(attention), 2 * _ROW, columns, 3], 255, np.uint8)
    for row, weights in zip(rows, attention):
        centres = (np.arange(len(weights)) + 0.5) * columns / len(weights)
        light = np.interp(np.arange(columns) + 0.5, centres, weights / max(weights.max(), 1e-6))[None, :, None]
        row[4:-4] = to_uint8(pale * (1 - light) + marked * light)
    bottom = y + _ROW * len(attention)
    axes.imshow(rows.reshape(-1, columns, 3), extent=(x, x + width, bottom, y), aspect="auto", interpolation="nearest")
    return bottom


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _resize(image: np.ndarray, size: Tuple[int, int]) -> Image.Image:
    return Image.fromarray(to_uint8(image)).resize(size, Image.BILINEAR)  # type: ignore[attr-defined]
