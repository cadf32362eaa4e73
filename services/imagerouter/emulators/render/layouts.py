"""Printed sheets, poster and flyer, set with the prompt's own words, and what every layout draws with."""

from __future__ import annotations

from PIL import Image

from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.palette import mix, readable_on
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.scene import paint
from imagerouter.emulators.render.text import Box, Colour, write
from imagerouter.emulators.render.words import pairs, second_language


def area(canvas: Canvas, left: float, top: float, right: float, bottom: float) -> Box:
    """A box given in fractions of the canvas, in pixels."""
    return (*canvas.px(left, top), *canvas.px(right, bottom))


def illustrate(canvas: Canvas, reading: Reading, box: Box) -> None:
    """Paint the reading's scene into `box`."""
    left, top, right, bottom = box
    canvas.image.paste(
        paint(reading, max(16, right - left), max(16, bottom - top), canvas.rng, smooth=False), (left, top)
    )


def shade(canvas: Canvas, top: float, bottom: float, colour: Colour, strength: float) -> None:
    """Darken the rows `top`..`bottom` towards the lower edge, so that words can be read on a picture."""
    box = area(canvas, 0, top, 1, bottom)
    height = max(1, box[3] - box[1])
    ramp = Image.linear_gradient("L").resize((canvas.width, height)).point(lambda value: round(value * strength))
    canvas.image.paste(Image.new("RGB", (canvas.width, height), colour), box[:2], ramp)


def lines_of(reading: Reading) -> tuple[str, ...]:
    """What is set below the title: the other quoted strings, else the telling words of the prompt."""
    if len(reading.strings) > 1:
        return reading.strings[1:]
    language = second_language(reading.prompt)
    if language and not reading.cjk:
        both = pairs(reading.prompt, language, reading.title)
        whole = pairs(reading.prompt, language, "")
        return (both + tuple(each for each in whole if each not in both))[:4]
    titled = reading.title.lower()
    words = [word for word in reading.words if word.lower() not in titled]
    return tuple(words[:4]) if reading.cjk else tuple(word.capitalize() for word in words[:4])


def footer(reading: Reading) -> str:
    """One line for the foot of a sheet."""
    words = reading.words[:4]
    return (" · ".join(words) if reading.cjk else "  ·  ".join(words).upper()) or reading.title


def poster(canvas: Canvas, reading: Reading) -> None:
    """A poster: a picture over the whole sheet with words on it, or a framed picture above the words."""
    if "clean" in reading.prompt.lower() or "minimal" in reading.prompt.lower() or canvas.rng.random() < 0.5:
        _framed_poster(canvas, reading)
    else:
        _full_poster(canvas, reading)


def _framed_poster(canvas: Canvas, reading: Reading) -> None:
    palette = canvas.palette
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    wide = canvas.width > canvas.height
    margin = 0.07 * canvas.unit
    mx, my = margin / canvas.width, margin / canvas.height
    if wide:
        illustrate(canvas, reading, area(canvas, 0.5, 0, 1, 1))
        left, right, top = mx, 0.5 - mx, my
    else:
        illustrate(canvas, reading, area(canvas, mx, my, 1 - mx, 0.5))
        left, right, top = mx, 1 - mx, 0.5 + my * 0.7
    canvas.draw.rectangle(
        (
            *canvas.px(left, top),
            canvas.px(left, 0)[0] + round(0.12 * canvas.unit),
            canvas.px(0, top)[1] + round(0.014 * canvas.unit),
        ),
        palette.accent,
    )
    room = 1 - my - top
    title = area(canvas, left, top + 0.06 * room, right, top + (0.44 if reading.second else 0.56) * room)
    used = write(canvas.draw, title, reading.title, palette.ink, largest=round(canvas.unit * 0.15), bold=True)
    below = used[3] / canvas.height + 0.01
    if reading.second:
        box = area(canvas, left, below, right, below + 0.2 * room)
        below = (
            write(canvas.draw, box, reading.second, palette.accent, largest=round(canvas.unit * 0.085), bold=True)[3]
            / canvas.height
            + 0.01
        )
    body = " \n".join(lines_of(reading))
    write(
        canvas.draw,
        area(canvas, left, below + 0.012, right, 1 - my - 0.045),
        body,
        mix(palette.ink, palette.paper, 0.2),
        largest=round(canvas.unit * 0.045),
    )
    write(
        canvas.draw,
        area(canvas, left, 1 - my - 0.02, right, 1 - my * 0.45),
        footer(reading),
        mix(palette.ink, palette.paper, 0.45),
        largest=round(canvas.unit * 0.024),
    )


def _full_poster(canvas: Canvas, reading: Reading) -> None:
    illustrate(canvas, reading, (0, 0, canvas.width, canvas.height))
    shade(canvas, 0.35, 1.0, (12, 12, 20), 0.92)
    light: Colour = (250, 248, 242)
    top = 0.56 if canvas.height >= canvas.width else 0.46
    used = write(
        canvas.draw,
        area(canvas, 0.07, top, 0.93, 0.8),
        reading.title,
        light,
        largest=round(canvas.unit * 0.16),
        bold=True,
    )
    below = used[3] / canvas.height
    if reading.second:
        used = write(
            canvas.draw,
            area(canvas, 0.07, below, 0.93, below + 0.08),
            reading.second,
            (255, 214, 140),
            largest=round(canvas.unit * 0.07),
            bold=True,
        )
        below = used[3] / canvas.height
    canvas.draw.rectangle(area(canvas, 0.07, below + 0.008, 0.2, below + 0.014), canvas.palette.accent)
    write(
        canvas.draw,
        area(canvas, 0.07, below + 0.03, 0.93, 0.965),
        "\n".join(lines_of(reading)),
        (226, 224, 220),
        largest=round(canvas.unit * 0.042),
    )


def flyer(canvas: Canvas, reading: Reading) -> None:
    """A flyer or menu: a coloured head with the title, lines below it, a picture at the foot."""
    palette = canvas.palette
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    canvas.draw.rectangle(area(canvas, 0, 0, 1, 0.3), palette.accent)
    on_accent = readable_on(palette.accent)
    write(
        canvas.draw,
        area(canvas, 0.06, 0.05, 0.94, 0.2 if reading.second else 0.26),
        reading.title,
        on_accent,
        largest=round(canvas.unit * 0.15),
        align="centre",
        middle=True,
        bold=True,
    )
    if reading.second:
        write(
            canvas.draw,
            area(canvas, 0.06, 0.2, 0.94, 0.28),
            reading.second,
            on_accent,
            largest=round(canvas.unit * 0.07),
            align="centre",
            middle=True,
        )
    rows = lines_of(reading)[:6]
    step = 0.34 / max(3, len(rows))
    for index, row in enumerate(rows):
        y = 0.34 + index * step
        canvas.ellipse(0.1, y + step / 2, 0.012, 0.012, palette.accent)
        write(
            canvas.draw,
            area(canvas, 0.14, y, 0.94, y + step * 0.92),
            row,
            palette.ink,
            largest=round(canvas.unit * 0.058),
            middle=True,
        )
    illustrate(canvas, reading, area(canvas, 0, 0.7, 1, 0.94))
    canvas.draw.rectangle(area(canvas, 0, 0.94, 1, 1), palette.second)
    write(
        canvas.draw,
        area(canvas, 0.05, 0.945, 0.95, 0.995),
        footer(reading),
        readable_on(palette.second),
        largest=round(canvas.unit * 0.03),
        align="centre",
        middle=True,
    )
