"""Structured layouts: infographic and comic panels."""

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
