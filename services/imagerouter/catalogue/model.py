"""One row of the catalogue: what a model is, can do, costs and takes. Nothing in the code may branch on an id."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imagerouter.catalogue.sizing import Frozen, SizeModel, Tier
from imagerouter.catalogue.tokens import TokenRules

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,62}$")]
Rate = Annotated[Decimal, Field(ge=0)]
Level = Literal["draft", "standard", "high"]


class Status(StrEnum):
    """How a model stands with its provider, as far as we know on the evidence's date."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    DISABLED = "disabled"
    RETIRED = "retired"


class Mode(StrEnum):
    """What a model can do. `preview` is pictures in the making; `markup` an overlay that says where to change."""

    GENERATE = "generate"
    EDIT = "edit"
    MASK = "mask"
    MULTI_TURN = "multi_turn"
    PREVIEW = "preview"
    MARKUP = "markup"


class Evidence(Frozen):
    """Where a fact comes from and when it was read."""

    source: str
    as_of: date
    note: str = ""


class Latency(Frozen):
    """Median and 95th percentile of a provider call, in milliseconds. `inferred` names figures that nobody measured."""

    p50_ms: int = Field(gt=0)
    p95_ms: int = Field(gt=0)
    inferred: tuple[Literal["p50", "p95"], ...] = ()


class Quality(Frozen):
    """A setting of the provider's quality knob. `name` is its string, empty for a model without the knob.

    `levels` are the canonical qualities that it serves; a setting that serves none is known (for billing) and never
    routed to.
    """

    name: str
    levels: tuple[Level, ...]
    latency: dict[Tier, Latency]


class Limits(Frozen):
    """What may go into one call. Byte limits are for the files themselves, before any encoding. None is no limit."""

    prompt_characters: int = Field(gt=0)
    references: int = Field(ge=0)
    reference_bytes: int = Field(gt=0)
    references_total_bytes: int | None = None
    mask_bytes: int | None = None
    count: int = Field(ge=1)
    reference_media_types: tuple[str, ...]


class Output(Frozen):
    """What comes out. `formats` can be asked for; `returned_formats` is what may come where the provider decides."""

    formats: tuple[Literal["png", "jpeg", "webp"], ...] = ()
    returned_formats: tuple[Literal["png", "jpeg", "webp"], ...]
    gated_formats: tuple[str, ...] = ()
    transparency: Literal["yes", "preview", "no"]
    background_knob: bool
    seed: Literal["no", "accepted"]
    watermark: tuple[Literal["c2pa", "synthid"], ...]


class Prices(Frozen):
    """US dollars per million tokens, which is micro-dollars per token. `batch_factor` is the batch rate's share of it.

    A rate that the provider does not name is absent; `pricing` then charges the nearest higher one.
    """

    input_text: Rate
    input_image: Rate
    cached_input_text: Rate | None = None
    cached_input_image: Rate | None = None
    output_image: Rate
    output_text: Rate | None = None
    batch_factor: Rate | None = None
    inferred: tuple[str, ...] = ()
    as_of: date
    source: str


class Model(Frozen):
    """A model that can be, or could lately be, called.

    `tier` is its position in the cost cascade, 1 the lowest; `tier_reason` says why it stands there. `aliases` are the
    dated snapshots and other names of the same model. `timeouts_ms` is how long a client should wait, by tier.
    """

    id: Id
    title: str
    provider: Id
    family: Id
    tier: int = Field(ge=1, le=9)
    tier_reason: str
    status: Status
    released: date
    available_from: date | None = None
    shutdown_at: date | None = None
    replacement: Id | None = None
    aliases: tuple[Id, ...] = ()
    evidence: Evidence
    modes: frozenset[Mode]
    size: SizeModel
    qualities: tuple[Quality, ...] = Field(min_length=1)
    thinking: tuple[str, ...] = ()
    limits: Limits
    output: Output
    prices: Prices
    tokens: TokenRules
    rate_units: tuple[str, ...]
    timeouts_ms: dict[Tier, int]
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        wrong = [f"timeouts_ms lacks {tier}" for tier in self.size.tiers if tier not in self.timeouts_ms]
        for quality in self.qualities:
            wrong += [
                f"quality {quality.name!r} lacks latency for {tier}"
                for tier in self.size.tiers
                if tier not in quality.latency
            ]
        names = [quality.name for quality in self.qualities]
        if len(names) != len(set(names)):
            wrong.append("a quality is named twice")
        if self.tokens.output.kind == "grid":
            wrong += [f"no token factor for {name!r}" for name in names if name not in self.tokens.output.factors]
        if self.tokens.output.kind == "table":
            wrong += [f"no token table for {name!r}" for name in names if name not in self.tokens.output.table]
        if self.tokens.output.kind == "tier":
            wrong += [f"no tokens for {tier}" for tier in self.size.tiers if tier not in self.tokens.output.by_tier]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def not_offered(self, day: date) -> str:
        """Say why it cannot be called on `day` (UTC) as far as dates go; empty if it can."""
        start = self.available_from or self.released
        if day < start:
            return f"available from {start}"
        if self.shutdown_at is not None and day >= self.shutdown_at:
            return f"shut down {self.shutdown_at}" + (f", replaced by {self.replacement}" if self.replacement else "")
        return ""

    def quality(self, name: str) -> Quality:
        """Return the setting of that name; KeyError if there is none."""
        for quality in self.qualities:
            if quality.name == name:
                return quality
        raise KeyError(name)


class RetiredModel(Frozen):
    """A model that is gone: kept so that its id is told from a misspelling, and its successor can be named."""

    id: Id
    title: str
    provider: Id
    family: Id
    status: Literal[Status.RETIRED] = Status.RETIRED
    shutdown_at: date
    replacement: Id
    evidence: Evidence
