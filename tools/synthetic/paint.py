"""Colours: from a mask of ink to a picture of letters on a background."""
from typing import Any, Tuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Rng = np.random.RandomState
Size = Tuple[int, int]  # width, height in pixels

_LUMINANCE = np.array([0.299, 0.587, 0.114])


def paint(mask: Image.Image, line: float, rng: Rng, *, strength: float, photos: Any = None) -> Image.Image:
    """Paints a word.

    Args:
      mask: the ink (mode L, 255 where there is ink).
      line: the height of the text line in pixels.
      rng: where the chance comes from.
      strength: 0 (plain colours) to 1 (shadows, outlines, clutter and little contrast).
      photos: a photos.Photos for the background, or None.

    Returns:
      A picture (mode RGB).
    """
    letters, ground = colour_pair(rng, 120 - 90 * strength * rng.random_sample())
    picture = background(mask.size, ground, line, rng=rng, strength=strength, photos=photos)
    if rng.random_sample() < 0.35 * strength:
        picture = _cover(picture, shadow_mask(mask, line, rng), ground * rng.uniform(0.1, 0.7))
    kind = rng.random_sample()
    if kind < 0.4 * strength:
        picture = _cover(picture, block_mask(mask, line, rng), letters * rng.uniform(0.1, 0.8))
    elif kind < 0.5 * strength:
        glow = mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.05, 0.2) * line)))
        picture = _cover(picture, glow, letters, rng.uniform(0.3, 1))
    if rng.random_sample() < 0.3 * strength:
        # The outline is on the other side of the background than the letters: lighter, if they are darker. Otherwise it
        # could be between the two, so that letters and background would blur into each other.
        rim = ground + rng.uniform(0, 0.6) * (ground - letters) + rng.uniform(-25, 25, 3)
        picture = _cover(picture, outline_mask(mask, line, rng), rim)
    if rng.random_sample() < 0.1 * strength:
        letters = two_colours(mask.width, letters, ground, rng=rng)
    if rng.random_sample() < strength:
        letters = letters + 60 * strength * ramp(mask.size, rng)[..., None]
    if rng.random_sample() < 0.3 * strength:
        letters = letters + 100 * strength * rng.uniform(-1, 1) * relief(mask, rng)[..., None]
    opacity = 1 - 0.3 * strength * rng.random_sample()
    return to_image(_cover(picture, mask, letters, opacity))


def colour_pair(rng: Rng, contrast: float) -> np.ndarray:
    """Draws the colours of letters and background.

    Args:
      rng: where the chance comes from.
      contrast: how much they differ at least, in brightness or in hue, of 255.

    Returns:
      float [2, 3]: two RGB colours, 0 to 255.
    """
    while True:
        pairs = rng.uniform(0, 255, size=[8, 2, 3])
        # Towards gray: few things are as colourful as a random colour. Letters of signs are more
        # colourful than what is behind them.
        gray = pairs.dot(_LUMINANCE)[..., None]
        pairs = gray + (pairs - gray) * rng.random_sample([8, 2, 1]) ** np.array([[1.2], [2]])
        # Random colours are of medium brightness. Print and paint are often nearly white or nearly black.
        pairs = np.clip(pairs + 0.5 * (gray - 128), 0, 255)
        difference = pairs[:, 0] - pairs[:, 1]
        clear = np.maximum(np.abs(difference.dot(_LUMINANCE)), 0.6 * np.ptp(difference, axis=1)) >= contrast
        if clear.any():
            return pairs[clear.argmax()]


def two_colours(width: int, letters: np.ndarray, ground: np.ndarray, *, rng: Rng) -> np.ndarray:
    """Colours letters so that they have another colour from some place on.

    Args:
      width: of the picture in pixels.
      letters: float [3], the first colour.
      ground: float [3], the colour of the background, from which both stand out.
      rng: where the chance comes from.

    Returns:
      float [1, width, 3].
    """
    other = letters + rng.uniform(-1, 1, 3) * np.abs(letters - ground)
    place = rng.uniform(0.2, 0.8) * width
    return np.where(np.arange(width)[None, :, None] < place, letters, other)


