"""How many tokens things come to, worked out from the catalogue's rules and nothing else of ours."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

from imagerouter.catalogue import Model


def prompt_tokens(model: Model, prompt: str) -> int:
    """A prompt's tokens: a rate for ASCII characters, one for the others, and the fixed overhead."""
    rule = model.tokens.prompt
    plain = sum(char.isascii() for char in prompt)
    counted = plain * rule.ascii_rate + (len(prompt) - plain) * rule.other_rate
    return math.ceil(counted) + rule.fixed


def reference_tokens(model: Model, width: int, height: int) -> int:
    """A reference picture's tokens, by its size in pixels."""
    rule = model.tokens.reference
    if rule.kind == "fixed":
        return rule.tokens.expected
    wide, high = Decimal(width), Decimal(height)
    limit = rule.max_ratio
    wide, high = min(wide, high * limit), min(high, wide * limit)
    long_side = max(wide, high)
    grow = max(Decimal(1), min(rule.enlarge_max, Decimal(rule.enlarge_to) / long_side))
    patches = math.ceil(wide * grow / rule.patch) * math.ceil(high * grow / rule.patch)
    return min(patches, rule.budget)


def output_tokens(model: Model, quality: str, width: int, height: int, tier: str) -> int:
    """One picture's tokens.

    The grid is OpenAI's: the factor is the long side in cells, the short side follows the ratio, and each cell counts
    for more the larger the picture (providers.md 1.4).
    """
    rule = model.tokens.output
    if rule.kind == "tier":
        return next(count for name, count in rule.by_tier.items() if name == tier)
    if rule.kind == "table":
        return rule.table[quality][f"{width}x{height}"] + model.tokens.words.expected
    cells = rule.factors[quality]
    long_side, short_side = max(width, height), min(width, height)
    short_cells = (2 * cells * short_side + long_side) // (2 * long_side)
    tokens = -(-cells * short_cells * (2_000_000 + width * height) // 4_000_000)
    multiplier = rule.multipliers.get(quality)
    if multiplier is None:
        return tokens
    return int((tokens * multiplier.expected).to_integral_value(ROUND_HALF_UP))
