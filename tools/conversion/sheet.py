"""Contact sheets of word images."""
from typing import Any, Callable, Optional, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_COLUMNS, _CELL = 8, (200, 120)


def draw(samples: Sequence, path: str, font: Optional[Callable[[str], Any]] = None) -> None:
    """Draws samples with their key points: the top curve red, the bottom curve cyan, and the text below.

    Args:
      samples: they have `encoded`, `text` and `keypoints`, as aster.data.example.Sample has.
      path: the PNG file to write.
      font: gives a Pillow font that has the characters of a text. By default an installed font with many characters.
    """
    from aster.data.image import decode_image
    font = font or _font
    sheet = Image.new("RGB", (_COLUMNS * _CELL[0], -(-len(samples) // _COLUMNS) * _CELL[1]), "white")
    pen = ImageDraw.Draw(sheet)
    for i, sample in enumerate(samples):
        x, y = i % _COLUMNS * _CELL[0], i // _COLUMNS * _CELL[1]
        picture = Image.fromarray(decode_image(sample.encoded))
        scale = min((_CELL[0] - 8) / picture.width, (_CELL[1] - 28) / picture.height)
        sheet.paste(picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))), (x, y))
        if sample.keypoints is not None:
            for curve, colour in zip(np.split(sample.keypoints * scale + (x, y), 2), ("red", "cyan")):
                pen.line([tuple(point) for point in curve.tolist()], colour)
        pen.text((x, y + _CELL[1] - 22), sample.text, "black", font=font(sample.text))
    sheet.save(path, "PNG")


def _font(_):
    for name in ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", _matplotlib_font()):
        try:
            return ImageFont.truetype(name, 14)
        except OSError:
            continue
    return ImageFont.load_default()


def _matplotlib_font():
    try:
        import matplotlib
        return matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf"
    except (ImportError, AttributeError):
        return "none.ttf"  # then Pillow's own font is left, which has Latin-1 only
