"""From the size a task asks for to one that a model draws. Pure; answers with what had to be changed.

`fit` never fails silently: it returns a Fit with a negotiation for every difference, or a Misfit that says why the
model cannot come close enough.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from imagerouter.api.common.v1 import task_pb2
from imagerouter.catalogue.model import Model
from imagerouter.catalogue.sizing import TIER_EDGE, TIERS, FixedSizes, FreeSize, RatioTierSize, Tier

_RATIO = re.compile(r"([1-9]\d{0,4}):([1-9]\d{0,4})")
_TIER_OF: dict[task_pb2.SizeTier.ValueType, Tier] = {
    task_pb2.SIZE_TIER_UNSPECIFIED: "1K",
    task_pb2.SIZE_TIER_512: "512",
    task_pb2.SIZE_TIER_1K: "1K",
    task_pb2.SIZE_TIER_2K: "2K",
    task_pb2.SIZE_TIER_4K: "4K",
}
# How far from the asked ratio a model may draw before it counts as unable to: 3:4 for 4:5 (6 %) passes, 3:2 for 16:9
# (17 %) does not.
DEFAULT_RATIO_TOLERANCE = 0.10
# A per cent of ratio is worth twenty of area: people see a wrong shape, not a few thousand pixels.
_RATIO_WEIGHT = 20.0
_SCREEN_4K = 3840 * 2160


@dataclass(frozen=True)
class Wish:
    """A task's size in numbers: `ratio` is width over height, `exact` the asked pixels or None."""

    width_part: int
    height_part: int
    tier: Tier
    exact: tuple[int, int] | None

    @property
    def ratio(self) -> float:
        """Width over height."""
        return self.width_part / self.height_part

    @property
    def label(self) -> str:
        """The ratio as text, in the terms asked."""
        return f"{self.width_part}:{self.height_part}"


@dataclass(frozen=True)
class Fit:
    """What a model is asked for and what it will draw.

    `size`, `aspect_ratio` and `image_size` are the provider's strings, empty where it has no such parameter. `width`
    and `height` are the expected pixels, `tier` is the one that prices and latencies are read at. `exact` is whether
    asked pixels (if any) are met to the pixel.
    """

    size: str
    aspect_ratio: str
    image_size: str
    width: int
    height: int
    tier: Tier
    exact: bool
    negotiations: tuple[task_pb2.Negotiation, ...]


@dataclass(frozen=True)
class Misfit:
    """Why a model cannot draw what is asked, in words with figures."""

    detail: str


