"""Quoted strings of a prompt, and which of them are meant to be seen in the picture."""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imagerouter.normalizer import words
from imagerouter.normalizer.rules import Findings, Quotes
from imagerouter.normalizer.words import BREAK, Word

_LONGEST: Final = 200
"""Code points of a quoted string: what is longer is a passage, or a quote that was never closed."""
_MOST: Final = 100
"""Strings to render that are kept: the evaluator reads each of them back from the picture."""
_LONGEST_LABEL: Final = 16
"""Words of a value under a text key: what is longer describes the lettering."""

_PAIRS: Final = {
    "\u201c": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u2018": "\u2019",
    "\u00ab": "\u00bb",
    "\u2039": "\u203a",
    "\u300c": "\u300d",
    "\u300e": "\u300f",
    "\uff62": "\uff63",
    "'": "'",
}
_APOSTROPHES: Final = "'\u2019"
_STRUCTURE: Final = re.compile(r'\\.|["{}\[\]\n]')
_COLON: Final = re.compile(r"\s{0,8}[:\uff1a]")
_COMMAS: Final = ",;\uff0c\u3001 "
"""American typesetting puts a sentence's comma inside the quotes."""
_JSON_KEYS: Final = 3
"""Keys from which a prompt is JSON-shaped, well-formed or not."""


@dataclass(frozen=True)
class Quoted:
    """A quoted string: `text` between the offsets `start` and `end`, quotes not counted. `key` is the JSON key it is
    the value of, or empty.
    """

    text: str
    start: int
    end: int
    key: str = ""


def render_strings(text: str, split: Sequence[Word], findings: Findings, rules: Quotes, *, lettered: bool) -> list[str]:
    """Find the words that must be legible in the picture, in order, each once.

    A quoted string counts if words beside it say so ("a sign reading …"), if a key of a JSON-shaped prompt does
    ("headline": …), or, where the whole prompt asks for lettered work (`lettered`), always; and never if it is what is
    to be taken away (replace "…" with).
    """
    straight, keys = _double_quoted(text)
    shaped = len(keys) >= _JSON_KEYS
    found: list[Quoted] = []
    if shaped:
        found.extend(_values(straight, rules))
        prose = [*(quoted for quoted in straight if not quoted.key), *_paired(text)]
    else:
        prose = [*straight, *_paired(text)]
    found.extend(_meant(sorted(prose, key=lambda quoted: quoted.start), text, split, findings, lettered=lettered))
    found.sort(key=lambda quoted: quoted.start)
    kept = dict.fromkeys(
        string for quoted in found if (string := quoted.text.rstrip(_COMMAS).strip()) and _has_letter(string)
    )
    return list(kept)[:_MOST]


def _double_quoted(text: str) -> tuple[list[Quoted], list[str]]:
    """Read straight double quotes as JSON does, tolerantly: strings with their keys, and the keys."""
    strings: list[Quoted] = []
    keys: list[str] = []
    nested = [""]
    opened = -1
    for found in _STRUCTURE.finditer(text):
        mark, at = found[0], found.start()
        if mark == "\n":
            opened = -1
        elif mark == '"' and opened < 0:
            if not (at and text[at - 1].isdigit() and not text[at + 1 : at + 2].isalpha()):  # 24" x 36"
                opened = at + 1
        elif mark == '"':
            inner, start = text[opened:at], opened
            opened = -1
            if _COLON.match(text, at + 1):
                nested[-1] = " ".join(word.text for word in words.split(inner.replace("_", " ")))
                keys.append(nested[-1])
            elif 0 < len(inner) <= _LONGEST:
                strings.append(Quoted(_unescape(inner), start, at, nested[-1] if keys else ""))
        elif opened < 0 and mark in "{[":
            nested.append(nested[-1])
        elif opened < 0 and mark in "}]" and len(nested) > 1:
            nested.pop()
    return strings, keys


def _unescape(inner: str) -> str:
    if "\\" not in inner:
        return inner
    try:
        decoded = str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        return inner
    return inner if any(unicodedata.category(char) in {"Cs", "Cc"} for char in decoded) else decoded


def _values(strings: Sequence[Quoted], rules: Quotes) -> Iterator[Quoted]:
    for quoted in strings:
        if quoted.key not in rules.keys:
            continue
        inner = list(_paired(quoted.text))
        plain = " ".join(word.text for word in words.split(quoted.text))
        if inner:
            yield from (Quoted(part.text, quoted.start + part.start, quoted.end, quoted.key) for part in inner)
        elif plain and plain not in rules.empty_values and _is_short(quoted.text):
            yield quoted


def _is_short(text: str) -> bool:
    return words.count(text) <= _LONGEST_LABEL * (3 if words.is_wide(text) else 1)


def _paired(text: str) -> Iterator[Quoted]:
    """Find strings in all other quotes. Each opening quote looks ahead a bounded distance, so the time is linear."""
    at = 0
    length = len(text)
    while at < length:
        closing = _PAIRS.get(text[at])
        if closing is None or (text[at] in "'\u2018" and not _opens(text, at)):
            at += 1
            continue
        end = _close(text, at + 1, closing)
        if end < 0:
            at += 1
            continue
        yield Quoted(text[at + 1 : end], at + 1, end)
        at = end + 1


def _opens(text: str, at: int) -> bool:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    return not before.isalnum() and bool(after) and not after.isspace()


def _close(text: str, start: int, closing: str) -> int:
    end = min(len(text), start + _LONGEST + 1)
    line_end = text.find("\n", start, end)
    end = end if line_end < 0 else line_end
    nearest = -1
    for quote in closing:
        at = text.find(quote, start + 1, end)
        while at >= 0 and quote in _APOSTROPHES and text[at + 1 : at + 2].isalnum():
            at = text.find(quote, at + 1, end)
        if at >= 0 and (nearest < 0 or at < nearest):
            nearest = at
    return nearest


def _meant(
    strings: Sequence[Quoted], text: str, split: Sequence[Word], findings: Findings, *, lettered: bool
) -> Iterator[Quoted]:
    """Keep the strings that the words around them mean to be seen."""
    starts = [word.start for word in split]
    before_end, kept, dropped = -1, False, False
    for quoted in strings:
        if len(quoted.text) * 5 > len(text) * 4:  # somebody put the whole prompt in quotes
            continue
        first, last = bisect_left(starts, quoted.start), bisect_left(starts, quoted.end)
        between = [word.text for word in split[before_end:first]] if before_end >= 0 else None
        in_list = between is not None and len(between) <= 3 and BREAK not in between
        negated = _negated(split, findings, first) or (dropped and in_list and between in ([], ["and"], ["or"]))
        cued = not findings.cues.isdisjoint((*range(max(0, first - 8), first), *range(last, last + 4)))
        kept = not negated and (lettered or cued or (kept and in_list))
        dropped, before_end = negated, last
        if kept:
            yield quoted


def _negated(split: Sequence[Word], findings: Findings, first: int) -> bool:
    for at in range(first - 1, max(-1, first - 5), -1):
        if split[at].text in {"to", "with", "into", "by", "but", "only", "reads", "reading", "says", "saying", BREAK}:
            return False
        if at in findings.negations:
            return True
    return False


def _has_letter(text: str) -> bool:
    return any(char.isalnum() for char in text)
