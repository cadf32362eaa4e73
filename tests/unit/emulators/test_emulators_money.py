"""Tokens, prices, latency."""

from decimal import Decimal

import pytest

from imagerouter.catalogue import Catalogue
from imagerouter.emulators import latency, tokens
from imagerouter.emulators.pricing import Tally, price


@pytest.mark.parametrize(
    ("model", "quality", "size", "expected"),
    [
        ("gpt-image-2", "low", (1024, 1024), 196),
        ("gpt-image-2", "medium", (1024, 1024), 1756),
        ("gpt-image-2", "high", (1024, 1024), 7024),
        ("gpt-image-2", "high", (1536, 1024), 5488),
        ("gpt-image-2", "high", (1024, 1536), 5488),
        ("gpt-image-2", "medium", (3840, 2160), 3336),
        ("gpt-image-2", "high", (2880, 2880), 23719),
        ("gpt-image-2.5-flare", "medium", (1024, 1024), 439),
        ("gpt-image-2.5-sunburst", "xhigh", (1024, 1024), 3122),
        ("gpt-image-1.5", "high", (1024, 1536), 6240),
        ("gpt-image-1.5", "low", (1024, 1024), 272),
    ],
)
def test_output_tokens_are_the_published_ones(
    catalogue: Catalogue, model: str, quality: str, size: tuple[int, int], expected: int
) -> None:
    """The table of providers.md 1.4, to the token."""
    assert tokens.output_tokens(catalogue.get(model), quality, *size, "1K") == expected


def test_newest_low_and_medium_use_more_tokens_than_their_predecessor(catalogue: Catalogue) -> None:
    """2.6 low and medium are 3 to 4 times 2.5's; high and above are the same."""
    old, new = catalogue.get("gpt-image-2.5-flare"), catalogue.get("gpt-image-2.6-flare")
    ratio = tokens.output_tokens(new, "medium", 1024, 1024, "1K") / tokens.output_tokens(
        old, "medium", 1024, 1024, "1K"
    )

    assert 3 <= ratio <= 4
    assert tokens.output_tokens(new, "high", 1024, 1024, "1K") == tokens.output_tokens(old, "high", 1024, 1024, "1K")


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 1024), 1024), ((4096, 4096), 1536), ((512, 512), 1024), ((64, 64), 16)]
)
def test_reference_tokens_follow_the_patch_rule(catalogue: Catalogue, size: tuple[int, int], expected: int) -> None:
    """32-pixel patches, small pictures enlarged at most twice, a budget of 1,536."""
    assert tokens.reference_tokens(catalogue.get("gpt-image-2"), *size) == expected


def test_prompt_tokens_count_scripts_differently(catalogue: Catalogue) -> None:
    """Four Latin letters a token, one token a Han character, six of overhead for OpenAI."""
    model = catalogue.get("gpt-image-2")

    assert tokens.prompt_tokens(model, "a" * 40) == 16
    assert tokens.prompt_tokens(model, "東京都庁") == 10


def test_price_is_tokens_times_rate_rounded_once_half_up(catalogue: Catalogue) -> None:
    """A published image costs what is published, and halves go up."""
    rates = catalogue.get("gpt-image-2").prices
    one_k = price(Tally(output_image=1756), rates)
    half = price(Tally(input_text=1, output_text=1), _Rates(Decimal("1.25"), Decimal("1.25")))

    assert one_k.micros == 52_680
    assert half.micros == 3
    assert sum(half.components.values()) == Decimal("2.50")


class _Rates:
    input_image = output_image = Decimal(0)

    def __init__(self, input_text: Decimal, output_text: Decimal) -> None:
        self.input_text, self.output_text = input_text, output_text


def test_a_gemini_image_costs_what_its_page_says(catalogue: Catalogue) -> None:
    """$0.134 for a 1K picture of gemini-3-pro-image, $0.24 at 4K."""
    model = catalogue.get("gemini-3-pro-image")

    micros = [
        price(Tally(output_image=tokens.output_tokens(model, "", 1, 1, tier)), model.prices).micros
        for tier in ("1K", "4K")
    ]

    assert micros == [134_400, 240_000]


def test_latency_goes_through_the_median_and_the_95th_percentile(catalogue: Catalogue) -> None:
    """The middle of the spread is p50, its 95 % point p95, and the same chance gives the same time."""
    model = catalogue.get("gpt-image-2")

    assert latency.seconds(model, "medium", "1K", 0.5) == pytest.approx(45, rel=0.001)
    assert latency.seconds(model, "medium", "1K", 0.95) == pytest.approx(100, rel=0.001)
    assert latency.seconds(model, "medium", "1K", 1.0) <= 150


@pytest.mark.parametrize(
    ("size", "tier"), [((512, 512), "512"), ((1024, 1280), "1K"), ((2048, 2048), "2K"), ((3840, 2160), "4K")]
)
def test_tier_goes_by_area(size: tuple[int, int], tier: str) -> None:
    """A free size belongs to the tier nearest to it."""
    assert latency.tier_of(*size) == tier
