"""The loop's thresholds, from a dated file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

_PACKAGED = Path(__file__).with_name("loop.toml")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Attempts(_Section):
    """How many attempts an image may have."""

    max: PositiveInt
    max_retries_of_a_route: NonNegativeInt
    max_parallel: PositiveInt


class Waits(_Section):
    """How long to wait before trying again, in seconds."""

    max_rate_limit_wait_s: NonNegativeFloat
    retry_backoff_s: NonNegativeFloat


class Unknown(_Section):
    """What to do after an unknown outcome."""

    fallback: bool


class Adapter(_Section):
    """What is expected of an adapter, in seconds."""

    silence_s: PositiveFloat


class Outage(_Section):
    """How long a model that is out of order is left out, in seconds."""

    seconds: PositiveFloat


class Defaults(_Section):
    """Limits of a request that gives none: micro-dollars and seconds."""

    budget_micros: PositiveInt
    time_s: PositiveFloat


class Limits(_Section):
    """Everything the loop is bound by. See loop.toml for the source of each figure."""

    version: str
    attempts: Attempts
    waits: Waits
    unknown: Unknown
    adapter: Adapter
    outage: Outage
    defaults: Defaults


def load_limits(path: Path | None = None) -> Limits:
    """Read the limits; pydantic.ValidationError names every problem of the file."""
    return Limits.model_validate(tomllib.loads((path or _PACKAGED).read_text()))
