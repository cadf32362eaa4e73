"""Tokens and money.

Rates are dollars per million tokens, which is micro-dollars per token, so a cost is one sum of products in Decimal,
rounded half up once.
`cost_micros` bills what a provider counted; `estimate` says beforehand what to expect and what to reserve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from imagerouter.api.common.v1 import attempt_pb2, route_pb2, task_pb2
from imagerouter.catalogue.model import Model
from imagerouter.catalogue.sizes import tier_of_pixels
from imagerouter.catalogue.sizing import Tier
from imagerouter.catalogue.tokens import GridTokens, Multiplier, PatchReference, Spread, TableTokens


@dataclass(frozen=True)
class Estimate:
    """Micro-dollars of one attempt: what to expect, and what no attempt should exceed."""

    expected: int
    upper: int


def cost_micros(model: Model, usage: attempt_pb2.Usage, *, batch: bool = False) -> int:
    """Work out what the provider charges for `usage`, in micro-dollars, half up.

    A token kind without a rate of its own is charged at the nearest higher one (cached input at the full input rate,
    words at the pictures' rate), so that nothing is under-counted. `batch` applies the batch factor; ValueError if the
    model has none.
    """
    prices = model.prices
    rates = (
        (usage.input_text_tokens, prices.input_text),
        (usage.input_image_tokens, prices.input_image),
        (usage.cached_input_text_tokens, _or(prices.cached_input_text, prices.input_text)),
        (usage.cached_input_image_tokens, _or(prices.cached_input_image, prices.input_image)),
        (usage.output_image_tokens, prices.output_image),
        (usage.output_text_tokens, _or(prices.output_text, prices.output_image)),
    )
    total = sum((Decimal(tokens) * rate for tokens, rate in rates), Decimal(0))
    if batch:
        if prices.batch_factor is None:
            msg = f"{model.id} has no batch rate"
            raise ValueError(msg)
        total *= prices.batch_factor
    return int(total.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def output_tokens(model: Model, quality: str, width: int, height: int, tier: Tier | None = None) -> int:
    """Output image tokens of one picture of `width` x `height` pixels at the provider's `quality` string.

    `tier` is needed only for models priced by tier, and worked out from the pixels if it is left out. KeyError for a
    quality or a size that the model does not have.
    """
    return _output_spread(model, quality, width, height, tier).expected


def prompt_tokens(model: Model, prompt: str) -> Spread:
    """Input text tokens of a prompt, by its characters."""
    rule = model.tokens.prompt
    plain = len(prompt.encode("ascii", "ignore"))
    other = len(prompt) - plain
    expected = plain * rule.ascii_rate + other * rule.other_rate
    upper = plain * rule.ascii_upper + other * rule.other_upper
    return Spread(expected=rule.fixed + math.ceil(expected), upper=rule.fixed + math.ceil(upper))


def reference_tokens(model: Model, dimensions: Sequence[tuple[int, int]]) -> Spread:
    """Input image tokens of references, given their widths and heights in pixels; 0x0 is one of unknown size."""
    rule = model.tokens.reference
    if not isinstance(rule, PatchReference):
        count = len(dimensions)
        return Spread(expected=rule.tokens.expected * count, upper=rule.tokens.upper * count)
    known = [_patches(rule, width, height) if width and height else rule.budget for width, height in dimensions]
    return Spread(expected=sum(known), upper=rule.budget * len(dimensions))


def estimate(
    model: Model, parameters: route_pb2.RouteParameters, task: task_pb2.Task, *, previews: int = 0
) -> Estimate:
    """Micro-dollars of one attempt at `task` with `parameters` (expected size and count settled).

    `previews` is how many pictures in the making are asked for. ValueError if the expected size or count is missing.
    """
    width, height, count = parameters.expected_width, parameters.expected_height, parameters.count
    if width < 1 or height < 1 or count < 1:
        msg = "expected_width, expected_height and count must be settled"
        raise ValueError(msg)
    tier: Tier | None = next((name for name in model.size.tiers if name == parameters.image_size), None)
    output = _output_spread(model, parameters.quality, width, height, tier)
    words = model.tokens.words
    prompt = prompt_tokens(model, task.prompt)
    images = [task.mask] if task.HasField("mask") else []
    inputs = [(item.dimensions.width, item.dimensions.height) for item in [*task.references, *images]]
    references = reference_tokens(model, inputs)
    reads = count if model.tokens.input_per_image else 1
    drawn = model.tokens.preview * previews

    def cost(text: int, image: int, out: int, said: int) -> int:
        usage = attempt_pb2.Usage(
            input_text_tokens=text * reads,
            input_image_tokens=image * reads,
            output_image_tokens=(out + drawn) * count,
            output_text_tokens=said * count,
        )
        return cost_micros(model, usage)

    return Estimate(
        expected=cost(prompt.expected, references.expected, output.expected, words.expected),
        upper=cost(prompt.upper, references.upper, output.upper, words.upper),
    )


def _output_spread(model: Model, quality: str, width: int, height: int, tier: Tier | None) -> Spread:
    rule = model.tokens.output
    factor = Multiplier(expected=Decimal(1), upper=Decimal(1))
    if isinstance(rule, GridTokens):
        base = _grid(rule.factors[quality], width, height)
        factor = rule.multipliers.get(quality, factor)
    elif isinstance(rule, TableTokens):
        base = rule.table[quality][f"{width}x{height}"]
    else:
        base = rule.by_tier[tier or _closest_tier(model, width * height)]
    expected = int((base * factor.expected).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return Spread(expected=expected, upper=math.ceil(base * factor.upper * rule.upper_margin))


def _grid(factor: int, width: int, height: int) -> int:
    """OpenAI's output tokens: a grid of `factor` cells on the long side, weighted by area in units of 2 M pixels."""
    long, short = max(width, height), min(width, height)
    cells = (2 * factor * short + long) // (2 * long)
    return (factor * cells * (2_000_000 + width * height) + 3_999_999) // 4_000_000


def _patches(rule: PatchReference, width: int, height: int) -> int:
    long, short = max(width, height), min(width, height)
    wide = Decimal(min(Decimal(long), short * rule.max_ratio))
    scale = min(max(Decimal(rule.enlarge_to) / wide, Decimal(1)), rule.enlarge_max)
    patches = math.ceil(wide * scale / rule.patch) * math.ceil(short * scale / rule.patch)
    return min(patches, rule.budget)


def _closest_tier(model: Model, pixels: int) -> Tier:
    tier = tier_of_pixels(pixels)
    return tier if tier in model.size.tiers else model.size.tiers[-1]


def _or(rate: Decimal | None, fallback: Decimal) -> Decimal:
    return fallback if rate is None else rate
