"""Faults on order: rules that say which requests go wrong, how, how often, and whether that is billed."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerouter.emulators.render.artwork import Spoil


class Match(BaseModel):
    """Which requests a rule is for: all that it names must agree. `path` and `prompt` are substrings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = ""
    model: str = ""
    operation: str = ""
    prompt: str = ""
    header: dict[str, str] = {}

    def agrees(self, asked: Asked) -> bool:
        """Whether a request is one of them."""
        return (
            self.path in asked.path
            and self.model in ("", asked.model)
            and self.operation in ("", asked.operation)
            and self.prompt in asked.prompt
            and all(asked.headers.get(name.lower()) == value for name, value in self.header.items())
        )


class Asked(BaseModel):
    """What a rule is held against."""

    model_config = ConfigDict(frozen=True)

    path: str
    model: str
    operation: str
    prompt: str
    headers: Mapping[str, str]


class Fault(BaseModel):
    """What goes wrong. Times are real seconds, whatever the speed factor.

    Before the work starts, never billed: `queue_s` (a wait), `status` with `headers` and `body` (an object or text;
    "{model}" and "{request_id}" in it are filled in), `drop = "before_execution"`.
    After it has started, billed unless `billed` says otherwise: all the rest, except a `stream` error, in which the
    provider itself says that it failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = ""
    queue_s: float = Field(0, ge=0)
    status: int = Field(0, ge=0, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    delay_s: float = Field(0, ge=0)
    event_delay_s: float = Field(0, ge=0)
    drop: Literal["", "before_execution", "before_headers", "mid_body"] = ""
    reset: bool = False
    payload: Literal["", "empty", "broken_json", "data_null", "text_only", "no_parts", "thought_image"] = ""
    stream: Literal["", "error_nested", "error_flat", "no_completed"] = ""
    image: Spoil = ""
    block_reason: str = ""
    finish_reason: str = ""
    billed: bool | None = None

    @property
    def starts_work(self) -> bool:
        """Whether a request with this fault is executed."""
        return not self.status and self.drop != "before_execution"

    @property
    def bills(self) -> bool:
        """Whether its execution goes into the journal."""
        if self.billed is not None:
            return self.billed
        return self.starts_work and not self.stream.startswith("error")


NO_FAULT = Fault()


class Rule(BaseModel):
    """A fault and when it strikes: after `skip` matching requests, at most `times` times (null is without end), each
    time with `probability`."""

    model_config = ConfigDict(extra="forbid")

    id: int = 0
    match: Match = Match()
    fault: Fault
    times: int | None = Field(None, ge=1)
    skip: int = Field(0, ge=0)
    probability: float = Field(1.0, ge=0, le=1)
    seen: int = 0
    struck: int = 0


class Faults:
    """The rules in force. The first one that matches and strikes decides; one that is used up is forgotten."""

    def __init__(self, provider: str, seed: int) -> None:
        self._presets = presets(provider)
        self._seed = seed
        self._next_id = 0
        self._dice = _dice(seed)
        self.rules: list[Rule] = []

    def add(self, order: Mapping[str, Any]) -> Rule:
        """Add a rule from its JSON form: a rule's own keys beside the fault's, or beside `preset`, which they override.

        Raises ValueError (pydantic's, too) for what is no rule, and for an unknown preset.
        """
        own = {key: value for key, value in order.items() if key in ("match", "times", "skip", "probability")}
        effects = {key: value for key, value in order.items() if key not in own}
        name = effects.get("preset", "")
        if name and name not in self._presets:
            raise ValueError(f"no preset {name!r}; there are {', '.join(sorted(self._presets))}")
        fault = Fault.model_validate({**self._presets.get(name, {}), **effects})
        self._next_id += 1
        rule = Rule.model_validate({**own, "id": self._next_id, "fault": fault})
        self.rules.append(rule)
        return rule

    def remove(self, rule_id: int) -> bool:
        """Take a rule out of force."""
        before = len(self.rules)
        self.rules = [rule for rule in self.rules if rule.id != rule_id]
        return len(self.rules) < before

    def clear(self) -> None:
        """No rules, and the dice from their beginning."""
        self.rules = []
        self._dice = _dice(self._seed)

    def strike(self, asked: Asked) -> Fault:
        """The fault that befalls a request, or NO_FAULT."""
        for rule in list(self.rules):
            if not rule.match.agrees(asked):
                continue
            rule.seen += 1
            if rule.seen <= rule.skip or self._dice.random() >= rule.probability:
                continue
            rule.struck += 1
            if rule.times is not None and rule.struck >= rule.times:
                self.rules.remove(rule)
            return rule.fault
        return NO_FAULT


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - tests, not secrets


def presets(provider: str) -> dict[str, dict[str, Any]]:
    """The named faults of a provider: those for both, and its own."""
    text = (resources.files("imagerouter.emulators") / "presets.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return {**table["both"], **table[provider]}
