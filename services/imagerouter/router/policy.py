"""The policy file's shape: ordered rules and thresholds, as data."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.catalogue import Status

Level = Literal["draft", "standard", "high"]
Share = Annotated[float, Field(ge=0, le=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Eligibility(_Table):
    """What may be routed to: catalogue statuses, and those that hold for models named by the caller."""

    statuses: tuple[Status, ...] = Field(min_length=1)
    named_statuses: tuple[Status, ...] = Field(min_length=1)
    ratio_tolerance: Share


class QualityOrder(_Table):
    """What to try, in order, when the caller leaves the quality open."""

    when_open: tuple[Level, ...] = Field(min_length=1)


class Adequacy(_Table):
    """Below this chance of acceptance a model is not adequate, and comes last where a rule asks for the lowest tier."""

    min_p_accept: Share


class Confidence(_Table):
    """How sure the policy is: `no_rule` alone, or the leading rule's own times the factors that apply."""

    no_rule: Share
    not_first_choice: Share
    contested: Share


class Steps(_Table):
    """What follows from former attempts. Outcomes are spelled as OutcomeKind without its prefix."""

    escalation_order: Literal["policy", "cheapest"]
    provider_out_after: tuple[str, ...]
    model_out_after: tuple[str, ...]
    other_provider_after: tuple[str, ...]

    @model_validator(mode="after")
    def _known(self) -> Steps:
        named = (*self.provider_out_after, *self.model_out_after, *self.other_provider_after)
        unknown = [name for name in named if f"OUTCOME_KIND_{name}" not in attempt_pb2.OutcomeKind.keys()]  # noqa: SIM118
        if unknown:
            msg = f"no such outcome: {', '.join(unknown)}"
            raise ValueError(msg)
        return self


class Selector(_Table):
    """Which routes a rule means: one of model, family, provider or tier."""

    model: str | None = None
    family: str | None = None
    provider: str | None = None
    tier: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Selector:
        if len(self.model_dump(exclude_none=True)) != 1:
            msg = "give exactly one of model, family, provider, tier"
            raise ValueError(msg)
        return self

    def label(self) -> str:
        """Say it in words, for a reason."""
        return next(f"{key} {value}" for key, value in self.model_dump(exclude_none=True).items())


class Condition(_Table):
    """Facts that must all hold. What is not given is not looked at."""

    mode: Literal["generate", "edit"] | None = None
    edit_actions: tuple[str, ...] | None = None
    content_class: Literal["structured_text", "photoreal", "creative"] | None = None
    has_references: bool | None = None
    min_references: int | None = None
    preserve_subject: bool | None = None
    same_character: bool | None = None
    text_heavy: bool | None = None
    renders_text: bool | None = None
    text_deliverables: tuple[str, ...] | None = None
    vague: bool | None = None
    bulk: bool | None = None
    preference: Literal["cost", "latency", "quality"] | None = None
    languages: tuple[str, ...] | None = None
    max_prompt_words: int | None = None
    min_count: int | None = None
    min_depth: int | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Condition:
        if not self.model_dump(exclude_none=True):
            msg = "an empty condition holds always; say what it is about"
            raise ValueError(msg)
        return self


class Chain(_Table):
    """What to do about a deep chain: RESET with an anchor and this many instructions since it, else ESCALATE."""

    min_instructions: int = Field(ge=1)


class Rule(_Table):
    """A rule: when it applies and what it prefers. Exactly one effect.

    `prefer` lists selectors, first choice first; routes that none selects come after. `order` sorts by tier. `chain`
    sets the decision's chain action, and where that is ESCALATE puts the highest tier first.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    reason: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1)
    confidence: Share
    when: tuple[Condition, ...] = Field(min_length=1)
    prefer: tuple[Selector, ...] | None = Field(default=None, min_length=1)
    order: Literal["lowest_tier", "highest_tier"] | None = None
    chain: Chain | None = None

    @model_validator(mode="after")
    def _one_effect(self) -> Rule:
        if sum(effect is not None for effect in (self.prefer, self.order, self.chain)) != 1:
            msg = "give exactly one of prefer, order, chain"
            raise ValueError(msg)
        return self


class Policy(_Table):
    """A policy file. `version` is recorded with every decision."""

    version: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}\.\d+$")
    date: date
    source: str
    eligibility: Eligibility
    quality: QualityOrder
    adequacy: Adequacy
    confidence: Confidence
    steps: Steps
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _unique(self) -> Policy:
        ids = [rule.id for rule in self.rules]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            msg = f"rules named twice: {', '.join(twice)}"
            raise ValueError(msg)
        return self
