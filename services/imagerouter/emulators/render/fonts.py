"""The packaged fonts: sizes on demand, and which characters each can draw."""

from __future__ import annotations

import struct
import threading
import unicodedata
from collections import OrderedDict
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Literal

from PIL import ImageFont

Face = Literal["sans", "serif", "european"]

_FILES: dict[Face, str] = {
    "sans": "NotoSansCJKsc-Regular-subset.otf",
    "serif": "NotoSerifCJKsc-Regular-subset.otf",
    # The CJK fonts stop at Latin-1: this one has the rest of Latin, Greek and Cyrillic.
    "european": "NotoSans-Regular-subset.ttf",
}
# A FreeType face must not be used by two threads at once, so each renderer thread has its own.
_local = threading.local()
# Sizes kept open by a thread: a CJK face takes 2 MB, and opening one a millisecond.
_KEPT = 24


@cache
def font_bytes(face: Face) -> bytes:
    """The font file of `face`."""
    return (resources.files("imagerouter.emulators") / "fonts" / _FILES[face]).read_bytes()


def font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """`face` at `size` pixels per em."""
    sizes: OrderedDict[tuple[Face, int], ImageFont.FreeTypeFont] | None = getattr(_local, "sizes", None)
    if sizes is None:
        sizes = _local.sizes = OrderedDict()
    key = (face, size)
    found = sizes.get(key)
    if found is None:
        # Basic layout: no ligatures or right-to-left, and the same pixels whether or not raqm is installed.
        found = ImageFont.truetype(BytesIO(font_bytes(face)), size, layout_engine=ImageFont.Layout.BASIC)
        sizes[key] = found
    sizes.move_to_end(key)
    while len(sizes) > _KEPT:
        sizes.popitem(last=False)
    return found


def drawable(text: str) -> str:
    """`text` without what no one face can draw of it (emoji, rare hanzi), so that no .notdef box is ever drawn."""
    known = code_points(face_for(text, "sans"))
    kept: list[str] = []
    for char in text:
        if ord(char) in known:
            kept.append(char)
        elif char.isspace():
            kept.append("\n" if char == "\n" else " ")
        else:
            kept.extend(each for each in unicodedata.normalize("NFKD", char) if ord(each) in known)
    return "".join(kept).strip()


def face_for(text: str, wish: Face) -> Face:
    """`wish`, unless it lacks a character of `text`: then the face that lacks the fewest."""
    lacking: dict[Face, int] = {
        face: sum(ord(char) not in code_points(face) and not char.isspace() for char in text)
        for face in (wish, "sans", "european")
    }
    return min(lacking, key=lambda face: lacking[face])


@cache
def code_points(face: Face) -> frozenset[int]:
    """The code points in the font's cmap (OpenType `cmap`, formats 4 and 12)."""
    data = font_bytes(face)
    for at in range(12, 12 + 16 * struct.unpack_from(">H", data, 4)[0], 16):
        if data[at : at + 4] == b"cmap":
            return frozenset(_cmap(data, struct.unpack_from(">I", data, at + 8)[0]))
    return frozenset()


def _cmap(data: bytes, base: int) -> set[int]:
    points: set[int] = set()
    for index in range(struct.unpack_from(">H", data, base + 2)[0]):
        table = base + struct.unpack_from(">I", data, base + 4 + 8 * index + 4)[0]
        kind = struct.unpack_from(">H", data, table)[0]
        if kind == 4:
            half = struct.unpack_from(">H", data, table + 6)[0] // 2
            ends = struct.unpack_from(f">{half}H", data, table + 14)
            starts = struct.unpack_from(f">{half}H", data, table + 16 + 2 * half)
            for start, end in zip(starts, ends, strict=True):
                points.update(range(start, end + 1))
        elif kind == 12:
            for group in range(struct.unpack_from(">I", data, table + 12)[0]):
                start, end, _glyph = struct.unpack_from(">III", data, table + 16 + 12 * group)
                points.update(range(start, end + 1))
    return points - {0xFFFF}
