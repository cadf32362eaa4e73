"""Settings in the open: hills, sea, forest, desert. Each painter fills the whole canvas."""

from __future__ import annotations

import math

from imagerouter.emulators.render.canvas import Canvas, ridge
from imagerouter.emulators.render.palette import NAMED, SKIES, mix
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.text import Colour


def sky(canvas: Canvas, light: str, horizon: float) -> None:
    """The sky down to `horizon`, with its sun or moon and clouds."""
    top, middle, low, _far, _near = SKIES[light]
    canvas.gradient((top, middle, low), 0, horizon)
    canvas.gradient((low, low), horizon, 1)
    rng = canvas.rng
    x, y = rng.uniform(0.18, 0.82), horizon * rng.uniform(0.32, 0.72)
    if light == "night":
        stars(canvas, horizon, 160)
        canvas.glow(x, y, 0.3, (170, 184, 230), 0.5)
        canvas.ellipse(x, y, 0.045, 0.045, (240, 240, 226))
    elif light != "storm":
        canvas.glow(x, y, 0.7, (255, 236, 190), 0.75)
        canvas.ellipse(x, y, 0.055, 0.055, (255, 246, 218) if light != "sunset" else (255, 226, 150))
    canvas.clouds(mix(low, (255, 255, 255), 0.5), 0.25 if light == "night" else 0.7, 0.02, horizon)


def stars(canvas: Canvas, horizon: float, count: int) -> None:
    """Stars above `horizon`."""
    for _ in range(count):
        x, y, size = canvas.rng.random(), canvas.rng.random() * horizon, canvas.rng.uniform(0.0006, 0.0022)
        canvas.ellipse(x, y, size, size, mix((120, 130, 170), (255, 255, 250), canvas.rng.random()))


def range_of_hills(
    canvas: Canvas, base: float, height: float, fill: Colour, roughness: float, snow: bool = False
) -> None:
    """A line of hills up to `height` above `base`, filled down to the bottom edge."""
    line = ridge(canvas.rng, 128, roughness)
    step = canvas.width / (len(line) - 1)
    points = [(i * step, (base - value * height) * canvas.height) for i, value in enumerate(line)]
    canvas.draw.polygon([(0, canvas.height), *points, (canvas.width, canvas.height)], fill)
    if snow:
        cut = (base - 0.66 * height) * canvas.height
        wave = [(x, max(y, cut + math.sin(i * 0.9) * 0.03 * canvas.height)) for i, (x, y) in enumerate(points)]
        canvas.draw.polygon(
            [*points, *reversed([(x, max(y, w)) for (x, y), (_, w) in zip(points, wave, strict=True)])], (236, 242, 248)
        )


def tree(canvas: Canvas, x: float, y: float, size: float, fill: Colour) -> None:
    """A fir standing on (x, y)."""
    canvas.box(x, y - size * 0.08 * canvas.unit / canvas.height, size * 0.08, size * 0.2, mix(fill, (60, 40, 28), 0.6))
    for tier in range(3):
        top, wide = -size * (1.0 - 0.22 * tier), size * (0.2 + 0.09 * tier)
        canvas.around(x, y, [(0, top), (wide, top + size * 0.4), (-wide, top + size * 0.4)], fill)


def mountains(canvas: Canvas, light: str, reading: Reading) -> None:
    """Ranges behind one another, trees in front."""
    _top, _middle, low, far, near = SKIES[light]
    sky(canvas, light, 0.72)
    for layer in range(4):
        share = layer / 3
        fill = mix(mix(far, low, 0.45), near, share)
        range_of_hills(
            canvas, 0.62 + 0.13 * layer, 0.34 - 0.06 * layer, fill, 0.52, snow=layer == 0 and light != "storm"
        )
    for _ in range(26):
        tree(
            canvas,
            canvas.rng.random(),
            canvas.rng.uniform(0.9, 1.02),
            canvas.rng.uniform(0.07, 0.15),
            mix(near, (14, 30, 26), 0.45),
        )
    if "cabin" in reading.words or "house" in reading.words:
        house(canvas, 0.62, 0.97, 0.2, light)


