"""Edit instructions, taken apart into clauses that each change one thing."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from imagerouter.normalizer import words
from imagerouter.normalizer.phrases import Match, PhraseSet
from imagerouter.normalizer.words import BREAK, Word

Operation = Literal["set", "add", "remove", "other"]

_LONGEST_TARGET: Final = 6
_OPERATIONS: Final = ("set", "add", "remove", "set_after", "remove_after", "undo", "refine")
_PICTURE: Final = "picture"
_CONJUNCTIONS: Final = frozenset({"and", "then", "also", "please", "now", "und", "et", "y", "dann"})
_COMMAS: Final = re.compile("[,\uff0c\u3001]")
_QUOTED: Final = re.compile('"([^"\n]{1,200})"|\u201c([^\u201d\n]{1,200})\u201d|\u300c([^\u300d\n]{1,200})\u300d')


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Targets(_Data):
    """How the name of a changed thing is read."""

    ends: frozenset[str]
    articles: frozenset[str]
    same: dict[str, str]


class MergeFile(_Data):
    """`merge.toml`."""

    version: str
    date: dt.date
    heading: dict[str, str]
    unchanged: dict[str, str]
    operations: dict[str, tuple[str, ...]]
    targets: Targets
    attributes: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Clause:
    """One change: `target` is the thing in folded words, empty if it could not be told; `attribute` is what of it
    changes, empty for the whole of it.
    """

    text: str
    words: tuple[str, ...]
    operation: Operation
    target: str = ""
    attribute: str = ""


class Merging:
    """The compiled table. ValueError if a phrase cannot be read."""

    def __init__(self, data: MergeFile) -> None:
        self.data = data
        self._names = [*_OPERATIONS, *data.attributes]
        groups = [*(data.operations[name] for name in _OPERATIONS), *data.attributes.values()]
        self._tree = PhraseSet((number, phrase) for number, group in enumerate(groups) for phrase in group)

    def is_undo(self, instruction: str) -> bool:
        """Say whether an instruction does nothing but take back the one before it."""
        split = [word for word in words.split(instruction) if word.text not in (BREAK, "please")]
        return any(
            self._names[found.phrase] == "undo" and (found.start, found.end) == (0, len(split))
            for found in self._tree.find(split)
        )

    def clauses(self, instruction: str) -> list[Clause]:
        """Take an instruction apart at sentence ends, and at commas and conjunctions before an operation."""
        # What stands in quotes is lettering: its words are no operations, and its dots end no sentence.
        masked = _QUOTED.sub(lambda found: "\u2588" * len(found[0]), instruction)
        split = words.split(masked)
        starts = {m.start for m in self._tree.find(split) if self._names[m.phrase] in ("set", "add", "remove")}
        cuts = [(0, 0)]
        for at, word in enumerate(split):
            before = split[at - 1] if at else None
            gap = masked[before.end : word.start] if before else ""
            if word.text == BREAK:
                cuts.append((word.end, word.end))
            elif at in starts and before and (before.text in _CONJUNCTIONS or _COMMAS.search(gap)):
                cuts.append((before.start if before.text in _CONJUNCTIONS else word.start, word.start))
            elif before and _COMMAS.search(gap) and (before.text == "て" or word.text in ("把", "将", "將")):
                cuts.append((word.start, word.start))
        cuts.append((len(instruction), len(instruction)))
        pieces = [instruction[start:end].strip(" ,\uff0c\u3001\n") for (_, start), (end, _) in pairwise(cuts)]
        return [self._clause(piece) for piece in pieces if words.count(piece)]

    def _clause(self, text: str) -> Clause:
        split = _split(text)
        while split and split[0].text in _CONJUNCTIONS:
            split = split[1:]
        folded = tuple(word.text for word in split)
        found: dict[str, Match] = {}
        for match in self._tree.find(split):
            found.setdefault(self._names[match.phrase], match)
        opening: tuple[Operation, ...] = ("set", "add", "remove")
        for operation in opening:
            if operation in found and found[operation].start == 0:
                target, rest = self._target(split[found[operation].end :])
                return self._settled(text, folded, operation, target, rest, found)
        for name, operation in (("set_after", opening[0]), ("remove_after", opening[2])):
            if name in found:
                before = [word.text for word in split[: found[name].start] if word.text not in "把将將を"]
                if not 0 < len(before) <= 2 * _LONGEST_TARGET:
                    break
                target = _object(folded[: found[name].start])
                return self._settled(text, folded, operation, target, folded[found[name].start :], found)
        return Clause(text, folded, "other")

    def _settled(
        self,
        text: str,
        folded: tuple[str, ...],
        operation: Operation,
        target: str,
        rest: Sequence[str],
        found: dict[str, Match],
    ) -> Clause:
        if operation == "set" and ("refine" in found or not target):
            return Clause(text, folded, "other")
        attribute = ""
        for suffix in (" color", "color of "):
            if target != "color" and suffix in f" {target} ":
                target, attribute = target.replace(suffix.strip(), "").replace(" of ", " ").strip(), "color"
                target = " ".join(word for word in target.split() if word not in self.data.targets.articles)
        if operation == "set" and not attribute:
            named = [name for name in self.data.attributes if name in found and rest]
            whole = [name for name in named if target == _PICTURE]
            attribute = whole[0] if whole else "color" if "color" in named and self._is_color(rest) else ""
            if target == _PICTURE and not attribute:
                return Clause(text, folded, "other")
        return Clause(text, folded, operation, target, attribute)

    def _target(self, after: Sequence[Word]) -> tuple[str, list[str]]:
        """Read the name of the thing after a verb, and return the words that follow it."""
        targets = self.data.targets
        name: list[str] = []
        for at, word in enumerate(after):
            if name and (word.text in targets.ends or self._is_color([word.text])):
                return " ".join(targets.same.get(part, part) for part in name), [w.text for w in after[at:]]
            if word.text in targets.articles and not name and (at + 1 < len(after) and not self._ends(after[at + 1])):
                continue
            name.append(word.text)
            if name == ["it"]:
                return _PICTURE, [w.text for w in after[at + 1 :]]
            if len(name) > _LONGEST_TARGET:
                return "", []
        return " ".join(targets.same.get(part, part) for part in name), []

    def _ends(self, word: Word) -> bool:
        return word.text in self.data.targets.ends

    def _is_color(self, rest: Sequence[str]) -> bool:
        """Say whether the new value is a colour and nothing else ("to red", not "to a red house")."""
        small = self.data.targets.ends | self.data.targets.articles
        value = [word for word in rest if word not in small]
        color = self._names.index("color")
        plain = [Word(word, 0, 0) for word in value]
        reach = {m.end for m in self._tree.find(plain) if m.phrase == color and m.start == 0}
        return bool(value) and (len(value) in reach or value[-1] == "色")


def _split(text: str) -> list[Word]:
    """Split a clause into words, a quoted string being one."""
    found: list[Word] = []
    at = 0
    for quoted in _QUOTED.finditer(text):
        found += words.split(text[at : quoted.start()])
        inside = " ".join(word.text for word in words.split(quoted[0]))
        found.append(Word(f'"{inside}"', quoted.start(), quoted.end()))
        at = quoted.end()
    return [word for word in (*found, *words.split(text[at:])) if word.text != BREAK]


def _object(folded: Sequence[str]) -> str:
    """Return the object of a Chinese (把 … 换成) or Japanese (… を … に変えて) clause."""
    for mark in ("把", "将", "將"):
        if mark in folded:
            return "".join(folded[folded.index(mark) + 1 :])
    return "".join(folded[: folded.index("を")] if "を" in folded else folded)


@lru_cache(maxsize=1)
def load_merging() -> Merging:
    """Read the packaged table. ValueError if it is not well-formed: a defect of the release."""
    text = files("imagerouter.normalizer").joinpath("merge.toml").read_text(encoding="utf-8")
    return Merging(MergeFile.model_validate(tomllib.loads(text)))
