"""A scene for what a prompt describes: a sky or a setting, ground, a subject, light."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image

from imagerouter.emulators.render import places, settings, subjects
from imagerouter.emulators.render.canvas import Canvas, finish
from imagerouter.emulators.render.palette import SKIES, choose
from imagerouter.emulators.render.reading import Reading

Painter = Callable[[Canvas, str, Reading], None]

# The longest side a scene is painted at; larger pictures are enlarged from it, and their text is set at full size.
_WORK = 1536

_PAINTERS: dict[str, Painter] = {
    "mountain": settings.mountains,
    "sea": settings.sea,
    "city": places.city,
    "forest": settings.forest,
    "desert": settings.desert,
    "space": places.space,
    "interior": places.interior,
    "abstract": places.abstract,
    "portrait": subjects.portrait,
    "animal": subjects.animal,
    "food": subjects.food,
    "product": subjects.product,
}


def paint(reading: Reading, width: int, height: int, rng: random.Random, *, smooth: bool = True) -> Image.Image:
    """The scene at `width` x `height`, RGB. The same reading and `rng` state give the same pixels.

    `smooth` is for a picture that stands alone; one that goes into a layout is reduced with it.
    """
    # Painted half as large again and reduced: the edges of the shapes come out smooth.
    scale = min(1.5 if smooth else 1.0, _WORK / max(width, height))
    canvas = Canvas(max(16, round(width * scale)), max(16, round(height * scale)), rng, choose(reading.prompt, rng))
    light = reading.light or rng.choice(("day", "sunset", "dawn", "day"))
    _PAINTERS[reading.scene](canvas, light if light in SKIES else "day", reading)
    method = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.LANCZOS
    return finish(canvas.image, rng).resize((width, height), method)
