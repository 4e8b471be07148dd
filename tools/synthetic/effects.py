"""What happens to a word between the font and the photograph.

Every effect is a function

    effect(image, points, rng, strength) -> image, points

Args:
  image: a Pillow image. It is the ink (mode L, 255 where there is ink) until `paint` makes it a picture (mode RGB).
  points: float [2 * n, 2], (x, y) in pixels of the image: n points along the top of the text line, then n along its
    bottom, both from left to right. Pixel i covers i to i + 1.
  rng: a numpy RandomState.
  strength: 0 (the word stays as it is, as far as the effect can) to 1 (the word is hard to read).

Returns:
  The new image, and the points in it. An effect that moves ink moves the points by the same map.

To add variety, write such a function and put it into EFFECTS.
"""
from typing import Any, Callable, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat
from synthetic import paint as _paint
from synthetic.warp import Moved, Picture, bend, extent, project, thickness

Rng = np.random.RandomState

_WORD = 12  # a text that is longer than 12 times its height is a line, which is bent and turned less
_MAX_WIDTH = 1000  # pixels of a crop; only lines of several words are longer
_MIN_THICKNESS = 10  # pixels of a text line; nobody can read a smaller one


# --- geometry of the ink ---------------------------------------------------------------------


def _straightness(points):
    """1 for words. Lines are cut out along their letters, so they get less: half at twice the length of a word."""
    return min(1.0, _WORD * thickness(points) / max(1.0, extent(points)[1]))


def weigh(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Bolder or lighter letters."""
    if rng.random_sample() >= strength:
        return image, points
    if rng.random_sample() < 0.7:
        return image.filter(ImageFilter.MaxFilter(3)), points
    lighter = image.filter(ImageFilter.MinFilter(3))
    # Thin strokes could vanish, so that E and H would be bars.
    kept = ImageStat.Stat(lighter).sum[0] > 0.5 * ImageStat.Stat(image).sum[0]
    return lighter if kept else image, points


def stretch(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Wider or narrower letters."""
    factor = np.exp(strength * rng.uniform(-0.6, 0.5))
    return project(image, points, np.diag([factor, 1, 1]))


def slant(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Leaning letters."""
    amount = strength * rng.uniform(-0.6, 0.6)
    return project(image, points, np.array([[1, amount, 0], [0, 1, 0], [0, 0, 1]]))


def arc(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A text line on a circle, its centre below or above."""
    centre, width, height = extent(points)
    # Not so far that the inner edge comes near the centre of the circle.
    angle = min(strength * rng.uniform(0.4, 2.4), 0.6 * width / height) * rng.choice([-1, 1]) * _straightness(points)
    if angle == 0:
        return image, points
    radius = width / angle

    def forward(xy):
        around = (xy[..., 0] - centre[0]) / radius
        distance = radius - (xy[..., 1] - centre[1])
        return np.stack([distance * np.sin(around), -distance * np.cos(around)], axis=-1)

    def inverse(xy):
        side = np.sign(radius)
        around = np.arctan2(side * xy[..., 0], -side * xy[..., 1])
        distance = side * np.hypot(xy[..., 0], xy[..., 1])
        return np.stack([centre[0] + radius * around, centre[1] + radius - distance], axis=-1)

    return bend(image, points, forward=forward, inverse=inverse)


def wave(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A text line that goes up and down."""
    centre, width, height = extent(points)
    amplitude = strength * min(0.6 * height, 0.12 * width) * rng.uniform(0.4, 1)
    speed = 2 * np.pi * rng.uniform(0.6, 1.3) / width
    phase = rng.uniform(0, 2 * np.pi)

    def moved(xy, sign):
        offset = sign * amplitude * np.sin(speed * (xy[..., 0] - centre[0]) + phase)
        return np.stack([xy[..., 0], xy[..., 1] + offset], axis=-1)

    return bend(image, points, forward=lambda xy: moved(xy, 1), inverse=lambda xy: moved(xy, -1))


def perspective(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A sign seen from the side, from above or from below."""
    centre, width, height = extent(points)
    # How much nearer the near edge is than the far one.
    sideways, upwards = strength * rng.uniform(-0.8, 0.8), strength * rng.uniform(-0.5, 0.5)
    to_centre = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]])
    view = np.array([[1, 0, 0], [0, 1, 0], [sideways / width, upwards / height, 1]])
    return project(image, points, view.dot(to_centre))


