"""Colours: sets that go together, the light of a scene, and mixing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from imagerouter.emulators.render.text import Colour
from imagerouter.emulators.render.words import holds, lexicon

NAMED: dict[str, Colour] = {
    "red": (208, 48, 52),
    "orange": (238, 126, 44),
    "yellow": (244, 196, 58),
    "green": (58, 146, 92),
    "teal": (32, 152, 160),
    "blue": (44, 98, 200),
    "purple": (124, 72, 184),
    "pink": (230, 104, 150),
    "brown": (130, 88, 58),
    "white": (244, 242, 238),
    "black": (28, 28, 32),
}


@dataclass(frozen=True)
class Palette:
    """`paper` and `ink` contrast enough to read small print; `accent` and `second` carry shapes; `soft` is a panel."""

    paper: Colour
    ink: Colour
    accent: Colour
    second: Colour
    soft: Colour


_PALETTES = (
    Palette((248, 245, 238), (28, 32, 44), (214, 66, 52), (38, 78, 120), (234, 228, 214)),
    Palette((244, 248, 250), (22, 38, 58), (28, 112, 196), (244, 158, 44), (222, 234, 244)),
    Palette((24, 26, 38), (244, 242, 236), (252, 176, 64), (96, 196, 190), (42, 46, 64)),
    Palette((252, 248, 244), (54, 30, 46), (188, 58, 104), (64, 132, 124), (244, 228, 226)),
    Palette((246, 250, 244), (26, 50, 40), (42, 134, 88), (232, 146, 52), (224, 238, 224)),
    Palette((18, 40, 52), (246, 248, 242), (240, 112, 88), (246, 206, 100), (34, 62, 78)),
    Palette((250, 250, 250), (20, 20, 24), (236, 60, 44), (60, 60, 70), (234, 234, 236)),
    Palette((254, 250, 236), (46, 38, 30), (224, 122, 44), (38, 118, 128), (246, 236, 206)),
)

# The sky from top to horizon, then the far and the near ground.
SKIES: dict[str, tuple[Colour, Colour, Colour, Colour, Colour]] = {
    "day": ((62, 132, 206), (132, 190, 232), (224, 238, 244), (120, 152, 170), (52, 98, 70)),
    "sunset": ((60, 52, 110), (222, 108, 92), (252, 204, 132), (138, 82, 104), (48, 34, 58)),
    "dawn": ((150, 164, 214), (240, 186, 196), (254, 232, 206), (158, 142, 176), (82, 96, 108)),
    "night": ((8, 12, 34), (24, 36, 82), (66, 78, 130), (34, 44, 80), (12, 16, 32)),
    "storm": ((74, 84, 96), (126, 136, 144), (182, 188, 190), (104, 114, 120), (48, 56, 58)),
    "snow": ((126, 158, 196), (188, 208, 226), (238, 244, 248), (168, 188, 208), (222, 232, 240)),
}


def choose(prompt: str, rng: random.Random) -> Palette:
    """A palette for a prompt: its own colour words first, else one of ours by chance of `rng`."""
    base = rng.choice(_PALETTES)
    named = [NAMED[name] for name, words in lexicon()["colours"].items() if holds(prompt, words)]
    vivid = [colour for colour in named if 60 < luminance(colour) < 225]
    if holds(prompt, lexicon()["colours"]["black"]) and luminance(base.paper) > 128:
        base = _PALETTES[2]
    accent = vivid[0] if vivid else base.accent
    second = vivid[1] if len(vivid) > 1 else base.second
    return Palette(base.paper, base.ink, accent, second, base.soft)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with `share` (0..1) of `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def luminance(colour: Sequence[int]) -> float:
    """Perceived brightness, 0..255 (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def readable_on(ground: Colour) -> Colour:
    """Near-black or near-white, whichever reads better on `ground`."""
    return (22, 22, 28) if luminance(ground) > 140 else (250, 249, 245)
