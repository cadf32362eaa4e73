"""Structured layouts: infographic, interface mock-up and comic panels."""

from __future__ import annotations

import dataclasses

from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.layouts import area, footer, illustrate, lines_of
from imagerouter.emulators.render.palette import mix, readable_on
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.text import write


def topics(reading: Reading, count: int) -> list[str]:
    """Up to `count` headings in the prompt's words, at least three."""
    found = list(lines_of(reading)) if len(reading.strings) > 1 else [_heading(word) for word in reading.words]
    found = [each for each in found if each.lower() != reading.title.lower()] or [reading.title]
    while len(found) < 3:
        found.append(found[len(found) % max(1, len(found))])
    return found[:count]


def _heading(word: str) -> str:
    return word if not word.isascii() else word.capitalize()


def infographic(canvas: Canvas, reading: Reading) -> None:
    """A title band, numbered sections with a chart each, and a foot line."""
    palette = canvas.palette
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), palette.paper)
    canvas.draw.rectangle(area(canvas, 0, 0, 1, 0.17), palette.second)
    ink = readable_on(palette.second)
    write(
        canvas.draw,
        area(canvas, 0.05, 0.025, 0.95, 0.115 if reading.second else 0.145),
        reading.title,
        ink,
        largest=round(canvas.unit * 0.09),
        middle=True,
        bold=True,
    )
    if reading.second:
        write(
            canvas.draw,
            area(canvas, 0.05, 0.115, 0.95, 0.16),
            reading.second,
            ink,
            largest=round(canvas.unit * 0.04),
            middle=True,
        )
    wide = canvas.width > canvas.height * 1.1
    headings = topics(reading, 6)
    columns = 3 if wide else 2
    rows = -(-len(headings) // columns)
    for index, heading in enumerate(headings):
        row, column = divmod(index, columns)
        across = columns if row < rows - 1 else len(headings) - columns * (rows - 1)
        w, h = 0.92 / across, 0.75 / rows
        _section(canvas, index, heading, 0.04 + column * w, 0.195 + row * h, w - 0.018, h - 0.02)
    write(
        canvas.draw,
        area(canvas, 0.05, 0.95, 0.95, 0.985),
        footer(reading),
        mix(palette.ink, palette.paper, 0.4),
        largest=round(canvas.unit * 0.022),
        align="centre",
        middle=True,
    )


def _section(canvas: Canvas, index: int, heading: str, x: float, y: float, w: float, h: float) -> None:
    palette, rng = canvas.palette, canvas.rng
    box = area(canvas, x, y, x + w, y + h)
    canvas.draw.rounded_rectangle(box, 0.02 * canvas.unit, palette.soft)
    tone = (palette.accent, palette.second, mix(palette.accent, palette.second, 0.5))[index % 3]
    radius = 0.032
    cx, cy = x + 0.05 * canvas.unit / canvas.width, y + 0.05 * canvas.unit / canvas.height
    canvas.ellipse(cx, cy, radius, radius, tone)
    px, py = canvas.px(cx, cy)
    r = round(radius * canvas.unit * 0.75)
    write(
        canvas.draw,
        (px - r, py - r, px + r, py + r),
        str(index + 1),
        readable_on(tone),
        largest=round(r * 1.3),
        align="centre",
        middle=True,
        bold=True,
    )
    left = cx + 0.045 * canvas.unit / canvas.width
    write(
        canvas.draw,
        area(canvas, left, y + 0.012, x + w - 0.012, y + 0.034 + h * 0.22),
        heading,
        palette.ink,
        largest=round(canvas.unit * 0.045),
        middle=True,
        bold=True,
    )
    top = y + 0.05 + h * 0.22
    chart = (x + 0.03, top, x + w - 0.03, y + h - 0.025)
    kind = (index + rng.randrange(3)) % 3
    values = [rng.uniform(0.25, 1) for _ in range(5)]
    left_x, top_y, right_x, low_y = chart
    if kind == 0:
        step = (right_x - left_x) / len(values)
        for at, value in enumerate(values):
            canvas.draw.rectangle(
                area(canvas, left_x + at * step, low_y - value * (low_y - top_y), left_x + (at + 0.68) * step, low_y),
                mix(tone, palette.soft, 0.12 * at),
            )
    elif kind == 1:
        points = [
            canvas.px(left_x + at * (right_x - left_x) / 4, low_y - value * (low_y - top_y))
            for at, value in enumerate(values)
        ]
        canvas.draw.line(points, tone, max(3, round(canvas.unit * 0.006)), joint="curve")
        for spot in points:
            s = max(3, round(canvas.unit * 0.009))
            canvas.draw.ellipse(
                (spot[0] - s, spot[1] - s, spot[0] + s, spot[1] + s), palette.paper, tone, max(2, s // 3)
            )
        canvas.draw.line((canvas.px(left_x, low_y), canvas.px(right_x, low_y)), mix(palette.ink, palette.soft, 0.6), 2)
    else:
        gx, gy = (left_x + right_x) / 2, (top_y + low_y) / 2
        r = round(min((right_x - left_x) * canvas.width, (low_y - top_y) * canvas.height) / 2)
        mx, my = canvas.px(gx, gy)
        share = round(360 * values[0])
        canvas.draw.ellipse((mx - r, my - r, mx + r, my + r), mix(tone, palette.soft, 0.7))
        canvas.draw.pieslice((mx - r, my - r, mx + r, my + r), -90, share - 90, tone)
        hole = round(r * 0.58)
        canvas.draw.ellipse((mx - hole, my - hole, mx + hole, my + hole), palette.soft)


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


def panels(canvas: Canvas, reading: Reading) -> None:
    """Four comic panels; quoted strings go into the speech bubbles."""
    canvas.draw.rectangle((0, 0, canvas.width, canvas.height), (252, 251, 246))
    said = list(reading.strings) or ([reading.title] if reading.title else [])
    for index in range(4):
        row, column = divmod(index, 2) if canvas.height <= canvas.width * 1.7 else (index, 0)
        w, h = (0.47, 0.465) if canvas.height <= canvas.width * 1.7 else (0.955, 0.23)
        x, y = 0.022 + column * (w + 0.016), 0.022 + row * (h + 0.016)
        box = area(canvas, x, y, x + w, y + h)
        illustrate(canvas, dataclasses.replace(reading, layout="scene"), box)
        canvas.draw.rectangle(box, outline=(18, 18, 22), width=max(3, canvas.unit // 200))
        if index < len(said):
            bubble = area(canvas, x + 0.03 * w, y + 0.04 * h, x + 0.75 * w, y + 0.32 * h)
            canvas.draw.rounded_rectangle(
                bubble, 0.03 * canvas.unit, (255, 255, 255), (18, 18, 22), max(2, canvas.unit // 300)
            )
            inset = round(0.014 * canvas.unit)
            write(
                canvas.draw,
                (bubble[0] + inset, bubble[1] + inset, bubble[2] - inset, bubble[3] - inset),
                said[index],
                (18, 18, 22),
                largest=round(canvas.unit * 0.04),
                align="centre",
                middle=True,
            )
