"""Words of a text, the way the rules see them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

BREAK: Final = "\n"
"""The token of the end of a sentence or line: no phrase reaches across it."""

HAN: Final = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA: Final = "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL: Final = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
_CJK: Final = HAN + KANA + HANGUL

# `\w` has no combining marks, without which a Hindi or Thai word falls to pieces. Both classes are disjoint, and a
# token's pattern cannot fail after its first character: the scan is linear whatever the text.
_MARKS: Final = "".join(
    chr(code) for code in (*range(0x0300, 0x1AC0), *range(0x1DC0, 0x1E00)) if unicodedata.category(chr(code))[0] == "M"
)
_LETTER: Final = rf"(?:[^\W_{_CJK}]|[{_MARKS}])"
_TOKEN: Final = re.compile(rf"[{_CJK}]|{_LETTER}+(?:['\u2019]{_LETTER}+)*|[.!?;\n\u2026\u3002\uff01\uff1b\uff1f]")
_BREAKS: Final = frozenset(".!?;\n\u2026\u3002\uff01\uff1b\uff1f")
_WIDE: Final = re.compile(f"[{_CJK}]")
_HANGUL: Final = re.compile(f"[{HANGUL}]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word in comparable form, and where it stands: `start` and `end` are offsets in code points."""

    text: str
    start: int
    end: int


def split(text: str) -> list[Word]:
    """Split a text into words. A Han, kana or hangul character is a word of its own; sentence ends become `BREAK`."""
    return [Word(fold(found[0]), found.start(), found.end()) for found in _TOKEN.finditer(text)]


@lru_cache(maxsize=8192)
def fold(token: str) -> str:
    """Give one token in comparable form: compatibility forms unified, lower case, Latin without accents."""
    if token in _BREAKS:
        return BREAK
    folded = unicodedata.normalize("NFKC", token).casefold()
    if folded.isascii():
        return folded.replace("'", "")
    kept: list[str] = []
    for char in folded.replace("'", "").replace("\u2019", ""):
        parts = unicodedata.normalize("NFD", char)
        kept.append(parts[0] if len(parts) > 1 and parts[0].isascii() else char)
    return "".join(kept)


def count(text: str) -> int:
    """Count words: a Han or kana character is one, hangul and all else go by their spaces and punctuation."""
    total = 0
    previous_end = -1
    previous_hangul = False
    for found in _TOKEN.finditer(text):
        if found[0] in _BREAKS:
            continue
        hangul = bool(_HANGUL.match(found[0]))
        # The syllables of one Korean word are tokens without a space between them.
        if not (hangul and previous_hangul and found.start() == previous_end):
            total += 1
        previous_end, previous_hangul = found.end(), hangul
    return total


def is_wide(text: str) -> bool:
    """Say whether there is a Han, kana or hangul character in a text."""
    return bool(_WIDE.search(text))
