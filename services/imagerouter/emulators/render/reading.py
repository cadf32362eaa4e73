"""What a prompt asks to see: which layout, which words to set, which scene. Pure and deterministic."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagerouter.emulators.render import words as vocabulary

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# "… poster for a Tokyo design meetup, with …": the subject stands behind the kind of thing.
_ABOUT = re.compile(
    r"\b(?:for|about|of|on|announcing|advertising|explaining|showing)\s+(?:an?\s+|the\s+|our\s+|my\s+)?"
    r"([^,.;:\n()]{3,90})",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\b(?:titled|called|named|entitled|headline|title)\s+((?:[A-Z0-9][\w'&-]*\s*){1,6})")
_TAIL = re.compile(
    r"\s+(?:with|that|which|showing|in the style|in style|featuring|using|and include)\b.*$", re.IGNORECASE
)
_FLAG = re.compile(r"--\w+(?:\s+[\w:.]+)?")
_WORD = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'-]{2,}")

_PAIR = re.compile(r'"([^"\n]{1,60})"\s*:\s*"([^"\n]{1,400})"')
_WITHOUT = re.compile(r"\b(?:no|without|not|avoid)\s+(?:any\s+)?\w+(?:\s+(?:or|and)\s+\w+)?", re.IGNORECASE)
_KIND_WITHIN = 240

MAX_STRINGS = 12
MAX_TITLE = 120


@dataclass(frozen=True)
class Reading:
    """A prompt, understood as far as a picture needs.

    `layout` is a key of the lexicon's layouts or "scene"; `strings` were quoted and must be set as they stand;
    `words` are the telling words of the prompt, in order; `second` is the title in a second language, or "".
    """

    prompt: str
    layout: str
    scene: str
    light: str
    title: str
    second: str
    strings: tuple[str, ...]
    words: tuple[str, ...]
    cjk: bool


def read(prompt: str) -> Reading:
    """Read a prompt. Any text will do; the empty one is an abstract scene."""
    text = _FLAG.sub(" ", prompt).strip()
    # Of a very long prompt the head says what it is; a quadratic search over 32,000 characters says no more.
    head = text[:4000]
    structured = _structured(text)
    if structured is None:
        strings, bare = _quoted(text), vocabulary.pattern("quoted").sub(" ", head)
    else:
        strings, bare = structured
    # What kind of thing is wanted is said early; later "logo" or "text" is more often what to leave out.
    layout = vocabulary.first_of("layouts", _WITHOUT.sub(" ", bare[:_KIND_WITHIN]), "scene")
    cjk = len(_CJK.findall(head)) * 4 > len(head)
    title = strings[0] if strings and layout != "scene" else _subject(bare[:_KIND_WITHIN], cjk=cjk)
    language = vocabulary.second_language(head)
    return Reading(
        prompt=text,
        layout=layout,
        scene=vocabulary.earliest_of("scenes", bare, "mountain" if layout == "scene" else "abstract"),
        light=vocabulary.first_of("lights", bare, ""),
        title=title[:MAX_TITLE].strip(),
        second=vocabulary.translate(title[:MAX_TITLE], language) if language and not _CJK.search(title) else "",
        strings=strings,
        words=_words(bare, cjk=cjk),
        cjk=cjk,
    )


def _structured(text: str) -> tuple[tuple[str, ...], str] | None:
    """A JSON-shaped prompt: its strings to be set (by their keys), and all its values as plain text; else None."""
    if not text.startswith("{"):
        return None
    shown: list[str] = []
    said: list[str] = []
    for key, value in _PAIR.findall(text[:20_000]):
        said.append(value)
        if vocabulary.holds(key.replace("_", " "), vocabulary.lexicon()["reading"]["shown"]):
            shown.append(value)
    if not said:
        return None
    return tuple(dict.fromkeys(each for each in shown if len(each) <= MAX_TITLE))[:MAX_STRINGS], ". ".join(said)[:4000]


def _quoted(text: str) -> tuple[str, ...]:
    found = (
        next(group for group in match.groups() if group).strip()
        for match in vocabulary.pattern("quoted").finditer(text)
    )
    return tuple(dict.fromkeys(each for each in found if each))[:MAX_STRINGS]


def _subject(text: str, *, cjk: bool) -> str:
    if cjk:
        match = vocabulary.pattern("about_cjk").search(text) or vocabulary.pattern("subject_cjk").search(text)
        if match:
            return vocabulary.pattern("order_cjk").sub("", match[1]).strip() or match[1]
        return next((part.strip() for part in vocabulary.pattern("divide_cjk").split(text) if part.strip()), "")[:16]
    match = _NAMED.search(text) or _ABOUT.search(text)
    phrase = _TAIL.sub("", match[1]) if match else ""
    named = phrase.split()
    while named and named[0].lower() in vocabulary.function_words():
        named = named[1:]
    named = named[:6]
    while named and named[-1].lower() in vocabulary.function_words():
        named = named[:-1]
    if not named:
        named = list(_words(text, cjk=False)[:4])
    small = vocabulary.function_words()
    return " ".join(
        word if word in small and index else word[:1].upper() + word[1:] for index, word in enumerate(named)
    )


def _words(text: str, *, cjk: bool) -> tuple[str, ...]:
    if cjk:
        parts = (
            vocabulary.pattern("lead_cjk").sub("", part.strip())
            for part in vocabulary.pattern("divide_cjk").split(text)
        )
        wanted = (part[:24] for part in parts if len(part) > 1 and vocabulary.first_of("layouts", part, "") == "")
        return tuple(dict.fromkeys(wanted))[:24]
    found = (word for word in _WORD.findall(text) if word.lower() not in vocabulary.stop_words())
    return tuple(dict.fromkeys(word.lower()[:32] for word in found))[:32]
