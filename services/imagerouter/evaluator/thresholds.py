"""The dated figures that checks are held to, from `thresholds.toml` beside this file."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from imagerouter.evaluator.measurement import Limits

_FILE: Final = Path(__file__).with_name("thresholds.toml")


class _Section(BaseModel):
    """A group of figures with where and when they are from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    source: str = Field(min_length=1)


class LimitThresholds(_Section):
    """How large an image may be to be decoded, and what decoding may take."""

    max_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)
    max_side: int = Field(gt=0)
    max_frames: int = Field(gt=0)
    max_scans: int = Field(gt=0)
    memory_bytes: int = Field(ge=128 * 1024 * 1024)
    cpu_s: float = Field(gt=0)

    def limits(self) -> Limits:
        """Return the figures alone, as the sandbox takes them."""
        return Limits(**self.model_dump(exclude={"as_of", "source"}))


class DimensionThresholds(_Section):
    """How far a side may be from what was promised, in pixels."""

    tolerance_pixels: int = Field(ge=0)


class AspectThresholds(_Section):
    """How far width divided by height may be from what was asked for, as a share of it."""

    tolerance: float = Field(gt=0, lt=1)


class BlankThresholds(_Section):
    """A picture with less spread than this and no more colours is blank. See Measurement for the units."""

    spread: float = Field(gt=0)
    colours: int = Field(gt=0)


class Thresholds(BaseModel):
    """All of them, under one version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1)
    limits: LimitThresholds
    dimensions: DimensionThresholds
    aspect: AspectThresholds
    blank: BlankThresholds


def load_thresholds(path: Path = _FILE) -> Thresholds:
    """Read a thresholds file. OSError if it is not there, ValueError if it is not one."""
    return Thresholds.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
