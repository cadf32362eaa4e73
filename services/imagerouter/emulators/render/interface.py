"""An interface, drawn as if it ran: a phone, or a window with a side bar."""

from __future__ import annotations

from imagerouter.emulators.render.boards import topics
from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.layouts import area
from imagerouter.emulators.render.palette import mix, readable_on
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.text import write


def mockup(canvas: Canvas, reading: Reading) -> None:
    """An interface: a phone for a tall sheet or a mobile app, else a window with a side bar."""
    if canvas.height > canvas.width * 1.2 or any(
        word in reading.words for word in ("mobile", "phone", "ios", "android")
    ):
        _phone(canvas, reading)
    else:
        _window(canvas, reading)


def _phone(canvas: Canvas, reading: Reading) -> None:
    palette = canvas.palette
    canvas.gradient((mix(palette.second, (255, 255, 255), 0.55), mix(palette.accent, (255, 255, 255), 0.45)))
    tall = 0.94
    half = min(0.44, 0.24 * canvas.height * tall / canvas.width)
    left, right = 0.5 - half, 0.5 + half
    canvas.draw.rounded_rectangle(
        area(canvas, left - 0.012, 0.03, right + 0.012, 0.97), 0.06 * canvas.unit, (20, 20, 26)
    )
    canvas.draw.rounded_rectangle(area(canvas, left, 0.042, right, 0.958), 0.05 * canvas.unit, palette.paper)
    canvas.draw.rounded_rectangle(
        area(canvas, 0.5 - half * 0.3, 0.052, 0.5 + half * 0.3, 0.07), 0.02 * canvas.unit, (20, 20, 26)
    )
    pad = half * 0.14
    write(
        canvas.draw,
        area(canvas, left + pad, 0.09, right - pad, 0.155),
        reading.title,
        palette.ink,
        largest=round(canvas.unit * 0.05),
        middle=True,
        bold=True,
    )
    if reading.second:
        write(
            canvas.draw,
            area(canvas, left + pad, 0.155, right - pad, 0.18),
            reading.second,
            palette.accent,
            largest=round(canvas.unit * 0.026),
        )
    hero = area(canvas, left + pad, 0.19, right - pad, 0.38)
    canvas.draw.rounded_rectangle(hero, 0.025 * canvas.unit, palette.accent)
    _chart(canvas, hero, palette.accent)
    items = topics(reading, 5)
    for index, item in enumerate(items):
        top = 0.405 + index * 0.088
        canvas.draw.rounded_rectangle(
            area(canvas, left + pad, top, right - pad, top + 0.076), 0.016 * canvas.unit, palette.soft
        )
        tone = (palette.accent, palette.second)[index % 2]
        canvas.ellipse(left + pad + half * 0.16, top + 0.038, 0.02, 0.02, tone)
        write(
            canvas.draw,
            area(canvas, left + pad + half * 0.32, top + 0.008, right - pad - half * 0.3, top + 0.068),
            item,
            palette.ink,
            largest=round(canvas.unit * 0.03),
            middle=True,
        )
        canvas.draw.rounded_rectangle(
            area(canvas, right - pad - half * 0.26, top + 0.03, right - pad - half * 0.08, top + 0.046),
            4,
            mix(tone, palette.soft, 0.4),
        )
    for index in range(4):
        x = left + (right - left) * (index + 0.5) / 4
        canvas.box(x, 0.91, 0.032, 0.032, palette.accent if index == 0 else mix(palette.ink, palette.paper, 0.7), 0.008)


def _chart(canvas: Canvas, box: tuple[int, int, int, int], ground: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    tone = mix(readable_on(ground), ground, 0.25)
    count, gap = 9, (right - left) / 10.5
    for index in range(count):
        high = canvas.rng.uniform(0.2, 0.75) * (bottom - top)
        x = left + gap * (index + 0.9)
        canvas.draw.rounded_rectangle(
            (x, bottom - high - gap * 0.3, x + gap * 0.55, bottom - gap * 0.3), gap * 0.15, tone
        )


def _window(canvas: Canvas, reading: Reading) -> None:
    palette = canvas.palette
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), palette.soft)
    canvas.draw.rectangle(area(canvas, 0, 0, 0.2, 1), palette.second)
    on_side = readable_on(palette.second)
    write(
        canvas.draw,
        area(canvas, 0.02, 0.03, 0.18, 0.1),
        reading.title,
        on_side,
        largest=round(canvas.unit * 0.04),
        middle=True,
        bold=True,
    )
    items = topics(reading, 6)
    for index, item in enumerate(items):
        y = 0.14 + index * 0.075
        if index == 0:
            canvas.draw.rounded_rectangle(
                area(canvas, 0.012, y, 0.188, y + 0.062), 0.012 * canvas.unit, mix(palette.second, on_side, 0.2)
            )
        canvas.box(0.035, y + 0.031, 0.022, 0.022, mix(on_side, palette.accent, 0.4), 0.006)
        write(
            canvas.draw,
            area(canvas, 0.06, y + 0.008, 0.183, y + 0.056),
            item,
            on_side,
            largest=round(canvas.unit * 0.026),
            middle=True,
        )
    canvas.draw.rectangle(area(canvas, 0.2, 0, 1, 0.1), palette.paper)
    write(
        canvas.draw,
        area(canvas, 0.225, 0.02, 0.7, 0.08),
        reading.title,
        palette.ink,
        largest=round(canvas.unit * 0.045),
        middle=True,
        bold=True,
    )
    canvas.draw.rounded_rectangle(area(canvas, 0.85, 0.025, 0.97, 0.075), 0.012 * canvas.unit, palette.accent)
    for index, item in enumerate(items[:3]):
        x = 0.225 + index * 0.255
        canvas.draw.rounded_rectangle(area(canvas, x, 0.13, x + 0.235, 0.3), 0.016 * canvas.unit, palette.paper)
        write(
            canvas.draw,
            area(canvas, x + 0.015, 0.145, x + 0.22, 0.185),
            item,
            mix(palette.ink, palette.paper, 0.3),
            largest=round(canvas.unit * 0.028),
        )
        figure = f"{canvas.rng.randrange(10, 99)}.{canvas.rng.randrange(10)}%"
        write(
            canvas.draw,
            area(canvas, x + 0.015, 0.195, x + 0.22, 0.285),
            figure,
            palette.ink,
            largest=round(canvas.unit * 0.07),
            bold=True,
        )
    panel = area(canvas, 0.225, 0.33, 0.735, 0.96)
    canvas.draw.rounded_rectangle(panel, 0.016 * canvas.unit, palette.paper)
    _chart(canvas, panel, palette.paper if sum(palette.accent) > 600 else mix(palette.paper, palette.accent, 0.35))
    canvas.draw.rounded_rectangle(area(canvas, 0.755, 0.33, 0.97, 0.96), 0.016 * canvas.unit, palette.paper)
    for index, item in enumerate(items):
        y = 0.36 + index * 0.095
        canvas.ellipse(0.785, y + 0.03, 0.022, 0.022, (palette.accent, palette.second)[index % 2])
        write(
            canvas.draw,
            area(canvas, 0.815, y, 0.96, y + 0.06),
            item,
            palette.ink,
            largest=round(canvas.unit * 0.026),
            middle=True,
        )
