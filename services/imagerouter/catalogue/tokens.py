"""How models count tokens: what a picture costs to draw, what a reference and a prompt cost to read.

The data is filled from providers' calculators where they exist and from measurements of others where not; each model
lists in `inferred` which of its figures are neither.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from imagerouter.catalogue.sizing import Frozen, Tier

Tokens = Annotated[int, Field(ge=0)]


class Spread(Frozen):
    """An expected number of tokens, and one that is not expected to be exceeded."""

    expected: Tokens
    upper: Tokens


class Multiplier(Frozen):
    """What to multiply a formula's result by where only a range is known."""

    expected: Decimal = Field(gt=0)
    upper: Decimal = Field(gt=0)


class GridTokens(Frozen):
    """OpenAI's token grid: `factors` is the grid's long side by quality.

    `upper_margin` widens the upper estimate for sizes that the formula was not checked on.
    """

    kind: Literal["grid"]
    factors: dict[str, int]
    multipliers: dict[str, Multiplier] = Field(default_factory=dict)
    upper_margin: Decimal = Decimal(1)


class TableTokens(Frozen):
    """A table: quality, then size ("1024x1024"), then tokens."""

    kind: Literal["table"]
    table: dict[str, dict[str, Tokens]]
    upper_margin: Decimal = Decimal(1)


class TierTokens(Frozen):
    """So many tokens an image by tier, whatever the ratio."""

    kind: Literal["tier"]
    by_tier: dict[Tier, Tokens]
    upper_margin: Decimal = Decimal(1)


OutputTokens = Annotated[GridTokens | TableTokens | TierTokens, Field(discriminator="kind")]


class PatchReference(Frozen):
    """A reference is cut into patches of `patch` pixels; small ones are enlarged first, large ones cut to `budget`.

    Enlarged up to `enlarge_max` times toward a long side of `enlarge_to` pixels; the ratio is clamped to `max_ratio`.
    """

    kind: Literal["patches"]
    patch: int = Field(ge=1)
    budget: Tokens
    enlarge_to: int = Field(ge=1)
    enlarge_max: Decimal = Field(ge=1)
    max_ratio: Decimal = Field(ge=1)


class FixedReference(Frozen):
    """Every reference counts the same."""

    kind: Literal["fixed"]
    tokens: Spread


ReferenceTokens = Annotated[PatchReference | FixedReference, Field(discriminator="kind")]


class PromptTokens(Frozen):
    """A prompt's tokens by its characters: `fixed`, a rate for ASCII and one for the rest (kana, Han, accents)."""

    fixed: Tokens
    ascii_rate: Decimal = Field(gt=0)
    other_rate: Decimal = Field(gt=0)
    ascii_upper: Decimal = Field(gt=0)
    other_upper: Decimal = Field(gt=0)


class TokenRules(Frozen):
    """A model's token counts.

    `words` are what the model writes or thinks beside each picture. `input_per_image` says that each image of a call is
    billed like a separate call, input included. `preview` is the output tokens of one picture in the making.
    """

    output: OutputTokens
    reference: ReferenceTokens
    prompt: PromptTokens
    words: Spread
    preview: Tokens = 0
    input_per_image: bool = False
    inferred: tuple[str, ...] = ()
    source: str
