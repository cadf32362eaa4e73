"""Set text in a box: wrap Latin at spaces and CJK between characters, and find the largest size that fits."""

from __future__ import annotations

import bisect
import math
import re
from dataclasses import dataclass
from typing import Literal

from PIL import ImageDraw, ImageFont

from imagerouter.emulators.render.fonts import Face, drawable, face_for, font
from imagerouter.emulators.render.words import lexicon

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]
Align = Literal["left", "centre", "right"]

_TOKEN = re.compile(
    r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]|[^\s\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]+|\s+"
)
_LEADING = 1.24
# More characters than this no box of ours holds; fitting them would take time for nothing.
_LONGEST = 400


@dataclass(frozen=True)
class Setting:
    """Text broken into lines at a size: `height` is all lines together, in pixels."""

    lines: tuple[str, ...]
    font: ImageFont.FreeTypeFont
    leading: int

    @property
    def height(self) -> int:
        """Pixels from the first line's top to the last one's bottom."""
        return self.leading * len(self.lines)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break `text` into lines no wider than `width`; a word that alone is too wide is broken inside."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for token in _TOKEN.findall(paragraph):
            if token.isspace():
                line = f"{line} " if line else ""
            elif face.getlength(line + token) <= width or (token[0] in lexicon()["kinsoku"]["not_first"] and line):
                line += token
            else:
                line = _turn(lines, line, token, face, width)
        if line.strip():
            lines.append(line.strip())
    return lines


def _turn(lines: list[str], line: str, token: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    carried = ""
    while line and line[-1] in lexicon()["kinsoku"]["not_last"]:
        line, carried = line[:-1], line[-1] + carried
    if line.strip():
        lines.append(line.strip())
    token = carried + token
    while len(token) > 1 and face.getlength(token) > width:
        cut = max(
            1, bisect.bisect_right(range(1, len(token) + 1), width, key=lambda n: math.ceil(face.getlength(token[:n])))
        )
        lines.append(token[:cut])
        token = token[cut:]
    return token


def fit(text: str, face: Face, width: int, height: int, largest: int, smallest: int = 9) -> Setting:
    """The largest setting of `text` within `width` x `height`; at the smallest size it is cut to what fits."""
    face = face_for(text, face)
    low, high = smallest, max(smallest, largest)
    best: Setting | None = None
    while low <= high:
        size = (low + high) // 2
        tried = _set(text, face, size, width)
        if tried.height <= height and not _broken(tried, text):
            best, low = tried, size + 1
        else:
            high = size - 1
    if best is None:
        tried = _set(text, face, smallest, width)
        best = Setting(tried.lines[: max(1, height // tried.leading)], tried.font, tried.leading)
    return best


def _set(text: str, face: Face, size: int, width: int) -> Setting:
    chosen = font(face, size)
    return Setting(tuple(wrap(text, chosen, width)), chosen, round(size * _LEADING))


def _broken(setting: Setting, text: str) -> bool:
    # A Latin word broken in two reads as a spelling mistake: rather set it smaller.
    whole = set(text.split())
    return any(
        word not in whole for line in setting.lines for word in line.split() if word.isascii() and text.isascii()
    )


def write(
    draw: ImageDraw.ImageDraw,
    box: Box,
    text: str,
    fill: Colour,
    *,
    face: Face = "sans",
    largest: int = 400,
    smallest: int = 9,
    align: Align = "left",
    middle: bool = False,
    bold: bool = False,
) -> Box:
    """Set `text` in `box` (left, top, right, bottom) at most `largest` px high; returns the box it took."""
    left, top, right, bottom = box
    width, height = max(8, right - left), max(8, bottom - top)
    text = drawable(text[:_LONGEST])
    if not text:
        return (left, top, left, top)
    setting = fit(text, face, width, height, largest, smallest)
    y = top + max(0, (height - setting.height) // 2 if middle else 0)
    # The family ships in one weight: a stroke of the fill colour is the bold.
    stroke = max(1, round(float(setting.font.size) / 34)) if bold else 0
    start, widest = y, 0
    for line in setting.lines:
        length = round(setting.font.getlength(line))
        shift = {"left": 0, "centre": (width - length) // 2, "right": width - length}[align]
        draw.text((left + shift, y), line, font=setting.font, fill=fill, stroke_width=stroke, stroke_fill=fill)
        widest = max(widest, length)
        y += setting.leading
    return (left, start, left + widest, y)
