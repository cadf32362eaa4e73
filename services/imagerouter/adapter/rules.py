"""What a provider's error means, as reviewed data: the first rule that fits a symptom decides kind and phase."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias

from imagerouter.api.common.v1 import attempt_pb2

Kind: TypeAlias = attempt_pb2.OutcomeKind.ValueType
Phase: TypeAlias = attempt_pb2.Phase.ValueType


@dataclass(frozen=True)
class Symptom:
    """What was seen: the HTTP status (200 for an error inside a stream), every code the body gave, and whether the body
    was the provider's own JSON (a gateway's HTML page is not).
    """

    http_status: int
    codes: frozenset[str]
    typed: bool


@dataclass(frozen=True)
class Rule:
    """One row of a provider's table. Empty `statuses` or `codes` fit all; `typed` None fits both."""

    statuses: tuple[str, ...]
    codes: frozenset[str]
    typed: bool | None
    kind: Kind
    phase: Phase
    message: str

    def fits(self, symptom: Symptom) -> bool:
        """Whether status, codes and body all match."""
        status = str(symptom.http_status)
        return (
            (not self.statuses or status in self.statuses or f"{status[0]}xx" in self.statuses)
            and (not self.codes or not self.codes.isdisjoint(symptom.codes))
            and (self.typed is None or self.typed == symptom.typed)
        )


@dataclass(frozen=True)
class Finish:
    """What a finish or block reason inside a proper answer means."""

    kind: Kind
    message: str


@dataclass(frozen=True)
class Facts:
    """A provider's reviewed data file."""

    errors: tuple[Rule, ...]
    finishes: Mapping[str, Finish]

    def error(self, symptom: Symptom) -> Rule:
        """Return the first rule that fits; the last one fits everything."""
        return next(rule for rule in self.errors if rule.fits(symptom))


def load_facts(provider: str) -> Facts:
    """Read `providers/{provider}.toml`. ValueError if a row is malformed or the last error row is no catch-all."""
    text = files(__package__).joinpath("providers", f"{provider}.toml").read_text(encoding="utf-8")
    return read_facts(tomllib.loads(text))


def read_facts(data: Mapping[str, object]) -> Facts:
    """Turn the parsed file into rules. ValueError as `load_facts`."""
    errors = tuple(_rule(row) for row in _rows(data, "error"))
    if not errors or errors[-1].statuses or errors[-1].codes or errors[-1].typed is not None:
        raise ValueError("the last [[error]] must fit everything")
    finishes: dict[str, Finish] = {}
    for row in _rows(data, "finish"):
        finish = Finish(_kind(row), str(row["message"]))
        for reason in _strings(row, "reasons"):
            if reason in finishes:
                raise ValueError(f"finish reason {reason} has two rows")
            finishes[reason] = finish
    return Facts(errors, finishes)


def _rows(data: Mapping[str, object], name: str) -> Sequence[Mapping[str, object]]:
    rows = data.get(name, [])
    if not isinstance(rows, list):
        raise TypeError(f"[[{name}]] must be tables")
    return rows


def _strings(row: Mapping[str, object], name: str) -> tuple[str, ...]:
    values = row.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} must be a list of strings")
    return tuple(values)


def _kind(row: Mapping[str, object]) -> Kind:
    return attempt_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{row['kind']}")


def _rule(row: Mapping[str, object]) -> Rule:
    typed = row.get("typed")
    if typed is not None and not isinstance(typed, bool):
        raise ValueError("typed must be true or false")
    if not row.get("why"):
        raise ValueError(f"a row of kind {row['kind']} does not say why")
    return Rule(
        statuses=_strings(row, "statuses"),
        codes=frozenset(_strings(row, "codes")),
        typed=typed,
        kind=_kind(row),
        phase=attempt_pb2.Phase.Value(f"PHASE_{row['phase']}"),
        message=str(row["message"]),
    )
