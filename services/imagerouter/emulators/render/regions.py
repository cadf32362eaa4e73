"""Where in a picture an edit acts: the subject, a named place, and filling a hole from what is around it."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageFilter

from imagerouter.emulators.render.canvas import Floats
from imagerouter.emulators.render.restyle import floats, picture
from imagerouter.emulators.render.words import holds, lexicon

Place = tuple[float, float]

_PLACES: dict[str, Place] = {
    "top": (0.5, 0.18),
    "bottom": (0.5, 0.82),
    "left": (0.22, 0.5),
    "right": (0.78, 0.5),
}
_SIDE = 96


def place_of(prompt: str) -> Place | None:
    """The place that an instruction names, as fractions; None if it names none."""
    named = [spot for name, spot in _PLACES.items() if holds(prompt, lexicon()["regions"][name])]
    if not named:
        return None
    return (sum(x - 0.5 for x, _ in named) + 0.5, sum(y - 0.5 for _, y in named) + 0.5)


def region_mask(image: Image.Image, place: Place | None, radius: float) -> Image.Image:
    """A soft spot (L, 255 inside) around `place`, by default the middle; wide for places at the top and bottom."""
    x, y = place or (0.5, 0.5)
    wide = 3.0 if place and abs(y - 0.5) > 0.2 and abs(x - 0.5) < 0.1 else 1.0
    across = (np.linspace(0, 1, _SIDE, dtype=np.float32)[None, :] - x) / (radius * wide)
    down = (np.linspace(0, 1, _SIDE, dtype=np.float32)[:, None] - y) / radius
    inside = np.clip(2.4 - 2.4 * np.sqrt(across**2 + down**2), 0, 1)
    return Image.fromarray((inside * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)


def subject_mask(image: Image.Image) -> Image.Image:
    """A soft guess (L) at the subject: what differs from the picture's border, near the middle."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = floats(small)
    border = np.concatenate([pixels[:6].reshape(-1, 3), pixels[:, :6].reshape(-1, 3), pixels[:, -6:].reshape(-1, 3)])
    strip = Image.fromarray(border.astype(np.uint8)[None, :, :]).quantize(8).convert("RGB")
    tones = np.unique(np.asarray(strip).reshape(-1, 3), axis=0).astype(np.float32)
    far = np.sqrt(((pixels[:, :, None, :] - tones[None, None]) ** 2).sum(axis=3)).min(axis=2)
    axis = np.linspace(-1, 1, _SIDE, dtype=np.float32)
    middle = np.exp(-(axis[None, :] ** 2 * 2.2 + axis[:, None] ** 2 * 1.4))
    score = np.clip(far / 48, 0, 1) * 0.75 + middle * 0.6
    inside = np.clip((score - 0.55) * 5, 0, 1)
    rough = Image.fromarray((inside * 255).astype(np.uint8)).filter(ImageFilter.MedianFilter(5))
    return rough.filter(ImageFilter.GaussianBlur(1.6)).resize(image.size, Image.Resampling.BICUBIC)


def opening(mask: Image.Image) -> tuple[Place, float]:
    """The middle of what `mask` (alpha: 0 is open) leaves open, and its shorter side as a share of the picture's."""
    box = mask.point(lambda value: 255 - value).getbbox() or (0, 0, *mask.size)
    middle = ((box[0] + box[2]) / 2 / mask.width, (box[1] + box[3]) / 2 / mask.height)
    return middle, min(box[2] - box[0], box[3] - box[1]) / min(mask.size)


def fill_in(image: Image.Image, hole: Image.Image, rng: random.Random) -> Image.Image:
    """Fill `hole` (L, 255 inside) with what is around it, carried inwards, and grain."""
    side = 160
    small = floats(image.resize((side, side), Image.Resampling.BOX))
    covered = np.asarray(hole.resize((side, side), Image.Resampling.BOX), dtype=np.float32)
    known: Floats = (covered < 25).astype(np.float32)
    total, weight = np.zeros_like(small), np.zeros((side, side, 1), dtype=np.float32)
    # Normalized convolution from fine to coarse: near the edge the near colours count, further in the far ones.
    for radius in (3, 8, 20, 48):
        blur = ImageFilter.GaussianBlur(radius)
        veil = Image.fromarray((known * 255).astype(np.uint8)).filter(blur)
        share = np.asarray(veil, dtype=np.float32)[:, :, None] / np.float32(255)
        colours = floats(picture(small * known[:, :, None]).filter(blur))
        gain = np.square(share) / np.float32(radius)
        np.add(total, colours / np.maximum(share, np.float32(1 / 255)) * gain, out=total)
        np.add(weight, gain, out=weight)
    blended: Floats = np.divide(total, np.maximum(weight, 1e-6), dtype=np.float32)
    filled = picture(blended).resize(image.size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 3, (image.height, image.width, 1))
    filled = picture(floats(filled) + noise.astype(np.float32))
    return Image.composite(filled, image, hole)
