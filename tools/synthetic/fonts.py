"""Fonts: those of installed packages and of the folders that the user names."""
import functools
import glob
import os
import sys
from typing import FrozenSet, NamedTuple

from PIL import Image, ImageDraw, ImageFont

PACKAGES = "matplotlib font-roboto font-source-sans-pro font-source-serif-pro font-caladea"

# Below a site-packages folder. Of matplotlib's fonts only DejaVu has all letters; the rest are
# symbols for formulas, and one "font of last resort" that draws a box for everything.
_PACKAGED = ("font_*/files/*", "matplotlib/mpl-data/fonts/ttf/DejaVu*")
_EXTENSIONS = (".ttf", ".otf", ".ttc", ".woff")
_SMALL_CAPITALS = 0.83  # height of x to height of X from which x is a capital; usually 0.7 to 0.8
_BASIC_LAYOUT = 0  # a constant whose name differs between versions of Pillow
_PROBE_SIZE = 24  # pixels; enough to tell a character from the box that stands for a missing one


class FontError(Exception):
    """Says what is wrong with a font, or that there is none, and what to do."""


class Face(NamedTuple):
    """A font file, its family, and those of the wanted characters that it can draw."""
    path: str
    family: str
    characters: FrozenSet[str]


def find_paths(extra=()):
    """Paths of the fonts of installed packages, and of the files and folders in `extra`."""
    found = []
    for folder in sys.path:
        for pattern in _PACKAGED:
            found += glob.glob(os.path.join(glob.escape(folder), pattern))
    for place in extra:
        if os.path.isdir(place):
            below = [os.path.join(folder, name)
                     for folder, _, names in os.walk(place) for name in names]
            if not _fonts_only(below):
                raise FontError(f"no .ttf, .otf, .ttc or .woff file below {place}; give --fonts a folder "
                                "that has some")
            found += below
        elif os.path.exists(place):
            load(place, _PROBE_SIZE)  # a file given by name has to be a font
            found.append(place)
        else:
            raise FontError(f"{place} does not exist; give --fonts font files or folders")
    # By name, so that the order is the same wherever the packages are installed. Some come as
    # .ttf and .otf: one of them will do.
    unique = {os.path.splitext(path)[0]: path for path in sorted(_fonts_only(found))}
    return sorted(unique.values(), key=lambda path: (os.path.basename(path), path))


def _fonts_only(paths):
    return [path for path in paths if path.lower().endswith(_EXTENSIONS)]


def find_faces(characters, extra=()):
    """Faces of all fonts that can draw any of `characters`. Raises FontError where none can."""
    paths = find_paths(extra)
    if not paths:
        raise FontError(f"no fonts found; run: pip install {PACKAGES}   (or name a folder with --fonts)")
    faces, bad = [], []
    for path in paths:
        try:
            covered = covered_characters(path, characters)
        except FontError as error:  # one bad file in a folder, or one that has no outlines, such as emoji
            if path in extra:
                raise
            bad.append(error)
            continue
        if covered:
            faces.append(Face(path, family_of(path), covered))
    if bad:
        print("%d of %d fonts left out; the first: %s" % (len(bad), len(paths), bad[0]), file=sys.stderr)
    if not faces:
        raise FontError("none of the %d fonts found can draw any character that is wanted; add "
                        "one that can with --fonts" % len(paths))
    return faces


def family_of(path):
    """A family's name: files are called Family-Style, those of Fontsource the-family-latin-weight-style."""
    name = os.path.splitext(os.path.basename(path))[0]
    family, latin, _ = name.partition("-latin-")
    return family if latin else name.split("-")[0]


@functools.lru_cache(maxsize=None)
def load(path, size, simple=True):
    """The Pillow font of a file at a size in pixels.

    simple: whether for letters that stand one beside the other, which is faster; False for
    scripts such as Arabic and Devanagari (if Pillow has the library for them).
    """
    try:
        engine = {"layout_engine": _BASIC_LAYOUT} if simple else {}
        return ImageFont.truetype(path, size, **engine)
    except OSError as error:
        raise FontError(f"{path} is no font that can be read ({error}); leave it out of --fonts")


def covered_characters(path, characters):
    """The subset of `characters` that a font can draw.

    Found by drawing: a character that the font lacks looks like U+FFFF, which no font has, or
    leaves no ink. Small letters that are drawn as capitals don't count: nobody could read them
    as what they are said to be.
    """
    font = load(path, _PROBE_SIZE)
    missing = _drawn(font, "\uffff").tobytes()
    large = load(path, 4 * _PROBE_SIZE)
    only_capitals = _height(large, "x") > _SMALL_CAPITALS * _height(large, "X")

    def covered(character):
        if character == " ":
            return True
        image = _drawn(font, character)
        return (image.getbbox() and image.tobytes() != missing and
                not (only_capitals and character != character.upper()))

    return frozenset(filter(covered, characters))


def _drawn(font, character):
    image = Image.new("L", (2 * font.size, 2 * font.size))
    try:
        ImageDraw.Draw(image).text((font.size // 2, font.size // 2), character, fill=255, font=font)
    except OSError as error:
        raise FontError(f"{font.path} is a damaged font ({error}); leave it out of --fonts")
    return image


def _height(font, character):
    """Pixels from top to bottom of the ink, 0 for none."""
    box = _drawn(font, character).getbbox()
    return box[3] - box[1] if box else 0
