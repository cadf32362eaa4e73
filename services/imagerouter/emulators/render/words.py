"""The renderer's vocabulary (`lexicon.toml`) and how a word of it is found in a prompt."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

_LANGUAGES = ("japanese", "chinese", "korean", "spanish", "french")


@cache
def lexicon() -> Mapping[str, Any]:
    """The parsed `lexicon.toml`."""
    return tomllib.loads((resources.files("imagerouter.emulators.render") / "lexicon.toml").read_text("utf-8"))


@cache
def pattern(name: str) -> re.Pattern[str]:
    """A regular expression of the lexicon."""
    return re.compile(lexicon()["patterns"][name])


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    # A Latin word must stand alone ("car" is not in "card"); Chinese and Japanese have no spaces to look at.
    parts = (rf"(?<![a-z]){re.escape(word)}(?![a-z])" if word.isascii() else re.escape(word) for word in words)
    return re.compile("|".join(parts), re.IGNORECASE)


def holds(text: str, words: Iterable[str]) -> bool:
    """Whether `text` holds any of `words`."""
    return _pattern(tuple(words)).search(text) is not None


def first_of(table: str, text: str, default: str) -> str:
    """The first name in a lexicon table with a word in `text`, in the table's order."""
    for name, words in lexicon()[table].items():
        if holds(text, words):
            return str(name)
    return default


def earliest_of(table: str, text: str, default: str) -> str:
    """The name in a lexicon table whose word comes first in `text`: a prompt names its subject before its setting."""
    found = ((match.start(), str(name)) for name, words in lexicon()[table].items() if (match := _search(text, words)))
    return min(found, default=(0, default))[1]


def _search(text: str, words: Iterable[str]) -> re.Match[str] | None:
    return _pattern(tuple(words)).search(text)


@cache
def stop_words() -> frozenset[str]:
    """Words that say how, or what kind of thing, and not what about."""
    return frozenset(lexicon()["reading"]["stop"].split())


@cache
def function_words() -> frozenset[str]:
    """The few words a title taken from the prompt goes without at its ends."""
    return frozenset(lexicon()["reading"]["function"].split())


def second_language(prompt: str) -> str:
    """The language of a second line, or "" if the prompt asks for one language only."""
    if not holds(prompt, lexicon()["reading"]["bilingual"]):
        return ""
    for language in _LANGUAGES:
        if holds(prompt, lexicon()[language]["words"]):
            return language
    return "japanese"


def translate(title: str, language: str) -> str:
    """`title` word by word, without the words the lexicon lacks."""
    table = lexicon()[language]
    words = [table[word] for word in re.findall(r"[a-z]+", title.lower()) if isinstance(table.get(word), str)]
    return (" " if language in ("korean", "spanish", "french") else "").join(words)


def pairs(prompt: str, language: str, without: str) -> tuple[str, ...]:
    """Words of `prompt` beside their translations ("Event  イベント"), leaving out those in `without`."""
    table = lexicon()[language]
    left_out = set(re.findall(r"[a-z]+", without.lower()))
    found = dict.fromkeys(re.findall(r"[a-z]+", prompt.lower()))
    return tuple(
        f"{word.capitalize()}  {table[word]}"
        for word in found
        if word != "words" and word not in left_out and isinstance(table.get(word), str)
    )
