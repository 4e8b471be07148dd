"""Makes a picture of a word from a seed and a number."""
import functools
import io
import traceback
import unicodedata
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw
from synthetic import effects, fonts, words
from synthetic.photos import PhotoError
from synthetic.texts import TextSource

FONT_SIZE = 48  # pixels; words are drawn at this size, some at twice this size, and scaled at the end
NUM_POINTS = 32  # along each of the two curves
_PAD = 8
_FINE = 4  # discs are drawn 4 times as large as they will be, for smooth rims
_MAX_WEIGHT = 6  # a family with more faces than this is drawn as if it had this many
_TRIES = 20
INPUT_ERRORS = (fonts.FontError, words.WordError, PhotoError)  # something is wrong with what the renderer was given


class RenderError(Exception):
    """The renderer fails at an image, because of a mistake in the renderer."""


class Rendered(NamedTuple):
    """A JPEG file, its size in pixels, its text, and float32 [2 * NUM_POINTS, 2] key points."""
    encoded: bytes
    width: int
    height: int
    text: str
    keypoints: np.ndarray


class Renderer:
    """Renders images by their number.

    Each image has a random state of its own, so it doesn't matter which process renders it, or when.
    """

    def __init__(self, texts: TextSource, faces: Sequence[fonts.Face], *, seed: int, strength: float,
                 photos: Any = None) -> None:
        """Makes a renderer.

        Args:
          texts: where the texts come from.
          faces: the fonts.
          seed: each seed stands for another collection of images.
          strength: 0 to 1, of the effects on the hardest images.
          photos: a photos.Photos for the backgrounds, or None.
        """
        self.texts, self.seed, self.strength = texts, seed, strength
        self.effects = [(probability, functools.partial(effect, photos=photos) if effect is effects.paint else effect)
                        for probability, effect in effects.EFFECTS]
        self.families = {}
        for face in faces:
            self.families.setdefault(face.family, []).append(face)
        # A family for running text has many faces, a curious family has one. Families with many faces are drawn more
        # often, but at most _MAX_WEIGHT times as often, so that all kinds of fonts are seen.
        self._every_family = list(self.families.values())
        sizes = np.minimum([len(family) for family in self._every_family], _MAX_WEIGHT)
        self._shares = np.cumsum(sizes) / float(sizes.sum())

    def __call__(self, index: int) -> Rendered:
        """Renders an image.

        Args:
          index: its number in the collection.

        Returns:
          The image.

        Raises:
          WordError, FontError or PhotoError: the renderer was given something that it can't use.
        """
        # The split is part of the seed: an image that differs from one of training in its word only is too easy a test.
        rng = np.random.RandomState([self.seed, words.SPLITS.index(self.texts.split), index])
        text = self.texts.draw(rng, accept=self.can_write)
        face = self._draw_face(text, rng)
        simple, spacing = is_simple(text), 0
        # Most photographs are easy to read, in one way or the other.
        strength = self.strength * rng.uniform(0.1, 1)
        size = FONT_SIZE * (2 if rng.random_sample() < 0.15 * self.strength else 1)  # words that are near are crisp
        if simple and rng.random_sample() < 0.3:
            # Mostly a little. Letters on walls may be further apart than they are high.
            spacing = strength * (2 * rng.random_sample() ** 3 - 0.06) * size
        font = fonts.load(face.path, size, simple)
        styles = [font] * len(text)
        if simple and text.isupper() and rng.random_sample() < 0.15:
            font = fonts.load(face.path, int(size * rng.choice((0.7, 0.8))), simple)
            styles[1:] = [font] * (len(text) - 1)
        elif simple and len(text) > 3 and rng.random_sample() < 0.06:
            # Two fonts in a word, as in names of shops.
            place = rng.randint(1, len(text))
            styles[place:] = [fonts.load(self._draw_face(text, rng).path, size, simple)] * (len(text) - place)
        rounds = [place for place, letter in enumerate(text) if letter in "oO"]
        discs = {}
        if rounds and simple and len(text) > 2 and text.isalpha() and rng.random_sample() < 0.05:
            discs[rng.choice(rounds)] = rng.randint(100, 256)  # an o that is a disc, as in names of shops
        image, points = draw_text(text, styles, spacing=spacing, discs=discs)
        if rng.random_sample() < 0.6 * self.strength:
            image, points = self._add_neighbours(image, points, font, face=face, rng=rng)
        image, points = effects.apply_effects(image, points, rng, strength=strength, effects=self.effects)
        stream = io.BytesIO()
        quality = int(95 - 90 * strength * rng.random_sample() ** 2)
        image.save(stream, "JPEG", quality=max(quality, 20))
        return Rendered(stream.getvalue(), image.width, image.height, text,
                        points.astype(np.float32))

    def _add_neighbours(self, image, points, font, *, face, rng):
        """Adds other words before, after, above or below. A crop shows parts of them."""
        def word():
            return self.texts.draw(rng, accept=face.characters.issuperset)

        sides = rng.random_sample(4) < 0.5
        return surround(image, points, font, neighbours=[word() if side else "" for side in sides], rng=rng)

    def _draw_face(self, text, rng):
        for _ in range(_TRIES):
            family = self._every_family[np.searchsorted(self._shares, rng.random_sample(), side="right")]
            face = family[rng.randint(len(family))]
            if face.characters.issuperset(text):
                return face
        family = self.faces_for(text)[0]
        return family[rng.randint(len(family))]

    def can_write(self, text: str) -> bool:
        """Tells whether a font has all characters of a text.

        Args:
          text: the text.

        Returns:
          Whether there is such a font.
        """
        return any(face.characters.issuperset(text)
                   for faces in self.families.values() for face in faces)

    def faces_for(self, text: str) -> List[List[fonts.Face]]:
        """Finds the fonts that have all characters of a text.

        Args:
          text: the text.

        Returns:
          A list for each family that has such faces.
        """
        families = [[face for face in faces if face.characters.issuperset(text)]
                    for faces in self.families.values()]
        return [family for family in families if family]


