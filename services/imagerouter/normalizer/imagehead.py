"""What an image file says about itself in its first bytes: form, dimensions, transparency, animation.

Nothing is decoded and no C code sees the bytes: Pillow would hand a whole WebP to libwebp only to learn its size, and
decoding belongs in the evaluator's sandbox (reliability.md, finding 11). Pure: bytes in, `ImageFacts` out.

Sources: PNG third edition 5 and 11; APNG 1.0; ISO 10918-1 annex B; RFC 9649 (WebP); CIPA DC-008 (Exif) 4.6.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imagerouter.normalizer.exif import orientation

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MOST_PARTS: Final = 4096
"""Chunks or segments before the picture's own: a real file has fewer than a hundred."""
_PNG_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_TAKEN_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive Huffman: what providers and browsers read."""
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_TURNED: Final = frozenset({5, 6, 7, 8})
"""Exif orientations that swap width and height."""


@dataclass(frozen=True)
class ImageFacts:
    """What a file is: `width` and `height` in pixels as a viewer shows it, `size_bytes` of the whole file."""

    media_type: str
    width: int
    height: int
    has_alpha: bool
    size_bytes: int


class NotAnImage(Exception):
    """The bytes are not an image that we take. The message says why, without quoting them."""


class NeedMore(Exception):
    """The header goes on beyond the bytes given: `length` first bytes are needed, as far as one can tell."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length


def read_head(head: bytes, size: int, *, reach: int) -> ImageFacts:
    """Read the header of a file of `size` bytes that begins with `head`. Raises NotAnImage or NeedMore.

    `reach` is how many first bytes may be asked for: a longer header is NotAnImage. Of a WebP that is longer, only the
    orientation is given up, which stands at the very end.
    """
    source = _Source(head, size, reach)
    if head.startswith(_PNG):
        return _png(source)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(source)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(source)
    raise NotAnImage("must be a PNG, JPEG or WebP image")


class _Source:
    """The first bytes of a file, and how many there are in all."""

    def __init__(self, head: bytes, size: int, reach: int) -> None:
        self._head = head
        self.size = size
        self.reach = reach

    def at(self, start: int, length: int) -> bytes:
        """Bytes at an offset; NotAnImage beyond the file's end, NeedMore beyond what was read of it."""
        end = start + length
        if end > self.size:
            raise NotAnImage("ends before its header does")
        if end > self.reach:
            raise NotAnImage("has too long a header")
        if end > len(self._head):
            raise NeedMore(end)
        return self._head[start:end]


def _png(source: _Source) -> ImageFacts:
    length, kind, body, checksum = struct.unpack(">I4s13sI", source.at(8, 25))
    if kind != b"IHDR" or length != len(body) or checksum != zlib.crc32(kind + body):
        raise NotAnImage("has a broken PNG header")
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", body)
    if depth not in _PNG_DEPTHS.get(colour, ()) or methods[:2] != [0, 0] or methods[2] > 1:
        raise NotAnImage("has a broken PNG header")
    has_alpha, turned = colour in (4, 6), False
    for kind, start, length in _chunks(source, 33, ">I4s"):
        if kind == b"acTL":
            raise NotAnImage("is animated")
        has_alpha |= kind == b"tRNS"
        turned |= kind == b"eXIf" and orientation(source.at(start, length)) in _TURNED
        if kind == b"IDAT":
            return _facts("image/png", width, height, has_alpha, source, turned=turned)
    raise NotAnImage("has no pixels")


def _chunks(source: _Source, start: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and length of the parts of a PNG (with checksums) or, with "<4sI", of a RIFF (padded)."""
    riff = layout.startswith("<")
    for _ in range(_MOST_PARTS):
        if riff and start >= source.size:
            return
        first, second = struct.unpack(layout, source.at(start, 8))
        kind, length = (first, second) if riff else (second, first)
        yield kind, start + 8, length
        start += 8 + length + (length & 1 if riff else 4)
    raise NotAnImage("has too many parts before its pixels")


def _jpeg(source: _Source) -> ImageFacts:
    at, turned = 2, False
    for _ in range(_MOST_PARTS):
        marker, code = source.at(at, 2)
        if marker != 0xFF:
            raise NotAnImage("has a broken JPEG header")
        if code == 0xFF:  # a fill byte
            at += 1
            continue
        if code in (0x00, 0x01, 0xD9, 0xDA) or 0xD0 <= code <= 0xD8:
            raise NotAnImage("has a broken JPEG header")
        length = int.from_bytes(source.at(at + 2, 2), "big")
        if code in _FRAMES:
            if code not in _TAKEN_FRAMES:
                raise NotAnImage("is a JPEG of a rare kind (lossless or arithmetic)")
            depth, height, width, components = struct.unpack(">BHHB", source.at(at + 4, 6))
            if depth != 8 or components not in (1, 3, 4) or length != 8 + 3 * components:
                raise NotAnImage("is a JPEG of a rare kind (not 8 bits a channel)")
            return _facts("image/jpeg", width, height, False, source, turned=turned)
        if length < 2:
            raise NotAnImage("has a broken JPEG header")
        if code == 0xE1 and source.at(at + 4, min(6, length - 2)) == b"Exif\0\0":
            turned = orientation(source.at(at + 10, length - 8)) in _TURNED
        at += 2 + length
    raise NotAnImage("has too many parts before its pixels")


def _webp(source: _Source) -> ImageFacts:
    length = int.from_bytes(source.at(4, 4), "little")
    if length + 8 > source.size:
        raise NotAnImage("ends before it says it does")
    kind, _ = struct.unpack("<4sI", source.at(12, 8))
    if kind == b"VP8 ":
        width, height = _lossy_dimensions(source)
        return _facts("image/webp", width, height, False, source)
    if kind == b"VP8L":
        signature, bits = struct.unpack("<BI", source.at(20, 5))
        if signature != 0x2F or bits >> 29:
            raise NotAnImage("has a broken WebP header")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return _facts("image/webp", width, height, bool(bits >> 28 & 1), source)
    if kind != b"VP8X":
        raise NotAnImage("has a broken WebP header")
    flags = source.at(20, 1)[0]
    if flags & 0x02:
        raise NotAnImage("is animated")
    width, height = (int.from_bytes(source.at(at, 3), "little") + 1 for at in (24, 27))
    turned = False
    if flags & 0x08 and length + 8 <= source.reach:
        for part, start, part_length in _chunks(_Source(source.at(0, length + 8), length + 8, length + 8), 12, "<4sI"):
            if part == b"EXIF":
                turned = orientation(source.at(start, part_length)) in _TURNED
    return _facts("image/webp", width, height, bool(flags & 0x10), source, turned=turned)


def _lossy_dimensions(source: _Source) -> tuple[int, int]:
    tag, code, width, height = struct.unpack("<3s3sHH", source.at(20, 10))
    if tag[0] & 1 or code != b"\x9d\x01\x2a":
        raise NotAnImage("has a broken WebP header")
    return width & 0x3FFF, height & 0x3FFF


def _facts(
    media_type: str, width: int, height: int, has_alpha: bool, source: _Source, *, turned: bool = False
) -> ImageFacts:
    if turned:
        width, height = height, width
    if width == 0 or height == 0:
        raise NotAnImage("has no pixels")
    return ImageFacts(media_type, width, height, has_alpha, source.size)
