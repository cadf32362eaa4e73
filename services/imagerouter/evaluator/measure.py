"""Measuring an image: decoded once, by Pillow. Runs in the sandbox, and imports nothing after its own import.

Everything about the bytes is untrusted. Only three decoders can be reached, sizes are judged by the header before a
pixel is decoded, and metadata is not looked at but for the orientation.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Final

from PIL import Image, ImageFile, ImageStat, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin

from imagerouter.evaluator.measurement import Limits, Measurement, Problem
from imagerouter.evaluator.structure import Truncated, count_scans, end_of, signature

_PLUGINS: Final = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin)
"""Imported here so that none is looked for once the sandbox may open no file. MPO is a JPEG of several pictures."""

_ALLOWED: Final = ("PNG", "JPEG", "WEBP")
_ORIENTATION: Final = 0x0112
_TRANSPOSED: Final = frozenset({5, 6, 7, 8})
_SMALL: Final = 256
_BITS: Final = 5
_LEVELS_16: Final = 256
_GREY: Final = (128, 128, 128, 255)

# Our own limit is lower than Pillow's, which only warns, and is held before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


def measure(data: bytes, limits: Limits) -> Measurement:
    """Decode an image and measure it. Whatever the bytes are, the answer is a measurement."""
    form = signature(data)
    if not form:
        return Measurement(Problem.NOT_AN_IMAGE)
    try:
        return _measure(data, form, limits)
    except Truncated:
        return Measurement(Problem.TRUNCATED, form)
    except MemoryError:
        return Measurement(Problem.OUT_OF_MEMORY, form)
    except Exception:  # Pillow raises nearly anything for hostile bytes: SyntaxError, struct.error, KeyError, …
        return Measurement(Problem.CORRUPT, form)


def _measure(data: bytes, form: str, limits: Limits) -> Measurement:
    if len(data) > limits.max_bytes:
        return Measurement(Problem.TOO_MANY_BYTES, form)
    end = end_of(data, form)
    with Image.open(io.BytesIO(data), formats=_ALLOWED) as image:
        width, height = image.size
        frames = getattr(image, "n_frames", 1)
        scans = count_scans(data) if form == "jpeg" else 1
        seen = Measurement(format=form, width=width, height=height, frames=frames, scans=scans)
        over = _over_limit(seen, limits)
        if over:
            return replace(seen, problem=over)
        image.load()
        if image.getexif().get(_ORIENTATION) in _TRANSPOSED:
            seen = replace(seen, width=height, height=width)
        spread, colours = _texture(image)
        return replace(seen, spread=spread, colours=colours, trailing_bytes=max(0, len(data) - end))


def _over_limit(seen: Measurement, limits: Limits) -> Problem:
    if max(seen.width, seen.height) > limits.max_side:
        return Problem.SIDE_TOO_LONG
    if seen.width * seen.height > limits.max_pixels:
        return Problem.TOO_MANY_PIXELS
    if seen.frames > limits.max_frames:
        return Problem.TOO_MANY_FRAMES
    if seen.scans > limits.max_scans:
        return Problem.TOO_MANY_SCANS
    return Problem.NONE


def _texture(image: Image.Image) -> tuple[float, int]:
    """Spread and colours (see Measurement) of the picture as it looks on mid grey, shrunk to about 256 pixels.

    Alpha counts as a channel of its own: a grey shape on nothing is a picture, a colour that nothing shows is none.
    """
    if image.mode.startswith("I;16"):
        # Converting clips at 255 instead of scaling.
        image = image.point(lambda level: level * (1 / _LEVELS_16)).convert("L")
    elif image.mode in {"1", "P", "PA"}:
        image = image.convert("RGBA")
    factors = (max(1, image.width // _SMALL), max(1, image.height // _SMALL))
    small = image.reduce(factors).convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", small.size, _GREY), small).convert("RGB")
    spread = max(*ImageStat.Stat(shown).stddev, *ImageStat.Stat(small.getchannel("A")).stddev)
    shift = 8 - _BITS
    coarse = shown.point(lambda level: level >> shift)
    colours = coarse.getcolors(small.width * small.height) or []
    return float(spread), len(colours)
