"""Subjects: people, animals, food and things, each in front of a setting of its own."""

from __future__ import annotations

import math

from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.palette import SKIES, mix
from imagerouter.emulators.render.reading import Reading
from imagerouter.emulators.render.settings import range_of_hills, sky
from imagerouter.emulators.render.text import Colour

_SKINS: tuple[Colour, ...] = ((244, 208, 178), (224, 172, 132), (178, 122, 84), (122, 78, 54))
_HAIRS: tuple[Colour, ...] = ((36, 26, 24), (88, 54, 34), (168, 112, 58), (120, 40, 34), (60, 60, 68))
_FURS: tuple[Colour, ...] = ((222, 142, 70), (96, 82, 74), (196, 182, 164), (62, 58, 60), (176, 116, 72))


def backdrop(canvas: Canvas, light: str) -> None:
    """A soft studio ground with out-of-focus lights."""
    top, middle, low, _far, _near = SKIES[light]
    canvas.gradient((mix(top, canvas.palette.second, 0.35), mix(middle, canvas.palette.soft, 0.5), low))
    for _ in range(14):
        x, y, r = canvas.rng.random(), canvas.rng.random() * 0.9, canvas.rng.uniform(0.03, 0.12)
        canvas.glow(x, y, r, mix((255, 255, 255), canvas.palette.accent, canvas.rng.random() * 0.6), 0.32)


def portrait(canvas: Canvas, light: str, reading: Reading) -> None:
    """One or two people, head and shoulders."""
    backdrop(canvas, light)
    two = any(word in reading.words for word in ("couple", "people", "girls", "friends", "two"))
    for x in (0.33, 0.68) if two else (0.5,):
        _person(canvas, x, 0.44, 0.74 if two else 1.0, astronaut="astronaut" in reading.words)
    canvas.glow(0.3, 0.25, 0.6, (255, 240, 214), 0.28)


def _person(canvas: Canvas, x: float, y: float, size: float, *, astronaut: bool) -> None:
    rng = canvas.rng
    skin, hair, coat = rng.choice(_SKINS), rng.choice(_HAIRS), canvas.palette.accent
    s, up = size, canvas.unit / canvas.height
    if rng.random() < 0.6 and not astronaut:
        canvas.ellipse(x, y + 0.06 * s * up, 0.2 * s, 0.28 * s, hair)
    shoulder = y + 0.42 * s * up
    canvas.ellipse(x, shoulder + 0.2 * s * up, 0.36 * s, 0.26 * s, coat)
    canvas.around(x, shoulder, [(-0.34 * s, 0.2 * s), (0.34 * s, 0.2 * s), (0.44 * s, 1.2), (-0.44 * s, 1.2)], coat)
    canvas.box(x, y + 0.22 * s * up, 0.12 * s, 0.2 * s, mix(skin, (80, 40, 30), 0.24), 0.03)
    canvas.around(
        x, shoulder - 0.04 * s * up, [(-0.1 * s, 0), (0.1 * s, 0), (0, 0.15 * s)], mix(skin, (80, 40, 30), 0.12)
    )
    canvas.ellipse(x, y - 0.03 * s * up, 0.165 * s, 0.2 * s, hair)
    canvas.ellipse(x, y + 0.03 * s * up, 0.142 * s, 0.185 * s, skin)
    canvas.around(
        x,
        y,
        [
            (-0.15 * s, -0.05 * s),
            (-0.06 * s, -0.18 * s),
            (0.13 * s, -0.15 * s),
            (0.15 * s, -0.03 * s),
            (0.02 * s, -0.1 * s),
        ],
        hair,
    )
    across = canvas.unit / canvas.width
    for side in (-1, 1):
        eye = x + side * 0.058 * s * across
        canvas.ellipse(eye, y + 0.02 * s * up, 0.022 * s, 0.012 * s, (250, 248, 244))
        canvas.ellipse(eye, y + 0.02 * s * up, 0.011 * s, 0.012 * s, (48, 36, 32))
        canvas.around(
            eye,
            y - 0.015 * s * up,
            [(-0.03 * s, 0.003 * s), (0, -0.01 * s), (0.03 * s, 0.003 * s), (0, -0.002 * s)],
            hair,
        )
    canvas.around(
        x,
        y + 0.08 * s * up,
        [(-0.012 * s, 0.012 * s), (0, -0.05 * s), (0.016 * s, 0.012 * s)],
        mix(skin, (120, 60, 44), 0.24),
    )
    canvas.ellipse(x, y + 0.125 * s * up, 0.04 * s, 0.011 * s, (184, 84, 80))
    if astronaut:
        canvas.draw.arc(_ring(canvas, x, y, 0.25 * s), 0, 360, (236, 240, 246), max(3, round(0.03 * s * canvas.unit)))