def background(size: Size, colour: np.ndarray, line: float, *, rng: Rng, strength: float,
               photos: Any = None) -> np.ndarray:
    """Makes a background: plain, or with stripes, a gradient, grain, things or a photograph.

    Args:
      size: of the picture.
      colour: float [3], its mean colour, more or less.
      line: the height of the text line in pixels.
      rng: where the chance comes from.
      strength: 0 (plain) to 1.
      photos: a photos.Photos, or None.

    Returns:
      float32 [height, width, 3].
    """
    picture = np.empty([size[1], size[0], 3], np.float32)
    picture[:] = colour
    if rng.random_sample() < 0.25 * strength:
        picture += 80 * strength * rng.uniform(-1, 1) * stripes(size, line, rng)[..., None]
    if photos and rng.random_sample() < 0.5:
        photo = photos.piece(size, rng)
        # Its mean becomes the colour of the background, which is not that of the letters.
        return picture + strength * rng.uniform(0.1, 1) * (photo - photo.mean(axis=(0, 1)))
    if rng.random_sample() < 0.5:
        picture += 80 * strength * ramp(size, rng)[..., None]
    if rng.random_sample() < 0.5:
        amount = 60 * strength * rng.random_sample()
        picture += amount * texture(size, rng)
    if rng.random_sample() < strength:
        image = to_image(picture)
        clutter(image, colour, rng, strength=strength)
        picture = np.asarray(image, np.float32)
    return picture


def ramp(size: Size, rng: Rng) -> np.ndarray:
    """Makes a gradient in a random direction.

    Args:
      size: of the picture.
      rng: where the chance comes from.

    Returns:
      float32 [height, width], from about -0.5 to 0.5.
    """
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-0.5, 0.5, size[0], dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-0.5, 0.5, size[1], dtype=np.float32) * np.float32(np.sin(angle))
    return x[None, :] + y[:, None]


def stripes(size: Size, line: float, rng: Rng) -> np.ndarray:
    """Makes stripes, such as those of boards, shutters and fences.

    Args:
      size: of the picture.
      line: the height of the text line in pixels. Stripes are at most 0.8 of it apart.
      rng: where the chance comes from.

    Returns:
      float32 [height, width], from -1 to 1.
    """
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.15)
    period = line * rng.uniform(0.08, 0.8)
    x = np.arange(size[0], dtype=np.float32) * np.float32(np.cos(angle) / period)
    y = np.arange(size[1], dtype=np.float32) * np.float32(np.sin(angle) / period)
    place = (x[None, :] + y[:, None] + np.float32(rng.random_sample())) % 1
    if rng.random_sample() < 0.5:
        return 2 * place - 1  # boards: each goes from dark to light
    return np.where(place < rng.uniform(0.1, 0.5), np.float32(1), np.float32(-1))


def texture(size: Size, rng: Rng) -> np.ndarray:
    """Makes clouds or grain, in gray or in colours.

    Args:
      size: of the picture.
      rng: where the chance comes from.

    Returns:
      float32 [height, width, 3], from -1 to 1.
    """
    cell = rng.choice([2, 4, 8, 16, 32])
    coarse = [edge // cell + 2 for edge in size]
    grain = rng.randint(0, 256, size=[coarse[1], coarse[0], 3], dtype=np.uint8)
    if rng.random_sample() < 0.6:
        grain[..., 1:] = grain[..., :1]
    smooth = Image.fromarray(grain).resize(size, Image.BILINEAR)
    return np.asarray(smooth, np.float32) / 127.5 - 1


def clutter(image: Image.Image, colour: np.ndarray, rng: Rng, *, strength: float) -> None:
    """Draws edges, stripes and spots, such as those of bricks, frames and leaves.

    Args:
      image: where to draw (mode RGB).
      colour: float [3]. The things have similar colours.
      rng: where the chance comes from.
      strength: 0 to 1: how much the colours differ.
    """
    width, height = image.size
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(1, 5)):
        shade = colour + 80 * strength * rng.uniform(-1, 1) + rng.uniform(-10, 10, 3)
        fill = tuple(np.clip(shade, 0, 255).astype(int).tolist())
        x = np.sort(rng.uniform(-0.3, 1.3, 2) * width).astype(int).tolist()
        y = np.sort(rng.uniform(-0.3, 1.3, 2) * height).astype(int).tolist()
        kind = rng.randint(3)
        if kind == 0:
            draw.line([x[0], y[rng.randint(2)], x[1], y[rng.randint(2)]], fill,
                      int(rng.randint(1, 4)))
        elif kind == 1:
            draw.rectangle([x[0], y[0], x[1], y[1]], fill)
        else:
            draw.ellipse([x[0], y[0], x[1], y[1]], fill)


