"""Cleaning a prompt: what a person would see stays, what nobody sees goes."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Line ends, and nothing else of the controls, mean something in a prompt.
_LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Controls; bidirectional embeddings, overrides and isolates, which make a reader see other words than the model does;
# interlinear anchors; byte-order marks; and tags, which spell invisible words except in the flag emoji they are for.
_UNSEEN: Final = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)"
    "|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ufeff\U000e0000-\U000e007f]"
)
_BLANK: Final = frozenset("\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\u00ad\u034f\u061c\u180e\u3164")


def clean(prompt: str) -> str:
    """Return a prompt in NFC, trimmed, with plain line feeds and without unseen characters.

    Cleaning twice is cleaning once. A prompt of nothing visible becomes empty.
    """
    text = _LINE_ENDS.sub("\n", prompt)
    text = _UNSEEN.sub(lambda found: found[1] or "", text)
    text = unicodedata.normalize("NFC", text)
    return trim(text)


def trim(text: str) -> str:
    """Cut white space and zero-width characters off both ends."""
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while end > start and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def hides_characters(prompt: str) -> bool:
    """Say whether cleaning takes characters away that a reader would not see, line ends and outer blanks aside."""
    return any(found[1] is None for found in _UNSEEN.finditer(_LINE_ENDS.sub("\n", prompt)))


def _is_blank(char: str) -> bool:
    return char.isspace() or char in _BLANK