def rotate(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A sign that hangs askew, or a camera that does."""
    # Most are turned a little, some by 45 degrees and more.
    angle = strength * np.radians(np.clip(rng.laplace(0, 20), -70, 70)) * _straightness(points)
    cos, sin = np.cos(angle), np.sin(angle)
    return project(image, points, np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]))


def crop(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """The box around the word with a margin of its own on each side, at a random scale."""
    line = thickness(points)
    low, high = points.min(axis=0), points.max(axis=0)
    # What is cut off is a fourth at most: an I may be as narrow as a stroke.
    before, after = np.maximum(line * strength * rng.uniform(-0.1, 0.5, size=[2, 2]), (low - high) / 8)
    low, high = np.floor(low - before).astype(int), np.ceil(high + after).astype(int)
    zoom = min(rng.uniform(0.45, 1.15), _MAX_WIDTH / (high - low)[0])
    zoom = max(zoom, _MIN_THICKNESS / line)
    size = np.round((high - low) * zoom).astype(int) + 1
    ink = image.crop(low.tolist() + high.tolist())  # blank where the box reaches over the image
    return ink.resize(size.tolist(), Image.BILINEAR), (points - low) * (size / (high - low))


# --- paint ------------------------------------------------------------------------------------


def paint(image: Picture, points: np.ndarray, rng: Rng, strength: float, photos: Any = None) -> Moved:
    """Ink becomes a picture: background, shadow, outline and letters. `photos` is a photos.Photos or None."""
    return _paint.paint(image, thickness(points), rng, strength=strength, photos=photos), points


def hide(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A pole, a cable or a seam in front of the word."""
    line = thickness(points)
    x, y = points[rng.randint(len(points))]
    # More often across the text than along it, which would hide all of it.
    angle = rng.normal(0, 0.4) if rng.random_sample() < 0.8 else rng.uniform(0, np.pi)
    dx, dy = 4 * line * np.sin(angle), 4 * line * np.cos(angle)
    width = max(1, int(strength * rng.uniform(0.02, 0.15) * line))
    colour = tuple(rng.randint(0, 256, 3).tolist())
    picture = image.copy()
    ImageDraw.Draw(picture).line([x - dx, y - dy, x + dx, y + dy], colour, width)
    return Image.blend(image, picture, rng.uniform(0.3, 1)), points


# --- light, lens and sensor ---------------------------------------------------------------------


def uneven_light(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Light from one side, too much or too little of it, and a camera that changes the contrast."""
    field = 1 + 0.8 * strength * _paint.ramp(image.size, rng)
    gain = np.exp(strength * rng.uniform(-0.8, 0.3))
    pixels = np.asarray(image, np.float32) * (gain * field)[..., None]
    return _paint.to_image(pixels + strength * rng.uniform(-30, 30)), points


def glare(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A bright sign at night: there is more light than the sensor can take, and it spills over."""
    pixels = np.asarray(image, np.float32)
    if pixels.mean() > 128:  # light from a bright background would hide dark letters
        return image, points
    bright = _paint.to_image((pixels - 128) * 2)
    spill = bright.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.03, 0.25) * thickness(points))))
    gain, amount = 1 + strength * rng.uniform(-0.2, 0.8), 1.5 * strength * rng.random_sample()
    return _paint.to_image(gain * pixels + amount * np.asarray(spill, np.float32)), points


