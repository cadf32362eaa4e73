"""The rules file, read, checked and compiled into one phrase tree."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imagerouter.api.common.v1 import task_pb2
from imagerouter.normalizer.phrases import PhraseSet
from imagerouter.normalizer.words import Word

_FILE: Final = "rules.toml"

Signal = Literal[
    "deliverable",
    "text",
    "photo",
    "creative",
    "input_image",
    "preserve",
    "same_character",
    "edit",
    "bulk",
    "one_sheet",
    "vague",
    "transparent",
]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Data):
    """Phrases that say the same about a request, by language."""

    id: str = Field(pattern=r"^[a-z0-9_.]{1,64}$")
    signal: Signal
    value: str = ""
    """The kind of lettered work (signal "deliverable") or of edit (signal "edit"); empty for others."""
    weight: float = 1.0
    en: tuple[str, ...] = ()
    ja: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    es: tuple[str, ...] = ()
    ko: tuple[str, ...] = ()
    fr: tuple[str, ...] = ()
    de: tuple[str, ...] = ()

    def phrases(self) -> Iterator[str]:
        """All phrases, whatever their language: a prompt may mix them."""
        for group in (self.en, self.ja, self.zh, self.es, self.ko, self.fr, self.de):
            yield from group

    @model_validator(mode="after")
    def _value_fits(self) -> Rule:
        if self.signal == "edit":
            task_pb2.EditAction.Value(f"EDIT_ACTION_{self.value.upper()}")
        elif (self.signal == "deliverable") != bool(self.value):
            raise ValueError(f"rule {self.id}: `value` belongs to deliverables and edits, and they need it")
        return self


class Scoring(_Data):
    """Thresholds and points; the file explains each."""

    head_words: int = Field(gt=0)
    late_share: float = Field(ge=0, le=1)
    text_heavy_from: float = Field(gt=0)
    render_string_points: float = Field(ge=0)
    render_strings_counted: int = Field(ge=0)
    picture_points_at_most: float = Field(ge=0)
    bulk_count: int = Field(gt=1)
    vague_content_at_most: float = Field(ge=0)


class Generic(_Data):
    """Phrases that say nothing about the picture."""

    phrases: tuple[str, ...]


class Quotes(_Data):
    """What tells a string to render from other quoted words."""

    cues: tuple[str, ...]
    negations: tuple[str, ...]
    keys: frozenset[str]
    empty_values: frozenset[str]


class RulesFile(_Data):
    """`rules.toml`."""

    version: str
    date: dt.date
    source: str
    scoring: Scoring
    rule: tuple[Rule, ...]
    generic: Generic
    quotes: Quotes

    @model_validator(mode="after")
    def _ids_are_unique(self) -> RulesFile:
        ids = [rule.id for rule in self.rule]
        if len(ids) != len(set(ids)):
            raise ValueError("two rules have the same id")
        return self


@dataclass(frozen=True)
class Fired:
    """A rule whose phrases were found: `start` is the first word of the first match, `matches` how many there are."""

    rule: Rule
    start: int
    matches: int


@dataclass(frozen=True)
class Findings:
    """What the phrase tree found in a text. Positions are word numbers."""

    fired: tuple[Fired, ...]
    """In the order of the rules file."""
    cues: frozenset[int]
    """Words that are part of a cue for a string to render."""
    negations: frozenset[int]
    generic: frozenset[int]
    """Words that say nothing about the picture: stop words, vague phrases, names of lettered works."""

    def of(self, *signals: Signal) -> list[Fired]:
        """The fired rules that have one of these signals."""
        return [fired for fired in self.fired if fired.rule.signal in signals]


class Rules:
    """The compiled rules. ValueError if a phrase cannot be read."""

    def __init__(self, data: RulesFile) -> None:
        self.data = data
        self.scoring = data.scoring
        self._cue = len(data.rule)
        self._negation = self._cue + 1
        self._generic = self._cue + 2
        numbered = [(number, phrase) for number, rule in enumerate(data.rule) for phrase in rule.phrases()]
        numbered += [(self._cue, phrase) for phrase in data.quotes.cues]
        numbered += [(self._negation, phrase) for phrase in data.quotes.negations]
        numbered += [(self._generic, phrase) for phrase in data.generic.phrases]
        self.tree = PhraseSet(numbered)

    def find(self, text: Sequence[Word]) -> Findings:
        """Walk a text once and sort what was found."""
        first: dict[int, int] = {}
        times: dict[int, int] = {}
        covered: dict[int, set[int]] = {self._cue: set(), self._negation: set(), self._generic: set()}
        for match in self.tree.find(text):
            if match.phrase >= self._cue:
                covered[match.phrase].update(range(match.start, match.end))
            else:
                first.setdefault(match.phrase, match.start)
                times[match.phrase] = times.get(match.phrase, 0) + 1
                if self.data.rule[match.phrase].signal in ("deliverable", "vague"):
                    covered[self._generic].update(range(match.start, match.end))
        return Findings(
            fired=tuple(Fired(self.data.rule[n], first[n], times[n]) for n in sorted(first)),
            cues=frozenset(covered[self._cue]),
            negations=frozenset(covered[self._negation]),
            generic=frozenset(covered[self._generic]),
        )


@lru_cache(maxsize=1)
def load_rules() -> Rules:
    """Read the packaged rules. ValueError if they are not well-formed: a defect of the release."""
    text = files("imagerouter.normalizer").joinpath(_FILE).read_text(encoding="utf-8")
    return Rules(RulesFile.model_validate(tomllib.loads(text)))
