"""Settings that people made or nobody has been to: city, room, space, pure shapes."""

from __future__ import annotations

from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.palette import SKIES, mix
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.settings import sky, stars
from imagerouter.emulators.render.text import Colour


def city(canvas: Canvas, light: str, reading: Reading) -> None:
    """A skyline in three depths with lit windows, and a street with reflections."""
    _top, _middle, low, far, near = SKIES[light]
    sky(canvas, light, 0.8)
    rng = canvas.rng
    dark = light in ("night", "sunset", "storm")
    for layer in range(3):
        fill = mix(mix(far, low, 0.4), mix(near, (26, 28, 44), 0.6), layer / 2)
        x, base = -0.02, 0.8 + 0.04 * layer
        while x < 1.02:
            wide, high = rng.uniform(0.05, 0.13), rng.uniform(0.18, 0.56) * (1 - 0.16 * layer)
            _building(canvas, x, base - high, wide, base, mix(fill, (0, 0, 0), rng.uniform(0, 0.16)), dark)
            x += wide + rng.uniform(-0.01, 0.015)
    ground = mix(near, (24, 24, 34), 0.7)
    canvas.gradient((mix(ground, low, 0.25), ground), 0.87, 1)
    for _ in range(60):
        x, y = rng.random(), rng.uniform(0.88, 0.995)
        tint = rng.choice((canvas.palette.accent, canvas.palette.second, (255, 214, 130)))
        canvas.draw.line(
            (canvas.px(x, y), canvas.px(x, y + 0.012)),
            mix(ground, tint, 0.5 if dark else 0.2),
            max(1, canvas.unit // 300),
        )
    if "tower" in reading.words or "tokyo" in reading.prompt.lower():
        canvas.around(
            0.3,
            0.86,
            [(-0.1, 0), (-0.012, -0.5), (0, -0.62), (0.012, -0.5), (0.1, 0), (0.05, 0), (0, -0.34), (-0.05, 0)],
            (206, 66, 46),
        )


def _building(canvas: Canvas, x: float, top: float, wide: float, base: float, fill: Colour, dark: bool) -> None:
    left, upper = canvas.px(x, top)
    right, lower = canvas.px(x + wide, base + 0.2)
    canvas.draw.rectangle((left, upper, right, lower), fill)
    cell = max(6, round(canvas.unit * 0.017))
    lit, unlit = (
        ((255, 216, 132), mix(fill, (255, 255, 255), 0.07))
        if dark
        else (mix(fill, (255, 255, 255), 0.4), mix(fill, (0, 0, 0), 0.12))
    )
    for row in range(upper + cell, min(lower, canvas.height) - cell, round(cell * 1.6)):
        for column in range(left + cell // 2, right - cell, round(cell * 1.5)):
            canvas.draw.rectangle(
                (column, row, column + cell * 0.6, row + cell * 0.75), lit if canvas.rng.random() < 0.4 else unlit
            )


def space(canvas: Canvas, _light: str, _reading: Reading) -> None:
    """Stars, nebulae and a planet with its night side."""
    canvas.gradient(((6, 6, 20), (20, 14, 44), (8, 10, 28)))
    canvas.clouds(canvas.palette.accent, 0.5, 0, 1, 1)
    canvas.clouds(canvas.palette.second, 0.45, 0, 1, 2)
    stars(canvas, 1, 420)
    x, y, r = canvas.rng.uniform(0.4, 0.66), canvas.rng.uniform(0.42, 0.62), 0.24
    canvas.glow(x, y, 0.5, canvas.palette.second, 0.5)
    for ring in range(24):
        share = ring / 24
        shade = mix(
            mix(canvas.palette.second, (8, 8, 20), 0.75), mix(canvas.palette.second, (255, 255, 255), 0.4), share
        )
        canvas.ellipse(x - 0.1 * share * r, y - 0.12 * share * r, r * (1 - 0.75 * share), r * (1 - 0.75 * share), shade)


def interior(canvas: Canvas, light: str, _reading: Reading) -> None:
    """A room: wall, floor, window, sofa, lamp, picture."""
    wall = mix(canvas.palette.soft, (255, 250, 240), 0.3)
    canvas.gradient((mix(wall, (0, 0, 0), 0.06), wall), 0, 0.7)
    canvas.gradient(((158, 116, 82), (118, 82, 56)), 0.7, 1)
    for plank in range(9):
        canvas.draw.line((canvas.px(plank / 8, 0.7), canvas.px((plank / 8 - 0.5) * 1.7 + 0.5, 1)), (104, 70, 48), 2)
    top, _middle, low, _far, near = SKIES[light]
    canvas.box(0.26, 0.34, 0.34, 0.42, (248, 246, 240))
    canvas.box(0.26, 0.34, 0.31, 0.39, mix(top, low, 0.6))
    canvas.box(0.26, 0.47, 0.31, 0.1, mix(near, low, 0.2))
    canvas.box(0.26, 0.34, 0.012, 0.4, (248, 246, 240))
    canvas.glow(0.26, 0.4, 0.5, (255, 244, 214), 0.4)
    accent = canvas.palette.accent
    canvas.box(0.62, 0.66, 0.56, 0.2, mix(accent, (0, 0, 0), 0.12), 0.05)
    canvas.box(0.62, 0.75, 0.6, 0.16, accent, 0.05)
    for seat in (0.53, 0.71):
        canvas.box(seat, 0.71, 0.25, 0.08, mix(accent, (255, 255, 255), 0.16), 0.03)
    canvas.box(0.68, 0.34, 0.22, 0.28, mix(canvas.palette.ink, (90, 70, 50), 0.5))
    canvas.box(0.68, 0.34, 0.19, 0.25, canvas.palette.second)
    canvas.ellipse(0.68, 0.32, 0.05, 0.05, (250, 236, 190))
    canvas.box(0.92, 0.62, 0.012, 0.34, (60, 56, 52))
    canvas.around(0.92, 0.44, [(-0.05, -0.06), (0.05, -0.06), (0.08, 0.05), (-0.08, 0.05)], (252, 232, 180))
    canvas.glow(0.92, 0.46, 0.3, (255, 232, 170), 0.5)


def abstract(canvas: Canvas, _light: str, _reading: Reading) -> None:
    """Large simple shapes in the palette's colours."""
    palette, rng = canvas.palette, canvas.rng
    canvas.gradient((palette.paper, mix(palette.paper, palette.soft, 0.9)))
    tones = (
        palette.accent,
        palette.second,
        mix(palette.accent, palette.paper, 0.55),
        mix(palette.second, palette.paper, 0.5),
        palette.soft,
    )
    for index in range(11):
        x, y, size, tone = rng.random(), rng.random(), rng.uniform(0.08, 0.3), tones[index % len(tones)]
        shape = rng.randrange(4)
        if shape == 0:
            canvas.ellipse(x, y, size, size, tone)
        elif shape == 1:
            canvas.box(x, y, size * 1.6, size * 0.5, tone, 0.03)
        elif shape == 2:
            canvas.around(x, y, [(0, -size), (size, size * 0.8), (-size, size * 0.8)], tone)
        else:
            canvas.ellipse(x, y, size, size, tone)
            canvas.ellipse(x, y, size * 0.62, size * 0.62, palette.paper)
    canvas.clouds(mix(palette.paper, (255, 255, 255), 0.5), 0.3, 0, 1, 2)
