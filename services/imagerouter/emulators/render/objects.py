"""Things that an edit can add to a picture."""

from __future__ import annotations

import math
from collections.abc import Callable

from imagerouter.emulators.render.canvas import Canvas
from imagerouter.emulators.render.palette import mix
from imagerouter.emulators.render.reading import Reading, read
from imagerouter.emulators.render.settings import boat, house, tree
from imagerouter.emulators.render.subjects import creature
from imagerouter.emulators.render.text import Colour, write


def add(canvas: Canvas, name: str, x: float, y: float, size: float, tone: Colour, label: str) -> None:
    """Draw the object `name` around (x, y); an unknown one becomes a round badge that says `label`."""
    draw = _OBJECTS.get(name)
    if draw is None:
        badge(canvas, x, y, size, tone, label)
    else:
        draw(canvas, x, y, size, tone)


def badge(canvas: Canvas, x: float, y: float, size: float, tone: Colour, label: str) -> None:
    """A round sticker with a word on it."""
    canvas.ellipse(x, y, size * 0.62, size * 0.62, (252, 250, 244))
    canvas.ellipse(x, y, size * 0.56, size * 0.56, tone)
    cx, cy = canvas.px(x, y)
    half = round(size * 0.42 * canvas.unit)
    box = (cx - half, cy - half // 2, cx + half, cy + half // 2)
    write(canvas.draw, box, label, (252, 250, 244), largest=half, align="centre", middle=True, bold=True)


def _balloon(canvas: Canvas, x: float, y: float, size: float, tone: Colour) -> None:
    up, across = canvas.unit / canvas.height, canvas.unit / canvas.width
    canvas.draw.line(
        (canvas.px(x, y + size * 0.5 * up), canvas.px(x + 0.03 * across, y + size * 1.4 * up)),
        (240, 238, 232),
        max(2, canvas.unit // 300),
    )
    canvas.ellipse(x, y, size * 0.42, size * 0.52, tone)
    canvas.around(
        x,
        y + size * 0.5 * up,
        [(0, 0), (size * 0.07, size * 0.09), (-size * 0.07, size * 0.09)],
        mix(tone, (0, 0, 0), 0.2),
    )
    canvas.ellipse(
        x - size * 0.14 * across, y - size * 0.2 * up, size * 0.09, size * 0.14, mix(tone, (255, 255, 255), 0.6)
    )


def _hat(canvas: Canvas, x: float, y: float, size: float, tone: Colour) -> None:
    canvas.ellipse(x, y + size * 0.2 * canvas.unit / canvas.height, size * 0.7, size * 0.14, mix(tone, (0, 0, 0), 0.15))
    canvas.box(x, y - size * 0.1 * canvas.unit / canvas.height, size * 0.78, size * 0.6, tone, size * 0.1)
    canvas.box(x, y + size * 0.1 * canvas.unit / canvas.height, size * 0.78, size * 0.12, mix(tone, (20, 20, 20), 0.7))


def _glasses(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    frame = (24, 24, 28)
    for side in (-1, 1):
        cx = x + side * size * 0.36 * canvas.unit / canvas.width
        canvas.box(cx, y, size * 0.56, size * 0.36, frame, size * 0.14)
        canvas.box(
            cx - size * 0.1 * canvas.unit / canvas.width,
            y - size * 0.06 * canvas.unit / canvas.height,
            size * 0.2,
            size * 0.06,
            (110, 120, 136),
            size * 0.03,
        )
    canvas.box(x, y - size * 0.05 * canvas.unit / canvas.height, size * 0.3, size * 0.06, frame)


def _moon(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    canvas.glow(x, y, size * 1.6, (236, 238, 250), 0.6)
    canvas.ellipse(x, y, size * 0.5, size * 0.5, (244, 242, 226))
    for dx, dy, r in ((-0.16, -0.1, 0.1), (0.18, 0.12, 0.13), (-0.05, 0.24, 0.07)):
        canvas.ellipse(
            x + dx * size * canvas.unit / canvas.width,
            y + dy * size * canvas.unit / canvas.height,
            r * size,
            r * size,
            (222, 218, 200),
        )


def _sun(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    canvas.glow(x, y, size * 2.2, (255, 232, 160), 0.8)
    canvas.ellipse(x, y, size * 0.48, size * 0.48, (255, 214, 92))


def _star(canvas: Canvas, x: float, y: float, size: float, tone: Colour) -> None:
    points = []
    for corner in range(10):
        radius = size * (0.62 if corner % 2 == 0 else 0.26)
        angle = math.pi * corner / 5 - math.pi / 2
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    canvas.around(x, y, points, tone)


def _heart(canvas: Canvas, x: float, y: float, size: float, tone: Colour) -> None:
    curve = (math.tau * step / 60 for step in range(60))
    points = [
        (
            size * 0.036 * 16 * math.sin(t) ** 3,
            -size * 0.036 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
        )
        for t in curve
    ]
    canvas.around(x, y, points, tone)


def _flower(canvas: Canvas, x: float, y: float, size: float, tone: Colour) -> None:
    up, across = canvas.unit / canvas.height, canvas.unit / canvas.width
    canvas.draw.line((canvas.px(x, y), canvas.px(x, y + size * 1.2 * up)), (64, 122, 62), max(3, canvas.unit // 160))
    for petal in range(6):
        angle = math.tau * petal / 6
        canvas.ellipse(
            x + 0.3 * size * math.cos(angle) * across,
            y + 0.3 * size * math.sin(angle) * up,
            size * 0.22,
            size * 0.22,
            tone,
        )
    canvas.ellipse(x, y, size * 0.18, size * 0.18, (250, 206, 84))


def _bird(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    up, across = canvas.unit / canvas.height, canvas.unit / canvas.width
    # A light rim first, so that the birds are seen before any ground.
    for tone, grown in (((250, 250, 250), 1.25), ((36, 38, 46), 1.0)):
        for dx, dy, share in ((0.0, 0.0, 1.0), (0.5, -0.34, 0.7), (-0.6, -0.2, 0.6)):
            wing = size * share * 0.62 * grown
            shape = [
                (-1, -0.55),
                (-0.4, -0.42),
                (0, -0.05),
                (0.4, -0.42),
                (1, -0.55),
                (0.4, -0.1),
                (0, 0.3),
                (-0.4, -0.1),
            ]
            points = [(px * wing, py * wing) for px, py in shape]
            canvas.around(x + dx * size * across, y + dy * size * up, points, tone)


def _lamp(canvas: Canvas, x: float, y: float, size: float, tone: Colour) -> None:
    canvas.glow(x, y, size * 1.6, (255, 226, 150), 0.7)
    canvas.ellipse(x, y, size * 0.46, size * 0.4, tone)
    canvas.box(x, y - size * 0.4 * canvas.unit / canvas.height, size * 0.4, size * 0.1, (60, 40, 30))
    canvas.box(x, y + size * 0.4 * canvas.unit / canvas.height, size * 0.4, size * 0.1, (60, 40, 30))


def _boat(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    boat(canvas, x, y, size * 1.4)


def _house(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    house(canvas, x, y + size * 0.5 * canvas.unit / canvas.height, size * 1.4, "day")


def _tree(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    tree(canvas, x, y + size * 0.8 * canvas.unit / canvas.height, size * 1.8, (44, 104, 62))


def _cat(canvas: Canvas, x: float, y: float, size: float, _tone: Colour) -> None:
    # The creature is drawn for a sheet of its own: a smaller unit makes it an inhabitant of this one.
    unit, canvas.unit = canvas.unit, max(32, round(canvas.unit * size * 2.2))
    known: Reading = read("a cat")
    creature(canvas, x, y, known, None)
    canvas.unit = unit


_OBJECTS: dict[str, Callable[[Canvas, float, float, float, Colour], None]] = {
    "balloon": _balloon,
    "hat": _hat,
    "glasses": _glasses,
    "moon": _moon,
    "sun": _sun,
    "star": _star,
    "heart": _heart,
    "tree": _tree,
    "flower": _flower,
    "bird": _bird,
    "boat": _boat,
    "cat": _cat,
    "house": _house,
    "lamp": _lamp,
}
