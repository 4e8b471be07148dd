"""Fonts: those of installed packages and of the folders that the user names."""
import functools
import glob
import os
import sys
from typing import Collection, FrozenSet, Iterable, List, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from aster.errors import printable

PACKAGES = "matplotlib font-roboto font-source-sans-pro font-source-serif-pro font-caladea"

# Below a site-packages folder. Of matplotlib's fonts only DejaVu has all letters. The others have symbols for formulas,
# and the "font of last resort" draws a box for everything.
_PACKAGED = ("font_*/files/*", "matplotlib/mpl-data/fonts/ttf/DejaVu*")
_EXTENSIONS = (".ttf", ".otf", ".ttc", ".woff")
_SMALL_CAPITALS = 0.83  # from this ratio of the height of x to that of X, x is a capital; usually it is 0.7 to 0.8
_BASIC_LAYOUT = 0  # a constant whose name differs between versions of Pillow
_PROBE_SIZE = 24  # pixels; enough to tell a character from the box that stands for a missing one


class FontError(Exception):
    """Says what is wrong with a font, or that there is none, and what to do."""


class Face(NamedTuple):
    """A font file, its family, and those of the wanted characters that it can draw."""
    path: str
    family: str
    characters: FrozenSet[str]


def find_paths(extra: Iterable[str] = ()) -> List[str]:
    """Finds font files.

    Args:
      extra: files, or folders to search, in addition to installed packages.

    Returns:
      The paths, sorted by the names of the files.

    Raises:
      FontError: one of `extra` does not exist or is no font.
    """
    paths = []
    for folder in sys.path:
        for pattern in _PACKAGED:
            paths += glob.glob(os.path.join(glob.escape(folder), pattern))
    for place in extra:
        if os.path.isdir(place):
            below = [os.path.join(folder, name)
                     for folder, _, names in os.walk(place) for name in names]
            if not _fonts_only(below):
                raise FontError(f"no .ttf, .otf, .ttc or .woff file below {place}; give --fonts a folder that has some")
            paths += below
        elif os.path.exists(place):
            load(place, _PROBE_SIZE)  # a file given by name has to be a font
            paths.append(place)
        else:
            raise FontError(f"{place} does not exist; give --fonts font files or folders")
    # The order is by name, so that it is the same wherever the packages are installed. Of a font that comes as .ttf and
    # as .otf, one file is enough.
    unique = {os.path.splitext(path)[0]: path for path in sorted(_fonts_only(paths))}
    return sorted(unique.values(), key=lambda path: (os.path.basename(path), path))


def _fonts_only(paths):
    return [path for path in paths if path.lower().endswith(_EXTENSIONS)]


def find_faces(characters: Collection[str], extra: Collection[str] = ()) -> List[Face]:
    """Finds the fonts that can draw some of the wanted characters.

    Args:
      characters: the wanted characters.
      extra: font files, or folders to search, in addition to installed packages.

    Returns:
      A Face for each font. Damaged fonts of a folder are left out, with a message on stderr.

    Raises:
      FontError: there is none, or a file of `extra` is no font.
    """
    paths = find_paths(extra)
    if not paths:
        raise FontError(f"no fonts found; run: pip install {PACKAGES}   (or name a folder with --fonts)")
    faces, bad = [], []
    for path in paths:
        try:
            covered = covered_characters(path, characters)
        except FontError as error:  # a damaged file in a folder, or a font without outlines, such as emoji
            if path in extra:
                raise
            bad.append(error)
            continue
        if covered:
            faces.append(Face(path, family_of(path), covered))
    if bad:
        print(printable(f"{len(bad)} of {len(paths)} fonts left out; the first: {bad[0]}"), file=sys.stderr)
    if not faces:
        raise FontError(f"none of the {len(paths)} fonts found can draw any of the wanted characters; add one that can "
                        "with --fonts")
    return faces


def family_of(path: str) -> str:
    """Takes the name of a font's family from the name of its file.

    Args:
      path: a file called Family-Style.ttf, or the-family-latin-weight-style.woff as Fontsource does.

    Returns:
      The family's name.
    """
    name = os.path.splitext(os.path.basename(path))[0]
    family, latin, _ = name.partition("-latin-")
    return family if latin else name.split("-")[0]


@functools.lru_cache(maxsize=None)
def load(path: str, size: int, simple: bool = True) -> ImageFont.FreeTypeFont:
    """Loads a font.

    Args:
      path: the font file.
      size: in pixels.
      simple: True for letters that stand one beside the other, which is faster; False for scripts such as Arabic and
        Devanagari, for which Pillow needs the library Raqm.

    Returns:
      The Pillow font.

    Raises:
      FontError: the file is no font.
    """
    try:
        engine = {"layout_engine": _BASIC_LAYOUT} if simple else {}
        return ImageFont.truetype(path, size, **engine)
    except OSError as error:
        raise FontError(f"{path} is no font that can be read ({error}); leave it out of --fonts") from error


def covered_characters(path: str, characters: Iterable[str]) -> FrozenSet[str]:
    """Finds out which characters a font can draw, by drawing them.

    A character that the font lacks looks like U+FFFF, which no font has, or leaves no ink. Small letters that are drawn
    as capitals do not count, because nobody could read them as small letters.

    Args:
      path: the font file.
      characters: the wanted characters.

    Returns:
      Those that the font can draw.

    Raises:
      FontError: the font is damaged.
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
        raise FontError(f"{font.path} is a damaged font ({error}); leave it out of --fonts") from error
    return image


def _height(font, character):
    """Pixels from top to bottom of the ink, 0 for none."""
    box = _drawn(font, character).getbbox()
    return box[3] - box[1] if box else 0
