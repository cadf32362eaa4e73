"""The ways in which models take sizes: any pixels within limits, a fixed list, or a ratio and a tier.

A tier is spelled as in the catalogue: "512", "1K", "2K", "4K". Pixels are given as "WIDTHxHEIGHT" in the data and read
into pairs of ints.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Tier = Literal["512", "1K", "2K", "4K"]
TIERS: tuple[Tier, ...] = ("512", "1K", "2K", "4K")
TIER_EDGE: dict[Tier, int] = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}


class Frozen(BaseModel):
    """A row of the catalogue: immutable, and refusing keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _pixels(value: object) -> object:
    if not isinstance(value, str):
        return value
    width, separator, height = value.partition("x")
    if not separator or not width.isdecimal() or not height.isdecimal():
        msg = f"{value!r} is not WIDTHxHEIGHT"
        raise ValueError(msg)
    return int(width), int(height)


Pixels = Annotated[tuple[int, int], BeforeValidator(_pixels)]


class FreeSize(Frozen):
    """Any width and height within limits, all in pixels. `multiple` divides both edges."""

    kind: Literal["free"]
    multiple: int = Field(ge=1)
    max_edge: int = Field(ge=1)
    min_pixels: int = Field(ge=1)
    max_pixels: int = Field(ge=1)
    max_ratio: Decimal = Field(ge=1)
    experimental_above_pixels: int | None = None

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Every tier: what is out of limits is brought to the nearest limit."""
        return TIERS


class FixedSizes(Frozen):
    """One of a few sizes, all of one tier."""

    kind: Literal["fixed"]
    sizes: tuple[Pixels, ...] = Field(min_length=1)
    tier: Tier = "1K"

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The one tier there is."""
        return (self.tier,)


class RatioTierSize(Frozen):
    """One of a few ratios at one of a few tiers; the provider's table says how many pixels that comes to.

    `table_name` names the table of the data file that several models share; `pixels` is that table, read in. A model
    that takes no tier parameter (`tier_parameter` false) has one tier and is not told of it.
    """

    kind: Literal["ratio_tier"]
    ratios: tuple[str, ...] = Field(min_length=1)
    tiers: tuple[Tier, ...] = Field(min_length=1)
    table_name: str
    tier_parameter: bool = True
    pixels: dict[Tier, dict[str, Pixels]]

    @model_validator(mode="after")
    def _complete(self) -> RatioTierSize:
        missing = [
            f"{tier} {ratio}" for tier in self.tiers for ratio in self.ratios if ratio not in self.pixels.get(tier, {})
        ]
        if missing:
            msg = f"pixel table {self.table_name!r} lacks {', '.join(missing)}"
            raise ValueError(msg)
        return self


SizeModel = Annotated[FreeSize | FixedSizes | RatioTierSize, Field(discriminator="kind")]
