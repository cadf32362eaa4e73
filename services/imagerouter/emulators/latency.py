"""How long an execution takes: the catalogue's median, spread by the request, times the speed factor."""

from __future__ import annotations

import math
from statistics import NormalDist

from imagerouter.catalogue import Latency, Model

_NORMAL = NormalDist()
_Z95 = _NORMAL.inv_cdf(0.95)
# Pixels (geometric mean of the edges) up to which a size belongs to a tier.
_TIERS = (("512", 720), ("1K", 1500), ("2K", 2600), ("4K", 1 << 30))


def tier_of(width: int, height: int) -> str:
    """The tier that a size belongs to, by its area."""
    edge = math.sqrt(width * height)
    return next(name for name, limit in _TIERS if edge <= limit)


def seconds(model: Model, quality: str, tier: str, chance: float) -> float:
    """The latency at real speed. `chance` (0..1) is the quantile: the same request always takes as long.

    Log-normal through the median and the 95th percentile; never above 1.5 times the latter.
    """
    table = next((each for each in model.qualities if each.name == quality), model.qualities[0]).latency
    row: Latency = next((value for name, value in table.items() if name == tier), next(iter(table.values())))
    sigma = math.log(row.p95_ms / row.p50_ms) / _Z95
    drawn = row.p50_ms * math.exp(sigma * _NORMAL.inv_cdf(min(0.999, max(0.001, chance))))
    return min(drawn, 1.5 * row.p95_ms) / 1000
