"""Ways to change a whole picture: styles, light and weather. All keep what is in it where it is."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from imagerouter.emulators.render.canvas import Floats
from imagerouter.emulators.render.text import Colour


def floats(image: Image.Image) -> Floats:
    """The RGB pixels as floats, 0..255."""
    pixels: Floats = np.asarray(image.convert("RGB"), dtype=np.float32)
    return pixels


def picture(pixels: Floats) -> Image.Image:
    """An RGB image of float pixels, clipped."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def tint(image: Image.Image, colour: Colour, strength: float) -> Image.Image:
    """Give `image` the hue of `colour` and keep its lights and darks."""
    grey = ImageOps.grayscale(image)
    dark, light = tuple(round(c * 0.18) for c in colour), tuple(round(c + (255 - c) * 0.82) for c in colour)
    return Image.blend(image, ImageOps.colorize(grey, dark, light, mid=colour), strength)


def style(name: str, image: Image.Image, rng: random.Random) -> Image.Image:
    """`image` in the style `name` of the lexicon."""
    return _STYLES[name](image, rng)


def _edges(image: Image.Image, strength: float) -> Image.Image:
    soft = ImageOps.grayscale(image).filter(ImageFilter.GaussianBlur(max(1.0, min(image.size) / 700)))
    found = ImageOps.invert(soft.filter(ImageFilter.FIND_EDGES))
    return ImageEnhance.Contrast(found).enhance(strength)


def _sketch(image: Image.Image, _rng: random.Random) -> Image.Image:
    grey = ImageOps.grayscale(image)
    blurred = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(max(3.0, min(image.size) / 90)))
    base, veil = np.asarray(grey, dtype=np.float32), np.asarray(blurred, dtype=np.float32)
    dodged = np.clip(base * 255 / np.maximum(1, 255 - veil), 0, 255).astype(np.uint8)
    lined = ImageChops.multiply(Image.fromarray(dodged), _edges(image, 1.6))
    return ImageOps.colorize(lined, (40, 38, 44), (250, 247, 238)).convert("RGB")


def _flat(image: Image.Image) -> Image.Image:
    """Without fine detail: a median at a third of the size, which is a twentieth of the work."""
    third = image.resize((max(8, image.width // 3), max(8, image.height // 3)), Image.Resampling.BOX)
    return third.filter(ImageFilter.MedianFilter(5)).resize(image.size, Image.Resampling.BICUBIC)


def _watercolour(image: Image.Image, rng: random.Random) -> Image.Image:
    soft = _flat(image).filter(ImageFilter.GaussianBlur(1.5))
    washed = ImageEnhance.Color(ImageOps.posterize(soft, 4)).enhance(1.25)
    paper = Image.blend(washed, Image.new("RGB", image.size, (252, 248, 238)), 0.24)
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 5, (image.height, image.width, 1)).astype(np.float32)
    lined = ImageChops.multiply(paper, Image.merge("RGB", [_edges(image, 0.8)] * 3))
    return picture(floats(lined) + grain)


def _oil(image: Image.Image, _rng: random.Random) -> Image.Image:
    small = image.resize((max(8, image.width // 3), max(8, image.height // 3)), Image.Resampling.BOX)
    daubed = small.filter(ImageFilter.ModeFilter(5)).resize(image.size, Image.Resampling.BICUBIC)
    return ImageEnhance.Color(ImageEnhance.Sharpness(daubed).enhance(2.5)).enhance(1.35)


def _cartoon(image: Image.Image, _rng: random.Random) -> Image.Image:
    flat = ImageOps.posterize(_flat(image), 3)
    lined = ImageChops.multiply(flat, Image.merge("RGB", [_edges(image, 2.2)] * 3))
    return ImageEnhance.Brightness(ImageEnhance.Color(lined).enhance(1.6)).enhance(1.12)


def _pixel(image: Image.Image, _rng: random.Random) -> Image.Image:
    cell = max(4, min(image.size) // 80)
    small = image.resize((max(1, image.width // cell), max(1, image.height // cell)), Image.Resampling.BOX)
    return small.quantize(24).convert("RGB").resize(image.size, Image.Resampling.NEAREST)


def _vintage(image: Image.Image, rng: random.Random) -> Image.Image:
    toned = Image.blend(image, ImageOps.colorize(ImageOps.grayscale(image), (46, 30, 20), (252, 234, 196)), 0.72)
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 9, (image.height, image.width, 1)).astype(np.float32)
    return picture(floats(toned) * 0.94 + 8 + grain)


def _mono(image: Image.Image, _rng: random.Random) -> Image.Image:
    return ImageEnhance.Contrast(ImageOps.grayscale(image)).enhance(1.25).convert("RGB")


def _neon(image: Image.Image, _rng: random.Random) -> Image.Image:
    dark = ImageOps.colorize(ImageOps.grayscale(image), (10, 6, 34), (250, 180, 240), mid=(120, 30, 160))
    lines = ImageOps.colorize(ImageOps.invert(_edges(image, 1.4)), (0, 0, 0), (60, 250, 240)).convert("RGB")
    return ImageChops.screen(dark, lines.filter(ImageFilter.GaussianBlur(1.2)))


_STYLES: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "sketch": _sketch,
    "watercolour": _watercolour,
    "oil": _oil,
    "cartoon": _cartoon,
    "pixel": _pixel,
    "vintage": _vintage,
    "mono": _mono,
    "neon": _neon,
}


def light(image: Image.Image, name: str, rng: random.Random) -> Image.Image:
    """`image` in another light or weather: a name of the lexicon's lights."""
    pixels = floats(image)
    height = pixels.shape[0]
    fall = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    if name == "night":
        dark = pixels * np.array([0.3, 0.38, 0.62], np.float32)
        # What was bright stays lit, as windows and lamps do.
        lamps = np.clip(pixels.mean(axis=2, keepdims=True) - 205, 0, 50) / 50
        return picture(dark + lamps * np.array([110, 90, 40], np.float32))
    if name == "sunset":
        warm = pixels * np.array([1.06, 0.86, 0.68], np.float32)
        return picture(warm + fall * np.array([64, 22, -8], np.float32))
    if name == "dawn":
        return picture(pixels * 0.84 + np.array([42, 28, 38], np.float32) + fall * 14)
    if name == "day":
        return picture((pixels - 128) * 1.08 + 156)
    if name == "storm":
        grey = pixels.mean(axis=2, keepdims=True)
        return _streaks(picture((pixels * 0.35 + grey * 0.65) * 0.74 + 22), rng)
    cold = pixels * 0.8 + np.array([46, 52, 60], np.float32)
    return _flakes(picture(cold), rng)


def _streaks(image: Image.Image, rng: random.Random) -> Image.Image:
    source = np.random.default_rng(rng.getrandbits(32))
    drops = (source.random((image.height // 6 + 1, image.width // 2 + 1)) > 0.985).astype(np.uint8) * 130
    veil = Image.fromarray(drops).resize(image.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", image.size, (206, 214, 222)), image, veil)


def _flakes(image: Image.Image, rng: random.Random) -> Image.Image:
    source = np.random.default_rng(rng.getrandbits(32))
    cell = max(2, min(image.size) // 220)
    spots = (source.random((image.height // cell + 1, image.width // cell + 1)) > 0.985).astype(np.uint8) * 255
    veil = Image.fromarray(spots).resize(image.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", image.size, (252, 253, 255)), image, veil)
