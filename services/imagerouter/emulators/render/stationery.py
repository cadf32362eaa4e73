"""Small printed things: card, slide and logo."""

from __future__ import annotations

import dataclasses

from PIL import Image, ImageFilter

from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.layouts import area, illustrate, lines_of
from imagerouter.emulators.render.palette import mix
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.text import write


def card(canvas: Canvas, reading: Reading) -> None:
    """A card lying on a soft ground, with a shadow."""
    palette = canvas.palette
    canvas.gradient((mix(palette.soft, (255, 255, 255), 0.3), mix(palette.soft, palette.second, 0.25)))
    inner = area(canvas, 0.09, 0.14, 0.91, 0.86)
    shadow = Image.new("L", (canvas.width // 4, canvas.height // 4), 0)
    left, top, right, bottom = (value // 4 + 4 for value in inner)
    shadow.paste(120, (left, top, right, bottom))
    shadow = shadow.filter(ImageFilter.GaussianBlur(canvas.unit / 160)).resize((canvas.width, canvas.height))
    canvas.image.paste(Image.new("RGB", shadow.size, mix(palette.soft, (0, 0, 0), 0.7)), (0, 0), shadow)
    canvas.draw.rounded_rectangle(inner, 0.02 * canvas.unit, palette.paper)
    canvas.draw.rectangle(area(canvas, 0.09, 0.14, 0.115, 0.86), palette.accent)
    used = write(
        canvas.draw,
        area(canvas, 0.16, 0.24, 0.87, 0.5),
        reading.title,
        palette.ink,
        face="serif",
        largest=round(canvas.unit * 0.13),
    )
    below = used[3] / canvas.height
    if reading.second:
        below = (
            write(
                canvas.draw,
                area(canvas, 0.16, below, 0.87, below + 0.1),
                reading.second,
                palette.accent,
                largest=round(canvas.unit * 0.06),
            )[3]
            / canvas.height
        )
    canvas.draw.rectangle(area(canvas, 0.16, below + 0.025, 0.3, below + 0.03), palette.accent)
    write(
        canvas.draw,
        area(canvas, 0.16, below + 0.05, 0.87, 0.81),
        "\n".join(lines_of(reading)),
        mix(palette.ink, palette.paper, 0.2),
        largest=round(canvas.unit * 0.05),
    )


def slide(canvas: Canvas, reading: Reading) -> None:
    """A slide: title, points, a picture at the right."""
    palette = canvas.palette
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    illustrate(canvas, dataclasses.replace(reading, layout="scene"), area(canvas, 0.62, 0, 1, 1))
    canvas.draw.rectangle(area(canvas, 0.05, 0.1, 0.058, 0.28), palette.accent)
    write(
        canvas.draw,
        area(canvas, 0.08, 0.09, 0.58, 0.3),
        reading.title,
        palette.ink,
        largest=round(canvas.unit * 0.11),
        middle=True,
        bold=True,
    )
    if reading.second:
        write(
            canvas.draw,
            area(canvas, 0.08, 0.3, 0.58, 0.37),
            reading.second,
            palette.accent,
            largest=round(canvas.unit * 0.05),
        )
    for index, row in enumerate(lines_of(reading)[:5]):
        y = 0.4 + index * 0.11
        canvas.ellipse(0.065, y + 0.045, 0.011, 0.011, palette.accent)
        write(
            canvas.draw,
            area(canvas, 0.095, y, 0.58, y + 0.1),
            row,
            palette.ink,
            largest=round(canvas.unit * 0.05),
            middle=True,
        )


def logo(canvas: Canvas, reading: Reading) -> None:
    """A mark and, where there is a name, the name below it."""
    palette = canvas.palette
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    mark(canvas, 0.5, 0.4, 0.24)
    _name(canvas, reading)


def _name(canvas: Canvas, reading: Reading) -> None:
    write(
        canvas.draw,
        area(canvas, 0.08, 0.7, 0.92, 0.83),
        reading.title,
        canvas.palette.ink,
        largest=round(canvas.unit * 0.11),
        align="centre",
        middle=True,
        bold=True,
    )
    if reading.second:
        write(
            canvas.draw,
            area(canvas, 0.08, 0.84, 0.92, 0.92),
            reading.second,
            canvas.palette.accent,
            largest=round(canvas.unit * 0.05),
            align="centre",
            middle=True,
        )


def mark(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A mark of two or three interlocking simple shapes."""
    palette, rng = canvas.palette, canvas.rng
    kind = rng.randrange(3)
    if kind == 0:
        canvas.ellipse(x, y, size, size, palette.accent)
        canvas.around(
            x,
            y,
            [
                (-size * 0.9, size * 0.44),
                (-size * 0.2, -size * 0.4),
                (size * 0.2, size * 0.1),
                (size * 0.45, -size * 0.2),
                (size * 0.9, size * 0.44),
            ],
            palette.paper,
        )
        canvas.ellipse(
            x + size * 0.4 * canvas.unit / canvas.width,
            y - size * 0.5 * canvas.unit / canvas.height,
            size * 0.16,
            size * 0.16,
            palette.second,
        )
    elif kind == 1:
        canvas.box(x, y, size * 1.8, size * 1.8, palette.accent, size * 0.4)
        canvas.ellipse(x, y, size * 0.56, size * 0.56, palette.paper)
        canvas.around(x, y, [(0, -size * 0.5), (size * 0.45, size * 0.28), (-size * 0.45, size * 0.28)], palette.second)
    else:
        for turn, tone in enumerate((palette.accent, palette.second, mix(palette.accent, palette.second, 0.5))):
            shift = (turn - 1) * size * 0.5
            canvas.ellipse(
                x + shift * canvas.unit / canvas.width,
                y + (0.2 if turn == 1 else -0.1) * size,
                size * 0.55,
                size * 0.55,
                tone,
            )
