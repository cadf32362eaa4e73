"""Aspect ratios, read and reduced."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_FORM: Final = re.compile(
    r"\s{0,8}(\d{1,5}(?:\.\d{1,3})?)\s{0,8}[:x/\u00d7\u2236]\s{0,8}(\d{1,5}(?:\.\d{1,3})?)\s{0,8}"
)

# The ratios that some model draws or some screen shows, for pictures whose own ratio is an accident of cropping.
SIMPLE: Final = tuple(
    Fraction(width, height)
    for width, height in (
        (1, 8), (1, 4), (1, 3), (9, 21), (1, 2), (9, 16), (2, 3), (3, 4), (4, 5), (1, 1),
        (5, 4), (4, 3), (3, 2), (16, 9), (2, 1), (21, 9), (3, 1), (4, 1), (8, 1),
    )
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Ratio:
    """Width to height, positive, in lowest terms."""

    value: Fraction

    @classmethod
    def of(cls, width: int, height: int) -> Ratio:
        """Return the ratio of positive pixels."""
        return cls(Fraction(width, height))

    def __str__(self) -> str:
        # 21:9 is what everybody calls 7:3.
        if self.value in _SPOKEN:
            return _SPOKEN[self.value]
        return f"{self.value.numerator}:{self.value.denominator}"

    def within(self, longest: float) -> bool:
        """Say whether the longer side is at most `longest` times the shorter."""
        return 1 / longest <= self.value <= longest

    def close_to(self, other: Ratio, tolerance: float) -> bool:
        """Say whether two ratios differ by at most `tolerance`, as a share."""
        return abs(math.log(self.value / other.value)) <= math.log1p(tolerance)

    def nearest_simple(self) -> Ratio:
        """Return the simple ratio that is closest in proportion."""
        return Ratio(min(SIMPLE, key=lambda simple: (abs(math.log(self.value / simple)), simple)))


_SPOKEN: Final = {Fraction(7, 3): "21:9", Fraction(3, 7): "9:21"}


def parse(text: str) -> Ratio | None:
    """Read "4:5", "4x5", "4/5", "1.85:1" and their full-width forms; None for anything else, also for 0:1 and 1:0."""
    if len(text) > 64:
        return None
    found = _FORM.fullmatch(unicodedata.normalize("NFKC", text).lower())
    if found is None:
        return None
    width, height = Fraction(found[1]), Fraction(found[2])
    return Ratio(width / height) if width and height else None