def house(canvas: Canvas, x: float, y: float, size: float, light: str) -> None:
    """A small house standing on (x, y)."""
    wall, roof = (150, 104, 74), (88, 46, 42)
    canvas.around(x, y, [(-size / 2, -size * 0.55), (size / 2, -size * 0.55), (size / 2, 0), (-size / 2, 0)], wall)
    canvas.around(x, y, [(-size * 0.62, -size * 0.52), (0, -size), (size * 0.62, -size * 0.52)], roof)
    lit = (255, 214, 120) if light in ("night", "sunset", "snow") else (190, 214, 226)
    canvas.around(
        x,
        y,
        [
            (-0.3 * size, -0.42 * size),
            (-0.08 * size, -0.42 * size),
            (-0.08 * size, -0.2 * size),
            (-0.3 * size, -0.2 * size),
        ],
        lit,
    )
    canvas.around(
        x,
        y,
        [(0.1 * size, -0.4 * size), (0.3 * size, -0.4 * size), (0.3 * size, 0), (0.1 * size, 0)],
        mix(wall, (30, 20, 16), 0.6),
    )


def sea(canvas: Canvas, light: str, reading: Reading) -> None:
    """Water to the horizon, with the light on it; a boat or a shore."""
    top, middle, low, far, near = SKIES[light]
    horizon = 0.54
    sky(canvas, light, horizon)
    range_of_hills(canvas, horizon + 0.005, 0.09, mix(far, low, 0.4), 0.5)
    canvas.gradient(
        (mix(low, (40, 110, 150), 0.55), mix(top, (16, 62, 96), 0.6), mix(near, (10, 40, 62), 0.7)), horizon, 1
    )
    rng = canvas.rng
    for _ in range(420):
        y = horizon + (1 - horizon) * rng.random() ** 1.6
        depth = (y - horizon) / (1 - horizon)
        x, half = rng.gauss(0.5, 0.26), 0.01 + 0.05 * depth * rng.random()
        shine = mix(mix(low, (255, 255, 255), 0.3), middle, rng.random())
        a, b = canvas.px(x - half, y), canvas.px(x + half, y)
        canvas.draw.line((a, b), shine, max(1, round(canvas.unit * 0.003 * depth)))
    if "beach" in reading.words or "coast" in reading.words:
        range_of_hills(canvas, 1.0, 0.14, (226, 202, 156), 0.35)
    else:
        boat(canvas, rng.uniform(0.3, 0.7), 0.7, 0.2)


def boat(canvas: Canvas, x: float, y: float, size: float) -> None:
    """A sailing boat with its waterline at (x, y)."""
    canvas.around(
        x,
        y,
        [
            (-size * 0.5, -size * 0.14),
            (size * 0.5, -size * 0.14),
            (size * 0.34, 0.02 * size),
            (-size * 0.36, 0.02 * size),
        ],
        (96, 44, 38),
    )
    canvas.around(
        x, y, [(-0.02 * size, -size * 1.1), (-0.02 * size, -size * 0.2), (-size * 0.42, -size * 0.2)], (246, 240, 228)
    )
    canvas.around(
        x, y, [(0.03 * size, -size), (0.03 * size, -size * 0.2), (size * 0.4, -size * 0.2)], canvas.palette.accent
    )


def forest(canvas: Canvas, light: str, reading: Reading) -> None:
    """Rows of trees in mist; flowers if the prompt has them."""
    _top, _middle, low, _far, near = SKIES[light]
    sky(canvas, light, 0.6)
    rng = canvas.rng
    green = mix(near, (36, 92, 58), 0.7) if light != "snow" else (176, 196, 206)
    for layer in range(5):
        fill = mix(mix(low, green, 0.4), mix(green, (10, 30, 22), 0.4), layer / 4)
        range_of_hills(canvas, 0.58 + 0.1 * layer, 0.06, mix(fill, low, 0.12), 0.4)
        for _ in range(18 - 2 * layer):
            tree(
                canvas, rng.random(), 0.6 + 0.1 * layer, 0.13 + 0.06 * layer, mix(fill, (0, 0, 0), rng.uniform(0, 0.15))
            )
    if any(word.startswith(("flower", "garden", "meadow")) for word in reading.words) or "花" in reading.prompt:
        range_of_hills(canvas, 1.02, 0.2, mix(green, (120, 160, 70), 0.5), 0.3)
        for _ in range(150):
            size = rng.uniform(0.005, 0.012)
            canvas.ellipse(
                rng.random(),
                rng.uniform(0.88, 1),
                size,
                size,
                rng.choice((NAMED["pink"], NAMED["yellow"], NAMED["red"], (255, 255, 255))),
            )


def desert(canvas: Canvas, light: str, reading: Reading) -> None:
    """Dunes."""
    sky(canvas, light, 0.58)
    for layer in range(4):
        sand = mix((236, 196, 138), (150, 92, 58), layer / 3 if light != "night" else 0.8)
        range_of_hills(canvas, 0.6 + 0.13 * layer, 0.12, mix(sand, SKIES[light][1], 0.25), 0.28)
    if "mars" in reading.words:
        canvas.clouds((196, 92, 60), 0.5, 0, 1, 5)
