"""A sheet to draw on in fractions of its size, with the light and noise every scene shares."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from imagerouter.emulators.render.palette import Palette
from imagerouter.emulators.render.text import Colour

Floats = npt.NDArray[np.float32]
Point = tuple[float, float]


class Canvas:
    """An RGB sheet of `width` x `height` pixels; shapes take fractions: x of the width, y of the height."""

    def __init__(self, width: int, height: int, rng: random.Random, palette: Palette) -> None:
        self.width, self.height, self.rng, self.palette = width, height, rng, palette
        self.unit = min(width, height)
        self.image = Image.new("RGB", (width, height), palette.paper)
        self.draw = ImageDraw.Draw(self.image)

    def replace(self, image: Image.Image) -> None:
        """Go on drawing on `image`."""
        self.image = image
        self.draw = ImageDraw.Draw(image)

    def px(self, x: float, y: float) -> tuple[int, int]:
        """The pixel at the fractions `x`, `y`."""
        return round(x * self.width), round(y * self.height)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        """An ellipse around (x, y); the radii are fractions of the shorter side."""
        cx, cy = self.px(x, y)
        self.draw.ellipse((cx - rx * self.unit, cy - ry * self.unit, cx + rx * self.unit, cy + ry * self.unit), fill)

    def box(self, x: float, y: float, w: float, h: float, fill: Colour, radius: float = 0.0) -> None:
        """A rectangle of w x h (fractions of the shorter side) centred on (x, y)."""
        cx, cy = self.px(x, y)
        half_w, half_h = w * self.unit / 2, h * self.unit / 2
        around = (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
        self.draw.rounded_rectangle(around, min(radius * self.unit, half_w, half_h), fill)

    def around(self, x: float, y: float, points: Sequence[Point], fill: Colour) -> None:
        """A polygon of offsets from (x, y), in fractions of the shorter side."""
        cx, cy = self.px(x, y)
        self.draw.polygon([(cx + dx * self.unit, cy + dy * self.unit) for dx, dy in points], fill)

    def gradient(self, stops: Sequence[Colour], top: float = 0.0, bottom: float = 1.0) -> None:
        """Fill the rows `top`..`bottom` with a vertical gradient through `stops`."""
        first, last = round(top * self.height), round(bottom * self.height)
        rows = max(1, last - first)
        places = np.linspace(0, 1, len(stops))
        t = np.linspace(0, 1, rows)
        column = np.stack([np.interp(t, places, [stop[c] for stop in stops]) for c in range(3)], axis=1)
        strip = Image.fromarray(column.round().astype(np.uint8)[:, None, :])
        self.image.paste(strip.resize((self.width, rows), Image.Resampling.NEAREST), (0, first))

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Add light around (x, y), fading to nothing at `radius` (fraction of the shorter side)."""
        side = 96
        axis = np.linspace(-1, 1, side, dtype=np.float32)
        fall = np.clip(1 - np.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2), 0, 1) ** 1.8
        size = max(2, round(2 * radius * self.unit))
        mask = Image.fromarray((fall * 255 * strength).astype(np.uint8)).resize((size, size), Image.Resampling.BILINEAR)
        cx, cy = self.px(x, y)
        self.image.paste(Image.new("RGB", (size, size), colour), (cx - size // 2, cy - size // 2), mask)

    def clouds(self, colour: Colour, strength: float, top: float, bottom: float, stretch: int = 3) -> None:
        """Blend soft noise of `colour` over the rows `top`..`bottom`; `stretch` draws it out sideways."""
        first, rows = round(top * self.height), max(2, round((bottom - top) * self.height))
        field = noise(self.rng, 12 * stretch, 36, octaves=4)
        edge = np.sin(np.linspace(0, math.pi, field.shape[0], dtype=np.float32))[:, None]
        mask = np.clip((field - 0.48) * 2.6, 0, 1) * edge * 255 * strength
        layer = Image.fromarray(mask.astype(np.uint8)).resize((self.width, rows), Image.Resampling.BICUBIC)
        self.image.paste(Image.new("RGB", (self.width, rows), colour), (0, first), layer)


def noise(rng: random.Random, height: int, width: int, octaves: int = 4) -> Floats:
    """Smooth noise in 0..1, `height` x `width`, summed from coarse to fine."""
    source = np.random.default_rng(rng.getrandbits(32))
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        cells = 3 * 2**octave
        grain = Image.fromarray(source.random((cells, cells), dtype=np.float32))
        total += np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    low, high = float(total.min()), float(total.max())
    scaled: Floats = (total - low) / max(1e-6, high - low)
    return scaled


def ridge(rng: random.Random, points: int, roughness: float) -> list[float]:
    """A mountain line: `points` heights in 0..1 by midpoint displacement."""
    size = 1
    while size < points:
        size *= 2
    line = [0.0] * (size + 1)
    line[0], line[-1] = rng.random(), rng.random()
    step, reach = size, 0.6
    while step > 1:
        half = step // 2
        for at in range(half, size, step):
            line[at] = (line[at - half] + line[at + half]) / 2 + rng.uniform(-reach, reach)
        step, reach = half, reach * roughness
    low, high = min(line), max(line)
    return [(value - low) / max(1e-6, high - low) for value in line]


def sheen(image: Image.Image, rng: random.Random) -> Image.Image:
    """A light that falls over the sheet from any side, three levels strong: no two printed sheets are alike."""
    angle = rng.uniform(0, 2 * math.pi)
    across = np.linspace(-1, 1, image.width, dtype=np.float32) * math.cos(angle)
    down = np.linspace(-1, 1, image.height, dtype=np.float32) * math.sin(angle)
    light = 3 * (down[:, None] + across[None, :])[:, :, None]
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + light, 0, 255).round().astype(np.uint8))


def finish(image: Image.Image, rng: random.Random, grain: float = 2.5, vignette: float = 0.16) -> Image.Image:
    """Film grain and darker corners, so that no area is digitally flat."""
    pixels = np.asarray(image, dtype=np.float32)
    height, width = pixels.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32) ** 2
    y = np.linspace(-1, 1, height, dtype=np.float32) ** 2
    shade = 1 - vignette * np.clip(y[:, None] + x[None, :] - 0.5, 0, 1.5) / 1.5
    # One tile of noise, repeated: drawing 8 million normal deviates would cost more than the picture.
    tile = np.random.default_rng(rng.getrandbits(32)).normal(0, grain, (256, 256)).astype(np.float32)
    layer = np.tile(tile, (height // 256 + 1, width // 256 + 1))[:height, :width]
    lit = pixels * shade[:, :, None] + layer[:, :, None]
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
