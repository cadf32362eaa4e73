"""What an execution costs: the emulators' own arithmetic, so that the ledger's can be checked against it.

A rate in US dollars per million tokens is micro-dollars per token. The sum is rounded once, half up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol


class Rates(Protocol):
    """Dollars per million tokens (the catalogue's `Prices`). `output_text` is None where no words come out."""

    @property
    def input_text(self) -> Decimal:
        """The prompt's tokens."""

    @property
    def input_image(self) -> Decimal:
        """The references' tokens."""

    @property
    def output_image(self) -> Decimal:
        """The pictures' tokens."""

    @property
    def output_text(self) -> Decimal | None:
        """Words and thoughts."""


@dataclass(frozen=True)
class Tally:
    """Tokens of one execution, all images of the call together. Thoughts count as `output_text`."""

    input_text: int = 0
    input_image: int = 0
    output_image: int = 0
    output_text: int = 0

    def times(self, count: int) -> Tally:
        """The tally of `count` such calls."""
        return Tally(**{name: value * count for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Price:
    """`micros` is the rounded sum in micro-dollars; `components` are its exact parts."""

    micros: int
    components: dict[str, Decimal]


def price(tally: Tally, rates: Rates) -> Price:
    """The price of one execution."""
    words = rates.output_text if rates.output_text is not None else rates.output_image
    components = {
        "input_text": tally.input_text * rates.input_text,
        "input_image": tally.input_image * rates.input_image,
        "output_image": tally.output_image * rates.output_image,
        "output_text": tally.output_text * words,
    }
    total = sum(components.values(), Decimal(0))
    return Price(int(total.to_integral_value(ROUND_HALF_UP)), components)
