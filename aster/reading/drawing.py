"""Drawing with matplotlib: what all pictures and curves share.

A figure is 800 units wide and is laid out in them, from the top left: at README width a unit is a pixel. matplotlib is
imported when something is drawn; pyplot, which keeps a state of its own for the whole process, is not used.
"""
import math
import threading
from typing import TYPE_CHECKING, Any, Optional, Sequence

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 800  # units
PIXELS = 1600  # of a picture: two per unit, sharp on paper, where 15 cm of them are 270 dots per inch
_SMALLEST = 12  # units, of letters
_LONGEST = 500  # characters; no line has room for more, and matplotlib takes minutes for a million
GREY = "#666666"
_LOCK = threading.Lock()  # matplotlib's fonts are not for several threads


def new_figure() -> "Figure":
    """Makes an empty white figure, which belongs to no window and to no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def render(figure: "Figure", width: int = PIXELS) -> Image.Image:
    """Turns a figure into a picture.

    Args:
      figure: one of this module, or another of `new_figure`.
      width: the width of the picture, in pixels.

    Returns:
      An RGB image.
    """
    with _LOCK:
        canvas: Any = figure.canvas
        figure.set_dpi(width / figure.get_figwidth())
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def new_axes() -> Any:
    """Makes a figure with one pair of axes, to be laid out in units: x to the right and y downwards.

    Returns:
      The matplotlib axes. `finish` must follow, once the height of the drawing is known.
    """
    axes = new_figure().add_axes((0, 0, 1, 1), autoscale_on=False)
    axes.axis("off")
    return axes


def finish(axes: Any, height: float) -> "Figure":
    """Gives the figure of `new_axes` its size; a hundred units make an inch.

    Args:
      axes: what `new_axes` made.
      height: the height of the drawing, in units.

    Returns:
      The figure.
    """
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(math.ceil(height), 0)
    axes.figure.set_size_inches(WIDTH / 100, math.ceil(height) / 100)
    return axes.figure


def write_caption(axes: Any, x: float, y: float, text: str) -> None:
    """Writes the caption of a panel, its top left at (x, y)."""
    write(axes, x, y, text, size=13, color=GREY, va="top")


def write(axes: Any, x: float, y: float, text: str, *, size: float, weight: str = "normal",
          within: Optional[float] = None, **style: Any) -> None:
    """Writes one line of text.

    Args:
      axes: what `new_axes` made.
      x: where the text starts, in units.
      y: its baseline, in units.
      text: any text; a box stands for each character that the font lacks, and a very long one is cut.
      size: of the letters, in units.
      weight: "normal" or "bold".
      within: the largest width, in units. A longer text is written smaller, and then cut.
      **style: other properties of matplotlib's texts.
    """
    text = _drawable(text if len(text) <= _LONGEST else text[:_LONGEST - 1] + "\u2026", weight)
    if within is not None:
        while _measure(text, _SMALLEST, weight) > within:
            share = min(0.98, within / _measure(text, _SMALLEST, weight))
            text = text[:int(len(text) * share)] + "\u2026"
        size = min(size, max(_SMALLEST, size * within / max(1, _measure(text, size, weight))))
    # an inch has 100 units and 72 points; a dollar that is not escaped would start a formula
    axes.text(x, y, text.replace("$", r"\$"), fontsize=0.72 * size, weight=weight, **style)


def _measure(text: str, size: float, weight: str) -> float:
    """The width of a text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path
    with _LOCK:
        return text_to_path.get_text_width_height_descent(text, FontProperties(weight=weight, size=size), False)[0]


def _drawable(text: str, weight: str) -> str:
    """The text with a box in place of each character that the font lacks, about which matplotlib would warn. To draw
    such characters, set font.family in matplotlib's own settings."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    with _LOCK:
        glyphs = get_font(findfont(FontProperties(weight=weight)))
        return "".join(c if glyphs.get_char_index(ord(c)) else "\u25a1" for c in text)


def show_image(axes: Any, image: np.ndarray, corner: Sequence[float], size: Sequence[float]) -> None:
    """Shows an image in a thin frame, so that a white one stands out from the white figure.

    Args:
      axes: what `new_axes` made.
      image: [H, W, 3], 0..255.
      corner: (x, y) of its top left, in units.
      size: (width, height) to show it in, in units.
    """
    (x, y), (width, height) = corner, size
    pixels = Image.fromarray(to_uint8(image))
    largest = math.ceil(2 * width), math.ceil(2 * height)
    if pixels.width > largest[0]:  # a photo; Pillow makes it smaller in less time than matplotlib
        pixels = pixels.resize(largest, Image.LANCZOS)  # type: ignore[attr-defined]
    axes.imshow(pixels, extent=(x, x + width, y + height, y), aspect="auto", interpolation="bilinear")
    axes.plot([x, x + width, x + width, x, x], [y, y, y + height, y + height, y], color="#bbbbbb", linewidth=0.5)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds an image, 0..255, to whole numbers of 8 bits; what lies outside is clipped."""
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
