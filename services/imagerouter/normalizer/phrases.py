"""Phrases as data: a small language that cannot be made to run long.

A phrase is words with spaces between them:

    poster              the word, whatever its case and accents
    infographic*        every word that begins so
    (keep|retain)       one of these
    [the]               this or nothing
    ...                 up to three words (eight characters in a Chinese, Japanese or Korean phrase); at most once
    #                   a whole number, 4 to 999

Chinese, Japanese and Korean need no spaces: each character is a word. There are no regular expressions in the rules,
so none can backtrack: all phrases go into one tree, and a text is walked once, with a bounded number of steps per word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from imagerouter.normalizer import words
from imagerouter.normalizer.words import BREAK, Word

_GAP_WORDS: Final = 3
_GAP_CHARACTERS: Final = 8
_MOST_PATHS: Final = 4_000
_ANY: Final = "?"
_NUMBER: Final = "#"
_SMALLEST, _LARGEST = 4, 999
_ITEM: Final = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]|(\.\.\.)|((?:(?!\.\.\.)[^\s()\[\]])+)")


@dataclass(frozen=True, slots=True)
class Match:
    """Phrase number `phrase` was found at the words `start` (inclusive) to `end` (exclusive)."""

    phrase: int
    start: int
    end: int


@dataclass(slots=True)
class _Node:
    exact: dict[str, _Node] = field(default_factory=dict)
    prefixes: dict[str, _Node] = field(default_factory=dict)
    prefix_lengths: tuple[int, ...] = ()
    any_word: _Node | None = None
    number: _Node | None = None
    phrases: list[int] = field(default_factory=list)


class PhraseSet:
    """Many phrases, looked for at once. ValueError for a phrase that cannot be read."""

    def __init__(self, phrases: Iterable[tuple[int, str]]) -> None:
        self._root = _Node()
        self.steps = 0
        """Tree steps of the last `find`, for the test that the time is linear."""
        for number, phrase in phrases:
            for path in expand(phrase):
                self._add(path, number)

    def _add(self, path: Sequence[str], number: int) -> None:
        node = self._root
        for item in path:
            if item == _ANY:
                node.any_word = node.any_word or _Node()
                node = node.any_word
            elif item == _NUMBER:
                node.number = node.number or _Node()
                node = node.number
            elif item.endswith("*"):
                prefix = item[:-1]
                following = node.prefixes.setdefault(prefix, _Node())
                node.prefix_lengths = tuple(sorted({len(known) for known in node.prefixes}))
                node = following
            else:
                node = node.exact.setdefault(item, _Node())
        if number not in node.phrases:
            node.phrases.append(number)

    def find(self, text: Sequence[Word]) -> list[Match]:
        """Find all phrases, in the order of their first word. Overlaps are all reported."""
        found: list[Match] = []
        steps = 0
        length = len(text)
        for start in range(length):
            pending = [(self._root, start)]
            while pending:
                node, at = pending.pop()
                steps += 1
                found.extend(Match(phrase, start, at) for phrase in node.phrases)
                if at == length:
                    continue
                word = text[at].text
                if word == BREAK:
                    continue
                pending.extend((following, at + 1) for following in _next(node, word))
        self.steps = steps
        return found


def _next(node: _Node, word: str) -> list[_Node]:
    following: list[_Node] = []
    exact = node.exact.get(word)
    if exact is not None:
        following.append(exact)
    for length in node.prefix_lengths:
        if length > len(word):
            break
        prefixed = node.prefixes.get(word[:length])
        if prefixed is not None:
            following.append(prefixed)
    if node.number is not None and word.isdecimal() and len(word) <= 3 and _SMALLEST <= int(word) <= _LARGEST:
        following.append(node.number)
    if node.any_word is not None:
        following.append(node.any_word)
    return following


def expand(phrase: str) -> list[list[str]]:
    """Write out the alternatives of a phrase as paths of items. ValueError if it cannot be read."""
    choices: list[list[list[str]]] = []
    gaps = 0
    if _ITEM.sub("", phrase).strip():
        raise ValueError(f"phrase {phrase!r}: brackets do not match")
    for one_of, optional, gap, plain in _ITEM.findall(phrase):
        if gap:
            gaps += 1
            reach = _GAP_CHARACTERS if words.is_wide(phrase) else _GAP_WORDS
            choices.append([[_ANY] * n for n in range(reach + 1)])
        elif one_of:
            choices.append([_items(part) for part in one_of.split("|")])
        elif optional:
            choices.append([[], *(_items(part) for part in optional.split("|"))])
        else:
            choices.append([_items(plain)])
    if math.prod(len(choice) for choice in choices) > _MOST_PATHS:
        raise ValueError(f"phrase {phrase!r}: too many alternatives, write it as several")
    paths = [[item for part in combination for item in part] for combination in product(*choices)]
    if gaps > 1 or not phrase.strip() or any(not path or path[0] == _ANY or path[-1] == _ANY for path in paths):
        raise ValueError(f"phrase {phrase!r}: needs a first and a last word, and at most one gap between them")
    return paths


def _items(part: str) -> list[str]:
    if part.strip() == _NUMBER:
        return [_NUMBER]
    items: list[str] = []
    for piece in part.split():
        if piece == _NUMBER:
            items.append(_NUMBER)
            continue
        star = piece.endswith("*")
        found = [word.text for word in words.split(piece.rstrip("*")) if word.text != BREAK]
        if not found or _NUMBER in piece:
            raise ValueError(f"phrase part {part!r} has no word, or a number sign that touches one")
        if star:
            found[-1] += "*"
        items.extend(found)
    return items
