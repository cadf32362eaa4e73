"""What crosses from the sandbox to the service: figures and one word, never pixels or text from the file.

Standard library only: the sandbox imports this before it is confined.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Self


@dataclass(frozen=True)
class Limits:
    """How large an image may be to be decoded at all, and what decoding may take."""

    max_bytes: int
    max_pixels: int
    max_side: int
    max_frames: int
    max_scans: int
    memory_bytes: int
    cpu_s: float

    def to_json(self) -> str:
        """Return the form that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class Problem(StrEnum):
    """Why an image could not be measured to the end."""

    NONE = ""
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_SLOW = "too_slow"
    CRASHED = "crashed"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    SIDE_TOO_LONG = "side_too_long"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MANY_SCANS = "too_many_scans"


OVER_LIMIT = frozenset(
    {
        Problem.TOO_MANY_BYTES,
        Problem.TOO_MANY_PIXELS,
        Problem.SIDE_TOO_LONG,
        Problem.TOO_MANY_FRAMES,
        Problem.TOO_MANY_SCANS,
    }
)
"""Problems of images that were not decoded because they are too large."""

_FORMATS = frozenset({"", "png", "jpeg", "webp"})
_MAX_COUNT = 2**48


@dataclass(frozen=True)
class Measurement:
    """What was found about one image. Figures past the first problem are 0."""

    problem: Problem = Problem.NONE
    format: str = ""
    """"png", "jpeg", "webp", or empty if it is none of them."""

    width: int = 0
    """Pixels as a viewer shows them, that is with the EXIF orientation applied."""

    height: int = 0
    frames: int = 0
    scans: int = 0
    spread: float = 0.0
    """The largest standard deviation of red, green, blue or alpha over the picture shrunk to 256 pixels, 0 to 127.5."""

    colours: int = 0
    """How many colours the shrunk picture has, at five bits a channel."""

    trailing_bytes: int = 0
    """Bytes after the end of the image, which no viewer reads."""

    def to_json(self) -> bytes:
        """Return the form that `from_json` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a reply of the sandbox. ValueError if it is not exactly one: a broken-into sandbox may send anything."""
        try:
            found = cls(**json.loads(data))
            counts = (found.width, found.height, found.frames, found.scans, found.colours, found.trailing_bytes)
            sound = (
                found.format in _FORMATS
                and all(type(count) is int and 0 <= count <= _MAX_COUNT for count in counts)
                and type(found.spread) is float
                and math.isfinite(found.spread)
            )
            problem = Problem(found.problem)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError("not a measurement") from error
        if not sound:
            raise ValueError("not a measurement")
        return cls(**{**asdict(found), "problem": problem})