def _ring(canvas: Canvas, x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    cx, cy = canvas.px(x, y)
    r = radius * canvas.unit
    return (cx - r, cy - r, cx + r, cy + r)


def animal(canvas: Canvas, light: str, reading: Reading) -> None:
    """A sitting animal on a meadow: ears and tail by kind."""
    sky(canvas, light, 0.66)
    near = SKIES[light][4]
    range_of_hills(canvas, 0.72, 0.1, mix(near, (110, 150, 90), 0.5), 0.4)
    range_of_hills(canvas, 0.86, 0.06, mix(near, (70, 120, 64), 0.6), 0.3)
    creature(canvas, 0.5, 0.66, reading, mix(near, (0, 0, 0), 0.5))


def creature(canvas: Canvas, x: float, y: float, reading: Reading, shadow: Colour | None) -> None:
    """The animal itself, its chest at (x, y); `shadow` is the colour of the one it casts, if any."""
    fur = (210, 104, 48) if "fox" in reading.words else canvas.rng.choice(_FURS)
    belly, dark = mix(fur, (255, 250, 240), 0.7), mix(fur, (20, 14, 12), 0.6)
    up, across = canvas.unit / canvas.height, canvas.unit / canvas.width
    if shadow is not None:
        canvas.ellipse(x, y + 0.235 * up, 0.26, 0.035, shadow)
    canvas.ellipse(x + 0.2 * across, y + 0.13 * up, 0.13, 0.055, mix(fur, dark, 0.25))
    canvas.ellipse(x, y + 0.05 * up, 0.165, 0.2, fur)
    canvas.ellipse(x, y + 0.08 * up, 0.095, 0.145, belly)
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.085 * across, y + 0.22 * up, 0.055, 0.034, mix(fur, belly, 0.3))
        pointed = "dog" not in reading.words and "bear" not in reading.words and "panda" not in reading.words
        head = y - 0.2 * up
        if pointed:
            canvas.around(x, head, [(side * 0.145, 0.0), (side * 0.15, -0.19), (side * 0.02, -0.1)], fur)
            canvas.around(
                x, head, [(side * 0.125, -0.04), (side * 0.13, -0.145), (side * 0.055, -0.09)], (226, 158, 150)
            )
        else:
            canvas.ellipse(x + side * 0.13 * across, head - 0.06 * up, 0.055, 0.085, mix(fur, dark, 0.4))
    canvas.ellipse(x, y - 0.2 * up, 0.158, 0.138, fur)
    canvas.ellipse(x, y - 0.15 * up, 0.082, 0.064, belly)
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.062 * across, y - 0.225 * up, 0.024, 0.028, (250, 214, 96))
        canvas.ellipse(x + side * 0.062 * across, y - 0.225 * up, 0.011, 0.024, (24, 20, 20))
        canvas.ellipse(x + side * 0.055 * across, y - 0.236 * up, 0.005, 0.005, (255, 255, 255))
        for whisker in (-0.012, 0.006, 0.024):
            start, end = (
                canvas.px(x + side * 0.05 * across, y - 0.15 * up),
                canvas.px(x + side * 0.2 * across, y + (whisker * 2 - 0.16) * up),
            )
            canvas.draw.line((start, end), mix(belly, (255, 255, 255), 0.5), max(1, canvas.unit // 480))
    canvas.around(x, y - 0.165 * up, [(-0.02, -0.012), (0.02, -0.012), (0, 0.014)], dark)


def food(canvas: Canvas, _light: str, _reading: Reading) -> None:
    """A plate from above, on wood."""
    canvas.gradient(((146, 104, 70), (112, 76, 50)))
    for plank in range(6):
        canvas.draw.line((canvas.px(plank / 6, 0), canvas.px(plank / 6, 1)), (92, 62, 40), max(2, canvas.unit // 200))
    rng = canvas.rng
    canvas.ellipse(0.515, 0.53, 0.385, 0.385, (64, 42, 28))
    canvas.ellipse(0.5, 0.5, 0.385, 0.385, (244, 242, 236))
    canvas.ellipse(0.5, 0.5, 0.305, 0.305, (230, 226, 216))
    canvas.ellipse(0.5, 0.5, 0.285, 0.285, mix(canvas.palette.accent, (196, 124, 60), 0.65))
    for _ in range(70):
        angle, far, size = rng.uniform(0, math.tau), 0.25 * math.sqrt(rng.random()), rng.uniform(0.014, 0.042)
        tone = rng.choice(((112, 160, 72), (232, 196, 92), (204, 76, 56), (250, 234, 204), (150, 88, 52)))
        x, y = (
            0.5 + far * math.cos(angle) * canvas.unit / canvas.width,
            0.5 + far * math.sin(angle) * canvas.unit / canvas.height,
        )
        canvas.ellipse(x, y + 0.004, size, size * 0.8, mix(tone, (40, 20, 10), 0.4))
        canvas.ellipse(x, y, size, size * 0.8, tone)
    canvas.box(0.5 + 0.455 * canvas.unit / canvas.width, 0.5, 0.018, 0.6, (206, 206, 212), 0.009)
    canvas.glow(0.3, 0.2, 0.7, (255, 246, 224), 0.3)


def product(canvas: Canvas, _light: str, reading: Reading) -> None:
    """A thing on a plinth in studio light."""
    palette = canvas.palette
    ground = mix(palette.soft, palette.accent, 0.12)
    canvas.gradient((mix(ground, (255, 255, 255), 0.55), mix(ground, (255, 255, 255), 0.1)), 0, 0.72)
    canvas.gradient((mix(ground, (0, 0, 0), 0.06), mix(ground, (0, 0, 0), 0.2)), 0.72, 1)
    canvas.glow(0.5, 0.4, 0.75, (255, 255, 255), 0.6)
    up = canvas.unit / canvas.height
    canvas.ellipse(0.5, 0.8, 0.31, 0.075, mix(ground, (0, 0, 0), 0.4))
    canvas.ellipse(0.5, 0.775, 0.29, 0.065, mix(ground, (255, 255, 255), 0.4))
    accent = palette.accent
    if "mug" in reading.words or "cup" in reading.words or "coffee" in reading.words:
        canvas.draw.arc(
            _ring(canvas, 0.5 + 0.17 * canvas.unit / canvas.width, 0.62, 0.09),
            0,
            360,
            mix(accent, (0, 0, 0), 0.2),
            max(4, round(0.03 * canvas.unit)),
        )
        canvas.box(0.5, 0.775 - 0.17 * up, 0.34, 0.34, accent, 0.04)
        canvas.ellipse(0.5, 0.775 - 0.33 * up, 0.165, 0.03, mix(accent, (30, 16, 10), 0.7))
        shine = 0.5 - 0.11 * canvas.unit / canvas.width
        canvas.box(shine, 0.775 - 0.17 * up, 0.035, 0.26, mix(accent, (255, 255, 255), 0.5), 0.017)
        return
    canvas.box(0.5, 0.775 - 0.22 * up, 0.28, 0.44, accent, 0.06)
    canvas.box(0.5, 0.775 - 0.475 * up, 0.1, 0.09, mix(accent, (0, 0, 0), 0.35), 0.015)
    canvas.box(0.5, 0.775 - 0.54 * up, 0.13, 0.07, palette.second, 0.015)
    canvas.box(0.5, 0.775 - 0.2 * up, 0.28, 0.16, (250, 248, 242))
    canvas.box(0.5, 0.775 - 0.235 * up, 0.16, 0.018, palette.ink if sum(palette.ink) < 384 else palette.paper)
    canvas.box(0.5, 0.775 - 0.19 * up, 0.2, 0.01, mix(accent, (0, 0, 0), 0.2))
    shine = 0.5 - 0.105 * canvas.unit / canvas.width
    canvas.box(shine, 0.775 - 0.22 * up, 0.028, 0.36, mix(accent, (255, 255, 255), 0.55), 0.014)
