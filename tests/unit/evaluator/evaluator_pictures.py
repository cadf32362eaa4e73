"""Pictures to evaluate, good and bad, made on the spot."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from imagerouter.evaluator.measurement import Limits

MIB = 1024 * 1024
LIMITS = Limits(
    max_bytes=50 * MIB,
    max_pixels=40_000_000,
    max_side=16_384,
    max_frames=1,
    max_scans=100,
    memory_bytes=1024 * MIB,
    cpu_s=5.0,
)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Encode a picture."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def scene(width: int = 96, height: int = 120) -> Image.Image:
    """Draw a picture with something in it."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, width // 2, height // 2), fill=(200, 30, 60))
    return image


def noise(level: int, spread: float, size: tuple[int, int], seed: int = 1) -> Image.Image:
    """Fill a picture with one level and Gaussian noise."""
    source = random.Random(seed)
    values = (min(255, max(0, round(source.gauss(level, spread)))) for _ in range(size[0] * size[1]))
    return Image.frombytes("L", size, bytes(values)).convert("RGB")


def page(text: str, height: int, size: tuple[int, int] = (1024, 1024)) -> Image.Image:
    """Set a word on an empty page."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((400, 500), text, font=ImageFont.load_default(height), fill="black")
    return image


def chunk(kind: bytes, body: bytes) -> bytes:
    """Make a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """Make the signature and header of a PNG."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


@cache
def bomb(side: int) -> bytes:
    """Make a small PNG of one bit a pixel that decodes to `side` times `side` pixels."""
    row = bytes(1 + (side + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png_header(side, side, depth=1, colour=0) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def animated(form: str, count: int = 3) -> bytes:
    """Make an animation."""
    frames = [Image.new("RGB", (32, 32), (number * 40, 0, 0)) for number in range(count)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


NOT_IMAGES = {
    "nothing": b"",
    "text": b"hello",
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "pdf": b"%PDF-1.7\n1 0 obj\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "psd": b"8BPS\x00\x01" + bytes(20),
    "tiff": b"II*\x00\x08\x00\x00\x00" + bytes(30),
    "bmp": b"BM" + bytes(60),
    "heic": b"\x00\x00\x00\x18ftypheic" + bytes(30),
    "zip": b"PK\x03\x04" + bytes(30),
    "json": b'{"error": "billing"}',
}
