"""Reading what data sets are made of: paths, lists, XML, boxes and curves."""
import functools
import io
import os
import re

import numpy as np
from conversion.convert import Skipped, SourceError
from PIL import Image

CURVE_POINTS = 64  # of each of the two curves of SynthText's words, as published


def inside(data_dir, name):
    """The path of a file that a list names; raises ValueError where that is not below data_dir."""
    folder, base = os.path.split(name.replace("\\", "/"))
    path = os.path.join(_folder_inside(data_dir, folder), base)
    if os.path.islink(path) or base in ("", ".", ".."):
        _folder_inside(data_dir, os.path.join(folder, base))
    return path


@functools.lru_cache(maxsize=1024)  # millions of files lie in some folders
def _folder_inside(data_dir, folder):
    root = os.path.realpath(data_dir).rstrip(os.sep)
    path = os.path.realpath(os.path.join(root, folder))
    if path != root and not path.startswith(root + os.sep):
        raise ValueError("names a file outside of --data_dir")
    return path


def read_file(data_dir, name):
    """The bytes of a file that a list names."""
    with open(inside(data_dir, name), "rb") as stream:
        return stream.read()


def find(data_dir, *names):
    """The path of the first of `names` that exists in data_dir."""
    for name in names:
        if os.path.exists(os.path.join(data_dir, name)):
            return os.path.join(data_dir, name)
    raise SourceError("{} has no {}; --data_dir is the folder of the data set as it was unpacked".format(data_dir, " or ".join(names)))


