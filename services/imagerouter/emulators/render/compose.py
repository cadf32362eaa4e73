"""From a request for a picture to pixels: the layout, or the scene; transparent where asked."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw

from imagerouter.emulators.render import boards, interface, layouts, stationery
from imagerouter.emulators.render.canvas import Canvas, sheen
from imagerouter.emulators.render.palette import choose, readable_on
from imagerouter.emulators.render.reading import Reading, read
from imagerouter.emulators.render.scene import paint
from imagerouter.emulators.render.subjects import creature
from imagerouter.emulators.render.text import Box, write

# Pixels of the longer side up to which a layout is drawn at twice its size.
_SMOOTH_UP_TO = 1600

Layout = Callable[[Canvas, Reading], None]

_LAYOUTS: dict[str, Layout] = {
    "poster": layouts.poster,
    "flyer": layouts.flyer,
    "card": stationery.card,
    "slide": stationery.slide,
    "logo": stationery.logo,
    "infographic": boards.infographic,
    "mockup": interface.mockup,
    "panels": boards.panels,
}


def randomness(seed: str, index: int) -> random.Random:
    """The random source of the picture `index` of a request; `seed` is any text that names the request."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8]))  # noqa: S311 - pictures, not secrets


def compose(prompt: str, width: int, height: int, rng: random.Random, *, transparent: bool = False) -> Image.Image:
    """The picture for `prompt`, exactly `width` x `height` pixels; RGBA if `transparent`, else RGB."""
    reading = read(prompt)
    if transparent:
        return _cut_out(reading, width, height, rng)
    if reading.layout not in _LAYOUTS:
        image = paint(reading, width, height, rng)
        for number, words in enumerate(reading.strings[:3]):
            sign(image, words, rng, number)
        return image
    # Drawn at twice the size and halved where that is cheap: shapes have no smooth edges of their own.
    scale = 2 if max(width, height) <= _SMOOTH_UP_TO else 1
    canvas = Canvas(width * scale, height * scale, rng, choose(reading.prompt, rng))
    _LAYOUTS[reading.layout](canvas, reading)
    return sheen(canvas.image.reduce(scale) if scale > 1 else canvas.image, rng)


def sign(image: Image.Image, words: str, rng: random.Random, number: int = 0, area: Box | None = None) -> None:
    """Set `words` on a board in the picture: what a prompt quotes must be readable in it.

    Boards go below one another from the top of `area` (pixels), by default the whole picture.
    """
    x, y, right, bottom = area or (0, 0, *image.size)
    width, height = right - x, bottom - y
    ground = rng.choice(((250, 246, 236), (30, 34, 44), (176, 44, 40), (30, 92, 86)))
    tall = height * (0.13 if area is None else 0.28)
    top = y + (0.06 * height + number * tall * 1.15)
    box = (x + round(width * 0.12), round(top), x + round(width * 0.88), round(top + tall))
    draw = ImageDraw.Draw(image)
    edge = max(2, min(width, height) // 160)
    draw.rounded_rectangle(box, edge * 3, ground, readable_on(ground), edge)
    inset = edge * 4
    inner = (box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset)
    write(
        draw,
        inner,
        words,
        readable_on(ground),
        largest=round(min(tall * 0.7, min(width, height) * (0.085 if area is None else 1))),
        align="centre",
        middle=True,
        bold=True,
    )


def _cut_out(reading: Reading, width: int, height: int, rng: random.Random) -> Image.Image:
    """A mark, and the prompt's words below it, with nothing behind them."""
    palette = choose(reading.prompt, rng)
    scale = 2 if max(width, height) <= _SMOOTH_UP_TO else 1
    canvas = Canvas(width * scale, height * scale, rng, palette)
    # Drawn twice from the same state on black and on white: where the two differ, the picture is transparent.
    state = rng.getstate()
    sheets = []
    for ground in ((0, 0, 0), (255, 255, 255)):
        rng.setstate(state)
        canvas.replace(Image.new("RGB", (canvas.width, canvas.height), ground))
        if reading.scene == "animal":
            creature(canvas, 0.5, 0.5, reading, None)
        else:
            stationery.mark(canvas, 0.5, 0.4, 0.27)
        box = layouts.area(canvas, 0.06, 0.72, 0.94, 0.94)
        ink = palette.accent if reading.layout != "scene" or reading.strings else palette.second
        write(
            canvas.draw,
            box,
            reading.title,
            ink,
            largest=round(canvas.unit * 0.12),
            align="centre",
            middle=True,
            bold=True,
        )
        sheets.append(canvas.image)
    alpha = ImageChops.invert(ImageChops.difference(*sheets).convert("L"))
    image = sheets[0].convert("RGBA")
    image.putalpha(alpha)
    return image.reduce(scale) if scale > 1 else image