def blur(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Out of focus."""
    radius = strength * rng.uniform(0, 0.1) * thickness(points)
    return image.filter(ImageFilter.GaussianBlur(float(radius))), points


def shake(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A camera that moved: the mean of the picture and its shifted copies, twice, because once shows double edges."""
    reach = strength * rng.uniform(0.05, 0.25) * thickness(points)
    way, margin = rng.uniform(-reach, reach, size=2), int(reach) + 1
    box = margin, margin, margin + image.width, margin + image.height
    image = Image.fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
    for share in (0.66, 0.33):
        dx, dy = np.round(share * way).astype(int).tolist()
        pictures = [ImageChops.offset(image, i * dx // 2, i * dy // 2) for i in (-1, 0, 1)]
        image = Image.blend(Image.blend(pictures[0], pictures[2], 0.5), pictures[1], 1 / 3.)
    return image.crop(box), points


def haze(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Low contrast: fog, dusk, a dirty lens."""
    level, gain = rng.uniform(20, 235) + rng.uniform(-20, 20, 3), 1 - 0.75 * strength * rng.random_sample()
    return _paint.to_image(level + gain * (np.asarray(image, np.float32) - level)), points


def sharpen(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """The light and dark lines that cameras put around edges."""
    percent = int(300 * strength * rng.random_sample())
    return image.filter(ImageFilter.UnsharpMask(rng.uniform(0.5, 2), percent, 0)), points


def decolour(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A black and white photograph."""
    return image.convert("L").convert("RGB"), points


def shrink(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """A word that is far away."""
    factor = max(1 / (1 + strength * rng.uniform(0, 3)), _MIN_THICKNESS / thickness(points))
    if factor >= 1:
        return image, points
    size = [max(4, int(round(edge * factor))) for edge in image.size]
    kind = (Image.BOX, Image.BILINEAR, Image.NEAREST)[rng.choice(3, p=(0.45, 0.45, 0.1))]
    return image.resize(size, kind), points * (np.array(size, float) / image.size)


def noise(image: Picture, points: np.ndarray, rng: Rng, strength: float) -> Moved:
    """Grain of the sensor."""
    shape = image.size[1], image.size[0], 3 if rng.random_sample() < 0.7 else 1
    # The difference of two uniform numbers has a triangular distribution: close to a normal one, and much cheaper.
    grain = (rng.randint(0, 256, size=shape, dtype=np.uint8).astype(np.float32) -
             rng.randint(0, 256, size=shape, dtype=np.uint8))
    amount = strength * rng.uniform(0, 0.3)
    return _paint.to_image(np.asarray(image, np.float32) + amount * grain), points


# (probability, effect). They are applied in this order.
EFFECTS = (
    (0.25, weigh),
    (0.8, stretch),
    (0.25, slant),
    (0.22, arc),
    (0.1, wave),
    (0.5, perspective),
    (0.6, rotate),
    (1.0, crop),
    (1.0, paint),
    (0.08, hide),
    (0.5, uneven_light),
    (0.2, glare),
    (0.4, blur),
    (0.2, shake),
    (0.6, shrink),
    (0.4, noise),
    (0.15, sharpen),
    (0.15, haze),
    (0.06, decolour),
)


def apply_effects(image: Picture, points: np.ndarray, rng: Rng, *, strength: float,
                  effects: Optional[Sequence[Tuple[float, Callable]]] = None) -> Moved:
    """Applies the effects one after the other, each with its probability.

    Args:
      image: the ink of a straight word.
      points: [2 * n, 2], its curves.
      rng: where the chance comes from.
      strength: 0 to 1, for all effects.
      effects: (probability, effect) in order; by default EFFECTS.

    Returns:
      The picture, and the points in it.
    """
    for probability, effect in EFFECTS if effects is None else effects:
        if rng.random_sample() < probability:
            image, points = effect(image, points, rng, strength)
    return image, points