def read_lines(path):
    """(number from 1, text) of the lines of a UTF-8 file that are not empty; a BOM and line ends are dropped. A
    line that is not UTF-8 is taken for Latin-1."""
    lines = []
    with open(path, "rb") as stream:
        for number, line in enumerate(stream.read().splitlines(), 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                text = line.decode("latin-1")
            if text.strip():
                lines.append((number, text.rstrip()))
    return lines


def read_xml(path):
    """The root of an XML file; entities, with which a few bytes can fill the memory, are refused."""
    import defusedxml
    from defusedxml import ElementTree
    try:
        return ElementTree.parse(path).getroot()
    except defusedxml.DefusedXmlException as error:
        raise SourceError(f"{path} defines entities or refers to other files ({error}); it is not opened")
    except ElementTree.ParseError as error:
        raise SourceError(f"{path} is no XML: {error}")


def tagged_images(path):
    """Images of an XML file of SVT or IC03: (file name, lexicon, [(x, y, width, height, text)])."""
    images = []
    for node in read_xml(path).iter("image"):
        words = []
        for rectangle in node.iter("taggedRectangle"):
            sides = []
            for side in ("x", "y", "width", "height"):
                try:
                    sides.append(float(rectangle.get(side)))
                except (TypeError, ValueError):
                    sides.append(float("nan"))
            words.append(tuple(sides) + ((rectangle.findtext("tag") or "").strip(),))
        lexicon = [word for word in (node.findtext("lex") or "").split(",") if word]
        images.append(((node.findtext("imageName") or "").strip(), lexicon, words))
    return images


def crop_margin(parser, default):
    parser.add_argument("--crop_margin", type=float, default=default, metavar="SHARE",
                        help="margin around a word, as a share of its height (default: %(default)s, as published)")


def box_with_margin(x_min, y_min, x_max, y_max, margin, size):
    """The box to crop, as published: a margin in shares of the height, clipped to [0, size - 1] and rounded."""
    values = np.array([x_min, y_min, x_max, y_max])
    if not np.isfinite(values).all():
        raise ValueError("its box is not made of numbers")
    margin *= y_max - y_min
    box = (int(round(max(0, x_min - margin))), int(round(max(0, y_min - margin))),
           int(round(min(size[0] - 1, x_max + margin))), int(round(min(size[1] - 1, y_max + margin))))
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("its box lies outside of the image or has no area")
    return box


def open_image(data_dir, name):
    """A PIL image, decoded; raises ValueError that says what is wrong."""
    path = inside(data_dir, name)
    try:
        image = Image.open(path)
        image.load()
    except Exception as error:  # Pillow's plugins raise many types for bytes they can't read
        if getattr(error, "errno", None):  # no such file, and the like
            raise
        raise ValueError(f"the image is damaged or of no known format ({error})")
    return image


def crop_to_jpeg(image, box):
    """Bytes of a JPEG of Pillow's default quality, as published."""
    part = image.crop(box)
    if part.mode not in ("L", "RGB", "CMYK"):
        part = part.convert("RGB")
    stream = io.BytesIO()
    part.save(stream, "JPEG")
    return stream.getvalue()


def text_curves(tops, bottoms):
    """Keypoints [2 * CURVE_POINTS, 2] of a word: a parabola (a line through up to two points) fitted to points [n, 2]
    of its top, and one to those of its bottom, each from the leftmost to the rightmost of them."""
    return np.concatenate([_fit(tops), _fit(bottoms)])


def _fit(points):
    x, y = points[:, 0], points[:, 1]
    if np.ptp(x) == 0:
        raise ValueError("its characters stand above each other, so that no curve fits them")
    centre, scale = x.mean(), np.ptp(x)  # far from the origin a fit would lose digits
    coefficients = np.polyfit((x - centre) / scale, y, 2 if len(points) > 2 else 1)
    xs = np.linspace(x.min(), x.max(), CURVE_POINTS)
    return np.stack([xs, np.polyval(coefficients, (xs - centre) / scale)], 1)


def quadrilateral(numbers):
    """Eight numbers, also as text -> corners [4, 2], clockwise from the top left. Raises ValueError."""
    if len(numbers) != 8:
        raise ValueError("expected eight coordinates, got %d" % len(numbers))
    corners = np.array([float(number) for number in numbers]).reshape(4, 2)
    if not np.isfinite(corners).all():
        raise ValueError("its coordinates are not all numbers")
    return corners


def corner_curves(corners):
    """Keypoints [4, 2] of a quadrilateral: its upper side, then its lower one, both from left to right."""
    return np.asarray(corners, np.float32)[[0, 1, 3, 2]]


def is_alphanumeric(text):
    """Whether all characters are ASCII letters or digits, and there is one."""
    return bool(text) and all(character.isalnum() and character <= "~" for character in text)


def unescape(text):
    r"""`\"` and `\\` stand for the second character."""
    return re.sub(r'\\(["\\])', r"\1", text)


def bad_line(path, number, line, expected):
    return Skipped("%s, line %d" % (path, number), f"expected {expected}, got {line[:80]!r}")


def filtered(items, keep):
    """Those of (name, text, ...) whose text is kept, and those that will be Skipped."""
    return [item for item in items if isinstance(item, Skipped) or keep(item[1])]


def quoted_list(path):
    """[(image name, text)] of a list of `word_1.png, "text"`; a comma may stand in the text."""
    items = []
    for number, line in read_lines(path):
        name, comma, text = line.partition(",")
        text = text.strip()
        if comma and len(text) >= 2 and text[0] == text[-1] == '"':
            text = unescape(text[1:-1])
        items.append((name.strip(), text) if comma else bad_line(path, number, line, '`name, "text"`'))
    return items


def read_pairs(path):
    """[(image name, text)] of a list of `path text`, split on the first space."""
    items = []
    for number, line in read_lines(path):
        name, space, text = line.lstrip().partition(" ")
        items.append((name, text) if space else bad_line(path, number, line, "`path text`"))
    return items


def read_word_image(folder, item):
    """The Sample of an image that is a word, its bytes as they are: (name, text) or (name, text, lexicon)."""
    from aster.data.example import Sample
    yield Sample(read_file(folder, item[0]), item[1], *item[2:], filename=item[0])


def image_list(path):
    """[(image name, text, lexicon)] of imagelist.txt: `path text lexicon_length word,word,...`."""
    items = []
    for number, line in read_lines(path):
        fields = line.split(" ")
        if len(fields) < 4 or not fields[-2].isdigit():
            items.append(bad_line(path, number, line, "`path text lexicon_length word,word,...`"))
            continue
        items.append((fields[0], " ".join(fields[1:-2]), [word for word in fields[-1].split(",") if word]))
    return items