def shadow_mask(mask: Image.Image, line: float, rng: Rng) -> Image.Image:
    """Makes the shadow of letters: their ink, moved down and to a side, more or less soft.

    Args:
      mask: the ink (mode L).
      line: the height of the text line in pixels.
      rng: where the chance comes from.

    Returns:
      The shadow (mode L, 255 where it is darkest).
    """
    # Most shadows are near. Letters that stand off a wall throw theirs further.
    dx, dy = (0.02 + 0.3 * rng.random_sample(2) ** 2) * line
    dx *= rng.choice([-1, 1])
    shadow = mask.transform(mask.size, Image.AFFINE, (1, 0, -dx, 0, 1, -dy), Image.BILINEAR)
    return shadow.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.06) * line)))


def block_mask(mask: Image.Image, line: float, rng: Rng) -> Image.Image:
    """Makes the sides of block letters: their ink, moved step by step.

    Args:
      mask: the ink (mode L).
      line: the height of the text line in pixels.
      rng: where the chance comes from.

    Returns:
      The letters and their sides (mode L).
    """
    steps = 6
    depth = rng.uniform(0.04, 0.25) * line / steps
    dx, dy = rng.choice([-1, 1]) * depth, rng.uniform(-1, 1) * depth
    block = mask
    for step in range(1, steps + 1):
        moved = mask.transform(mask.size, Image.AFFINE, (1, 0, -step * dx, 0, 1, -step * dy), Image.BILINEAR)
        block = ImageChops.lighter(block, moved)
    return block


def relief(mask: Image.Image, rng: Rng) -> np.ndarray:
    """Makes light on one side of every stroke, and shade on the other.

    Args:
      mask: the ink (mode L).
      rng: where the chance comes from.

    Returns:
      float32 [height, width], from -1 to 1.
    """
    dx, dy = rng.randint(-2, 3, size=2).tolist()
    soft = mask.filter(ImageFilter.GaussianBlur(1))
    edges = [np.asarray(ImageChops.offset(soft, sign * dx, sign * dy), np.float32) for sign in (1, -1)]
    return (edges[0] - edges[1]) / 255


def outline_mask(mask: Image.Image, line: float, rng: Rng) -> Image.Image:
    """Makes the outline of letters: their ink, but thicker.

    Args:
      mask: the ink (mode L).
      line: the height of the text line in pixels.
      rng: where the chance comes from.

    Returns:
      The letters and their outline (mode L).
    """
    return mask.filter(ImageFilter.MaxFilter(5 if line * rng.uniform(0.5, 1) > 25 else 3))


def _cover(picture, mask, colour, opacity=1.0):
    """picture: float32 [H, W, 3], colour: [3] or [H, W, 3] -> the picture with the colour where the mask has ink."""
    alpha = np.asarray(mask, np.float32)[..., None] * np.float32(opacity / 255)
    return picture + (np.asarray(colour, np.float32) - picture) * alpha


def to_image(pixels: np.ndarray) -> Image.Image:
    """Makes a picture of numbers.

    Args:
      pixels: float [height, width, 3]. What is not in 0 to 255 is clipped.

    Returns:
      The picture (mode RGB).
    """
    return Image.fromarray(np.maximum(np.minimum(pixels, 255), 0).astype(np.uint8))
