"""Prices and token counts agree with what the providers publish, and money is never under-counted."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, route_pb2, task_pb2
from imagerouter.catalogue import Catalogue, Model, load_catalogue
from imagerouter.catalogue.pricing import cost_micros, estimate, output_tokens, prompt_tokens, reference_tokens

MODELS = load_catalogue().models

# Published or reverse-engineered from OpenAI's calculator: providers.md 1.4.
GRID = [
    ("gpt-image-2", 1024, 1024, (196, 1756, 7024)),
    ("gpt-image-2", 1536, 1024, (158, 1372, 5488)),
    ("gpt-image-2", 1024, 1536, (158, 1372, 5488)),
    ("gpt-image-2", 3840, 2160, (371, 3336, 13342)),
    ("gpt-image-2", 2880, 2880, (659, 5930, 23719)),
    ("gpt-image-2.5-flare", 1024, 1024, (196, 439, 1756, 3122, 7024)),
    ("gpt-image-2.5-sunburst", 2048, 2048, (397, 892, 3568, 6343, 14272)),
    ("gpt-image-2.6-flare", 1024, 1024, (686, 1537, 1756, 3122, 7024)),
    ("gpt-image-1.5", 1536, 1024, (400, 1568, 6208)),
    ("gpt-image-1-mini", 1024, 1024, (272, 1056, 4160)),
]
# Dollars an image by tier: providers.md 2.3.
PER_IMAGE = [
    ("gemini-3-pro-image", "1K", ".134"),
    ("gemini-3-pro-image", "2K", ".134"),
    ("gemini-3-pro-image", "4K", ".24"),
    ("gemini-3.1-flash-image", "512", ".045"),
    ("gemini-3.1-flash-image", "1K", ".067"),
    ("gemini-3.1-flash-image", "2K", ".101"),
    ("gemini-3.1-flash-image", "4K", ".151"),
    ("gemini-nano-banana-2.1", "1K", ".0336"),
    ("gemini-3.1-flash-lite-image", "1K", ".0336"),
    ("gemini-2.5-flash-image", "1K", ".039"),
]


@pytest.mark.parametrize(("name", "width", "height", "tokens"), GRID)
def test_openai_output_tokens_are_the_published_ones(
    catalogue: Catalogue, name: str, width: int, height: int, tokens: tuple[int, ...]
) -> None:
    """Every setting's token count at a size is the table's."""
    model = catalogue.get(name)
    assert tuple(output_tokens(model, quality.name, width, height) for quality in model.qualities) == tokens


@pytest.mark.parametrize(("name", "tier", "dollars"), PER_IMAGE)
def test_google_images_cost_the_published_price(catalogue: Catalogue, name: str, tier: str, dollars: str) -> None:
    """Tokens times rate is the published price of an image, to the published digits."""
    model = catalogue.get(name)
    edge = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}[tier]
    tokens = output_tokens(model, "", edge, edge)
    micros = cost_micros(model, attempt_pb2.Usage(output_image_tokens=tokens))
    assert abs(Decimal(micros) / 1_000_000 - Decimal(dollars)) < Decimal("0.0006")


def test_cost_is_rounded_half_up_once(catalogue: Catalogue) -> None:
    """Two halves of a micro-dollar make one, and a single half is rounded up."""
    model = catalogue.get("gemini-3.1-flash-image")
    assert cost_micros(model, attempt_pb2.Usage(input_text_tokens=1)) == 1
    assert cost_micros(model, attempt_pb2.Usage(input_text_tokens=1, input_image_tokens=1)) == 1
    assert cost_micros(model, attempt_pb2.Usage(input_text_tokens=3)) == 2
    assert cost_micros(model, attempt_pb2.Usage()) == 0


def test_cached_input_has_its_own_rate(catalogue: Catalogue) -> None:
    """Cached tokens cost a quarter with gpt-image-2, and the full rate where the provider names none."""
    usage = attempt_pb2.Usage(cached_input_text_tokens=1000, cached_input_image_tokens=1000)
    assert cost_micros(catalogue.get("gpt-image-2"), usage) == 1250 + 2000
    assert cost_micros(catalogue.get("gemini-3-pro-image"), usage) == 2000 + 2000


def test_words_without_a_rate_cost_what_pictures_cost(catalogue: Catalogue) -> None:
    """A token kind that the price list does not have is not free."""
    usage = attempt_pb2.Usage(output_text_tokens=100)
    assert cost_micros(catalogue.get("gpt-image-2"), usage) == 3000
    assert cost_micros(catalogue.get("gemini-3-pro-image"), usage) == 1200


def test_batch_is_half(catalogue: Catalogue) -> None:
    """The batch factor applies to the sum, before rounding."""
    usage = attempt_pb2.Usage(output_image_tokens=1757)
    assert cost_micros(catalogue.get("gpt-image-2"), usage, batch=True) == 26355


@pytest.mark.parametrize(
    ("dimensions", "tokens"), [((1024, 1024), 1024), ((512, 512), 1024), ((256, 256), 256), ((4000, 3000), 1536)]
)
def test_openai_references_are_counted_in_patches(
    catalogue: Catalogue, dimensions: tuple[int, int], tokens: int
) -> None:
    """Small references are enlarged at most twofold, large ones stop at the budget."""
    spread = reference_tokens(catalogue.get("gpt-image-2"), [dimensions])
    assert (spread.expected, spread.upper) == (tokens, 1536)


def test_references_of_unknown_size_count_in_full(catalogue: Catalogue) -> None:
    """Nothing is reserved too low because dimensions are missing."""
    assert reference_tokens(catalogue.get("gpt-image-2"), [(0, 0), (0, 0)]).expected == 2 * 1536
    assert reference_tokens(catalogue.get("gemini-3-pro-image"), [(0, 0)] * 3).expected == 3 * 560


def test_prompts_in_han_cost_more_tokens_a_character(catalogue: Catalogue) -> None:
    """Four ASCII characters a token, one kana or Han character a token, plus the fixed six."""
    model = catalogue.get("gpt-image-2")
    assert prompt_tokens(model, "abcd" * 10).expected == 6 + 10
    assert prompt_tokens(model, "東京" * 10).expected == 6 + 20


def test_an_estimate_grows_with_count_references_and_previews(catalogue: Catalogue) -> None:
    """Everything that is billed is in the estimate."""
    model = catalogue.get("gpt-image-2")
    single = _parameters("medium", 1)
    plain = estimate(model, single, task_pb2.Task(prompt="x" * 400))
    reference = task_pb2.Reference(
        artifact=artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=9),
        dimensions=artifact_pb2.MediaDimensions(width=1024, height=1024),
    )
    with_reference = estimate(model, single, task_pb2.Task(prompt="x" * 400, references=[reference]))
    assert plain.expected == 1756 * 30 + (100 + 6) * 5
    assert with_reference.expected == plain.expected + 1024 * 8
    assert estimate(model, _parameters("medium", 3), task_pb2.Task(prompt="x" * 400)).expected == 3 * plain.expected
    assert estimate(model, single, task_pb2.Task(prompt="x" * 400), previews=2).expected == plain.expected + 6000


def test_an_estimate_needs_settled_parameters(catalogue: Catalogue) -> None:
    """Without size or count there is no estimate."""
    with pytest.raises(ValueError, match="settled"):
        estimate(catalogue.get("gpt-image-2"), route_pb2.RouteParameters(quality="low"), task_pb2.Task())


@given(st.sampled_from(MODELS), st.text(max_size=300), st.integers(0, 10), st.integers(0, 16))
def test_the_upper_estimate_is_never_below_the_expected(model: Model, prompt: str, number: int, count: int) -> None:
    """For every model, prompt, number of references and count: 0 < expected <= upper."""
    references = [task_pb2.Reference() for _ in range(number)]
    task = task_pb2.Task(prompt=prompt, references=references)
    for quality in model.qualities:
        found = estimate(model, _parameters(quality.name, count or 1), task)
        assert 0 < found.expected <= found.upper


def _parameters(quality: str, count: int) -> route_pb2.RouteParameters:
    return route_pb2.RouteParameters(quality=quality, count=count, expected_width=1024, expected_height=1024)
