"""Sizes: what is drawn is within the model's limits, close to what was asked, and every difference is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import task_pb2
from imagerouter.catalogue import Catalogue, FixedSizes, FreeSize, Model, RatioTierSize, load_catalogue
from imagerouter.catalogue.sizes import Fit, Misfit, fit, read_wish, tier_of_pixels

MODELS = load_catalogue().models
TIERS = {
    "512": task_pb2.SIZE_TIER_512,
    "1K": task_pb2.SIZE_TIER_1K,
    "2K": task_pb2.SIZE_TIER_2K,
    "4K": task_pb2.SIZE_TIER_4K,
}

DRAWN = [
    ("gpt-image-2", "1:1", "1K", "1024x1024"),
    ("gpt-image-2", "4:5", "1K", "896x1120"),
    ("gpt-image-2", "21:9", "1K", "1568x672"),
    ("gpt-image-2", "16:9", "4K", "3840x2160"),
    ("gpt-image-2", "1:1", "4K", "2880x2880"),
    ("gpt-image-2", "1:1", "512", "816x816"),
    ("gpt-image-1.5", "2:3", "1K", "1024x1536"),
    ("gemini-3-pro-image", "4:5", "1K", "928x1152"),
    ("gemini-3-pro-image", "16:9", "2K", "2752x1536"),
    ("gemini-3-pro-image", "21:9", "4K", "6336x2688"),
    ("gemini-nano-banana-2.1", "1:8", "1K", "384x3072"),
    ("gemini-3.1-flash-image", "3:2", "512", "632x424"),
    ("gemini-2.5-flash-image", "16:9", "1K", "1344x768"),
]


@pytest.mark.parametrize(("name", "ratio", "tier", "pixels"), DRAWN)
def test_what_is_drawn_is_the_providers_size(
    catalogue: Catalogue, name: str, ratio: str, tier: str, pixels: str
) -> None:
    """Ratio and tier come to the provider's own pixels."""
    found = _fit(catalogue.get(name), ratio, tier)
    assert f"{found.width}x{found.height}" == pixels


@pytest.mark.parametrize(
    ("name", "ratio", "tier", "words"),
    [
        ("gpt-image-2", "4:1", "1K", "beyond 3:1"),
        ("gpt-image-1.5", "16:9", "1K", "18.5 % off"),
        ("gpt-image-1.5", "1:1", "2K", "draws 1K only"),
        ("gemini-3-pro-image", "4:1", "1K", "closest is 21:9"),
        ("gemini-3.1-flash-lite-image", "1:1", "2K", "draws up to 1K"),
    ],
)
def test_what_cannot_be_drawn_is_said_with_figures(
    catalogue: Catalogue, name: str, ratio: str, tier: str, words: str
) -> None:
    """A model that would miss the shape or the tier says so."""
    found = fit(catalogue.get(name), task_pb2.OutputSpec(aspect_ratio=ratio, size_tier=TIERS[tier]))
    assert isinstance(found, Misfit)
    assert words in found.detail


def test_provider_terms_are_those_of_the_size_model(catalogue: Catalogue) -> None:
    """Pixels for free sizes, ratio and tier for Gemini, ratio alone where there is no tier parameter."""
    free = _fit(catalogue.get("gpt-image-2"), "3:2", "1K")
    assert (free.size, free.aspect_ratio, free.image_size) == ("1248x832", "", "")
    pro = _fit(catalogue.get("gemini-3-pro-image"), "3:2", "2K")
    assert (pro.size, pro.aspect_ratio, pro.image_size) == ("", "3:2", "2K")
    old = _fit(catalogue.get("gemini-2.5-flash-image"), "3:2", "1K")
    assert (old.size, old.aspect_ratio, old.image_size) == ("", "3:2", "")