def read_wish(spec: task_pb2.OutputSpec) -> Wish:
    """Read a task's output spec. ValueError if its ratio is not "width:height" or only one edge is given."""
    if bool(spec.width) != bool(spec.height) or spec.width < 0 or spec.height < 0:
        msg = "width and height go together"
        raise ValueError(msg)
    exact = (spec.width, spec.height) if spec.width else None
    if exact:
        divisor = math.gcd(*exact)
        pair = (exact[0] // divisor, exact[1] // divisor)
        return Wish(*pair, tier_of_pixels(exact[0] * exact[1]), exact)
    match = _RATIO.fullmatch(spec.aspect_ratio or "1:1")
    if match is None:
        msg = "aspect_ratio is width:height, both 1 to 99999"
        raise ValueError(msg)
    return Wish(int(match[1]), int(match[2]), _TIER_OF[spec.size_tier], None)


def fit(model: Model, spec: task_pb2.OutputSpec, *, ratio_tolerance: float = DEFAULT_RATIO_TOLERANCE) -> Fit | Misfit:
    """Find the size at which `model` comes closest to `spec`.

    `ratio_tolerance` is how far the drawn ratio may be off, as a fraction. ValueError as `read_wish`.
    """
    wish = read_wish(spec)
    if isinstance(model.size, FreeSize):
        return _fit_free(model.size, wish)
    if isinstance(model.size, FixedSizes):
        return _fit_fixed(model.size, wish, ratio_tolerance)
    return _fit_ratio_tier(model.size, wish, ratio_tolerance)


def tier_of_pixels(pixels: int) -> Tier:
    """Find the tier closest to so many pixels, by ratio: a tier's square, but for 4K what screens call 4K."""
    return min(TIERS, key=lambda tier: _log_off(max(pixels, 1), min(TIER_EDGE[tier] ** 2, _SCREEN_4K)))


def _fit_free(size: FreeSize, wish: Wish) -> Fit | Misfit:
    longer = max(wish.width_part, wish.height_part)
    shorter = min(wish.width_part, wish.height_part)
    if Decimal(longer) > size.max_ratio * shorter:
        return Misfit(f"ratio {wish.label} is beyond {size.max_ratio}:1")
    target = wish.exact[0] * wish.exact[1] if wish.exact else TIER_EDGE[wish.tier] ** 2
    if wish.exact and _allowed(size, *wish.exact):
        width, height = wish.exact
    else:
        width, height = nearest_free(size, wish.width_part, wish.height_part, target)
    drawn = f"{width}x{height}"
    tier_drawn = wish.tier if size.min_pixels <= target <= size.max_pixels else drawn
    why = f"edges are multiples of {size.multiple}, within the model's limits"
    changes = _changes(wish, (width, height), tier_drawn, (drawn, width / height), why)
    tier = tier_of_pixels(width * height) if wish.exact else wish.tier
    return Fit(drawn, "", "", width, height, tier, wish.exact in (None, (width, height)), changes)


def _fit_fixed(size: FixedSizes, wish: Wish, tolerance: float) -> Fit | Misfit:
    if TIERS.index(wish.tier) > TIERS.index(size.tier):
        return Misfit(f"draws {size.tier} only, {wish.tier} asked")
    width, height = min(size.sizes, key=lambda pair: (_distance(pair, wish), pair))
    drawn, ratio = f"{width}x{height}", width / height
    if _deviation(ratio, wish.ratio) > tolerance:
        return Misfit(f"ratio {wish.label}: closest is {drawn}, {_off(ratio, wish.ratio)} off")
    changes = _changes(wish, (width, height), size.tier, (drawn, ratio), "the closest of the model's sizes")
    return Fit(drawn, "", "", width, height, size.tier, wish.exact in (None, (width, height)), changes)


def _fit_ratio_tier(size: RatioTierSize, wish: Wish, tolerance: float) -> Fit | Misfit:
    if wish.exact:
        cells = [(tier, name) for tier in size.tiers for name in size.ratios]
        tier, name = min(cells, key=lambda cell: (_distance(size.pixels[cell[0]][cell[1]], wish), cell))
        if TIERS.index(tier) < TIERS.index(wish.tier):
            return Misfit(f"draws up to {size.tiers[-1]}, {wish.exact[0]}x{wish.exact[1]} asked")
    else:
        higher = [tier for tier in size.tiers if TIERS.index(tier) >= TIERS.index(wish.tier)]
        if not higher:
            return Misfit(f"draws up to {size.tiers[-1]}, {wish.tier} asked")
        tier = min(higher, key=TIERS.index)
        name = min(size.ratios, key=lambda each: (_deviation(_value(each), wish.ratio), each))
    if _deviation(_value(name), wish.ratio) > tolerance:
        return Misfit(f"ratio {wish.label}: closest is {name}, {_off(_value(name), wish.ratio)} off")
    width, height = size.pixels[tier][name]
    changes = _changes(wish, (width, height), tier, (name, _value(name)), "the closest in the model's table")
    image_size = tier if size.tier_parameter else ""
    return Fit("", name, image_size, width, height, tier, wish.exact in (None, (width, height)), changes)


def _changes(
    wish: Wish, pixels: tuple[int, int], tier: str, shape: tuple[str, float], why: str
) -> tuple[task_pb2.Negotiation, ...]:
    """List the differences between a wish and what is drawn; `shape` is the drawn ratio as text and as a number."""
    drawn = f"{pixels[0]}x{pixels[1]}"
    if wish.exact:
        asked = f"{wish.exact[0]}x{wish.exact[1]}"
        return () if wish.exact == pixels else (_mapped("output.width", asked, drawn, why),)
    changes = []
    if tier != wish.tier:
        changes.append(_mapped("output.size_tier", wish.tier, tier, "the closest that the model draws"))
    if not math.isclose(shape[1], wish.ratio):
        changes.append(_mapped("output.aspect_ratio", wish.label, shape[0], f"{why}: {_off(shape[1], wish.ratio)} off"))
    return tuple(changes)


def _mapped(field: str, requested: str, applied: str, reason: str) -> task_pb2.Negotiation:
    return task_pb2.Negotiation(
        field=field,
        requested=requested,
        applied=applied,
        kind=task_pb2.NEGOTIATION_KIND_MAPPED,
        reason=reason,
        service="router",
    )


def _allowed(size: FreeSize, width: int, height: int) -> bool:
    return (
        width % size.multiple == 0
        and height % size.multiple == 0
        and max(width, height) <= size.max_edge
        and size.min_pixels <= width * height <= size.max_pixels
        and Decimal(max(width, height)) <= size.max_ratio * min(width, height)
    )


@lru_cache(maxsize=1024)
def nearest_free(size: FreeSize, width_part: int, height_part: int, target_pixels: int) -> tuple[int, int]:
    """Find the allowed width and height, in pixels, closest to a ratio and an area (brought within the limits)."""
    ratio = width_part / height_part
    area = min(max(target_pixels, size.min_pixels), size.max_pixels)
    best: tuple[float, int, int] | None = None
    for width in range(size.multiple, size.max_edge + 1, size.multiple):
        below = int(width / ratio) // size.multiple * size.multiple
        for height in (below, below + size.multiple):
            if height and _allowed(size, width, height):
                error = _RATIO_WEIGHT * _log_off(width / height, ratio) + _log_off(width * height, area)
                best = min(best or (math.inf, 0, 0), (round(error, 9), width, height))
    if best is None:
        msg = f"no size within the limits for {width_part}:{height_part}"
        raise ValueError(msg)
    return best[1], best[2]


def _distance(pair: tuple[int, int], wish: Wish) -> float:
    width, height = pair
    distance = _RATIO_WEIGHT * _log_off(width / height, wish.ratio)
    if wish.exact:
        distance += _log_off(width * height, wish.exact[0] * wish.exact[1])
    return round(distance, 9)


def _log_off(value: float, target: float) -> float:
    return abs(math.log(value / target))


def _deviation(drawn: float, asked: float) -> float:
    return max(drawn / asked, asked / drawn) - 1


def _off(drawn: float, asked: float) -> str:
    return f"{_deviation(drawn, asked) * 100:.1f} %"


def _value(ratio: str) -> float:
    width, _, height = ratio.partition(":")
    return int(width) / int(height)