def draw_text(text: str, styles: Sequence, *, spacing: float = 0,
              discs: Optional[Dict[int, int]] = None) -> Tuple[Image.Image, np.ndarray]:
    """Draws a straight word.

    Args:
      text: the word.
      styles: a Pillow font for each letter.
      spacing: pixels between letters, in addition to what the fonts have there.
      discs: {place of a letter: ink, 0 to 255} of letters that are filled discs, as an o may be in names of shops.

    Returns:
      The ink (mode L), and points [2 * NUM_POINTS, 2] at its upper and lower edge, as effects.py describes them.
    """
    discs = discs or {}
    steps = [(0, text, styles[0])]
    if spacing or discs or len(set(styles)) > 1:
        ends = np.cumsum([font.getlength(letter) + spacing for letter, font in zip(text, styles)])
        steps = list(zip([0] + ends.tolist(), text, styles))
    boxes = np.array([font.getbbox(text, anchor="ls") for font in set(styles)])
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    size = int(right - min(left, 0) + steps[-1][0]) + 2 * _PAD, int(bottom - top) + 2 * _PAD
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for place, (x, part, font) in enumerate(steps):
        origin = _PAD + x - min(left, 0), _PAD - top
        if place in discs:
            letter = Image.new("L", size)
            ImageDraw.Draw(letter).text(origin, part, fill=255, font=font, anchor="ls")
            box = letter.getbbox()
            image.paste(discs[place], box, _disc(letter.crop(box).size))
        else:
            draw.text(origin, part, fill=255, font=font, anchor="ls")
    left, top, right, bottom = image.getbbox()
    x = np.linspace(left, right, NUM_POINTS)
    points = [np.column_stack([x, np.full(NUM_POINTS, y)]) for y in (top, bottom)]
    return image, np.concatenate(points).astype(float)


def _disc(size):
    """A filled ellipse with a smooth rim (mode L)."""
    disc = Image.new("L", [_FINE * edge for edge in size])
    ImageDraw.Draw(disc).ellipse([0, 0, disc.width - 1, disc.height - 1], fill=255)
    return disc.resize(size, Image.BOX)


def surround(image: Image.Image, points: np.ndarray, font: Any, *, neighbours: Sequence[str],
             rng: np.random.RandomState) -> Tuple[Image.Image, np.ndarray]:
    """Adds other words around a straight word, without touching it.

    Args:
      image: the ink (mode L).
      points: [2 * n, 2], its curves.
      font: the Pillow font of the other words.
      neighbours: the words before, after, above and below; "" for none.
      rng: where the chance comes from.

    Returns:
      The ink, in a larger image, and the points in it.
    """
    line = int(points[-1, 1] - points[0, 1])
    margin = line + 2 * _PAD
    picture = Image.new("L", (image.width + 2 * margin, image.height + 2 * margin))
    picture.paste(image, (margin, margin))
    points = points + margin
    (left, top), (right, bottom) = points[0], points[-1]
    gap = rng.uniform(0.15, 0.5, size=4) * line
    for side, text in enumerate(neighbours):
        if not text:
            continue
        word, box = draw_text(text, [font] * len(text))
        word = word.crop(box[0].astype(int).tolist() + box[-1].astype(int).tolist())
        x, y = ((left - gap[0] - word.width, bottom - word.height), (right + gap[1], bottom - word.height),
                (left + rng.uniform(-1, 0.5) * line, top - gap[2] - word.height),
                (left + rng.uniform(-1, 0.5) * line, bottom + gap[3]))[side]
        picture.paste(word, (int(x), int(y)))
    return picture, points


def is_simple(text: str) -> bool:
    """Tells whether the letters of a text stand one beside the other. In some scripts they join or are stacked.

    Args:
      text: the text.

    Returns:
      Whether they do.
    """
    return all(unicodedata.bidirectional(letter) in ("L", "EN", "WS") and
               not unicodedata.combining(letter) and unicodedata.category(letter) != "Mc"
               for letter in text)


# --- worker processes -----------------------------------------------------------------------------

_renderer = None


def use_in_workers(renderer: Renderer) -> None:
    """Tells the processes that will be forked from this one what `render_chunk` renders with. It is too large to be
    sent with every chunk."""
    global _renderer
    _renderer = renderer


def render_chunk(indices: Iterable[int]) -> List[Rendered]:
    """Renders images by the renderer of `use_in_workers`.

    Args:
      indices: the numbers of the images.

    Returns:
      The images.

    Raises:
      As render_one does.
    """
    return [render_one(_renderer, index) for index in indices]


def render_one(renderer: Renderer, index: int) -> Rendered:
    """Renders an image, and says which one it was if that fails.

    Args:
      renderer: what to render with.
      index: the number of the image.

    Returns:
      The image.

    Raises:
      WordError, FontError or PhotoError: the renderer was given something that it can't use.
      RenderError: the renderer has a mistake.
    """
    try:
        return renderer(index)
    except INPUT_ERRORS:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise RenderError(f"image {index} of --seed {renderer.seed} failed: {type(error).__name__}: {error} "
                          f"({place.filename}, line {place.lineno}); please report it, and try another --seed"
                          ) from error