def test_exact_pixels_are_kept_where_they_can_be(catalogue: Catalogue) -> None:
    """1536x864 is drawn as asked by a model of free size, and mapped with a word by others."""
    spec = task_pb2.OutputSpec(width=1536, height=864)
    free = fit(catalogue.get("gpt-image-2"), spec)
    assert isinstance(free, Fit)
    assert (free.size, free.exact, free.negotiations) == ("1536x864", True, ())
    pro = fit(catalogue.get("gemini-3-pro-image"), spec)
    assert isinstance(pro, Fit)
    assert not pro.exact
    assert [(each.field, each.requested, each.applied) for each in pro.negotiations] == [
        ("output.width", "1536x864", "1376x768")
    ]


@pytest.mark.parametrize(
    "spec",
    [
        task_pb2.OutputSpec(aspect_ratio="0:0"),
        task_pb2.OutputSpec(aspect_ratio="4x5"),
        task_pb2.OutputSpec(aspect_ratio="1:0"),
        task_pb2.OutputSpec(aspect_ratio="16:9 "),
        task_pb2.OutputSpec(width=100),
        task_pb2.OutputSpec(width=-1, height=-1),
    ],
    ids=str,
)
def test_a_size_that_is_none_is_refused(spec: task_pb2.OutputSpec) -> None:
    """Nonsense does not become a default."""
    with pytest.raises(ValueError, match="width"):
        read_wish(spec)


@pytest.mark.parametrize(
    ("pixels", "tier"), [(1, "512"), (512 * 512, "512"), (1536 * 1024, "1K"), (2560 * 1440, "2K"), (3840 * 2160, "4K")]
)
def test_pixels_have_the_closest_tier(pixels: int, tier: str) -> None:
    """Sizes between tiers are priced and timed at the nearer one."""
    assert tier_of_pixels(pixels) == tier


@given(st.sampled_from(MODELS), st.integers(1, 40), st.integers(1, 40), st.sampled_from(sorted(TIERS)))
def test_every_fit_is_drawable_and_close(model: Model, wide: int, high: int, tier: str) -> None:
    """Whatever ratio and tier are asked, what comes out is a size of the model, within a tenth of the ratio."""
    found = fit(model, task_pb2.OutputSpec(aspect_ratio=f"{wide}:{high}", size_tier=TIERS[tier]))
    if isinstance(found, Misfit):
        return
    _assert_drawable(model, found)
    drawn, asked = found.width / found.height, wide / high
    assert max(drawn / asked, asked / drawn) <= 1.1 + 0.05 * isinstance(model.size, RatioTierSize)
    if drawn != asked and not isinstance(model.size, RatioTierSize):
        assert any(each.field == "output.aspect_ratio" for each in found.negotiations)


@given(st.sampled_from(MODELS), st.integers(1, 9000), st.integers(1, 9000))
def test_asked_pixels_are_met_or_the_difference_is_said(model: Model, width: int, height: int) -> None:
    """Exact means exact; anything else has its negotiation."""
    found = fit(model, task_pb2.OutputSpec(width=width, height=height))
    if isinstance(found, Misfit):
        return
    _assert_drawable(model, found)
    assert found.exact == ((found.width, found.height) == (width, height))
    assert found.exact == (not found.negotiations)


def _fit(model: Model, ratio: str, tier: str) -> Fit:
    found = fit(model, task_pb2.OutputSpec(aspect_ratio=ratio, size_tier=TIERS[tier]))
    assert isinstance(found, Fit), found
    return found


def _assert_drawable(model: Model, found: Fit) -> None:
    width, height, size = found.width, found.height, model.size
    if isinstance(size, FreeSize):
        assert width % 16 == height % 16 == 0
        assert max(width, height) <= 3840
        assert 655_360 <= width * height <= 8_294_400
        assert max(width, height) <= 3 * min(width, height)
        assert found.size == f"{width}x{height}"
    elif isinstance(size, FixedSizes):
        assert (width, height) in size.sizes
    else:
        assert found.aspect_ratio in size.ratios
        assert (width, height) == size.pixels[found.tier][found.aspect_ratio]
