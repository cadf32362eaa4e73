"""The output spec that fields, flags, words and the base settle together."""

from __future__ import annotations

from typing import Any

import pytest
from normalizer_requests import MASK, PHOTO, constraints, negotiated, output, reference, request, settled, warned

from imagerouter.api.common.v1 import task_pb2
from imagerouter.normalizer.aspect import Ratio
from imagerouter.normalizer.core import normalize
from imagerouter.normalizer.imagehead import ImageFacts
from imagerouter.runtime.errors import InvalidField


def test_defaults_are_settled_and_told() -> None:
    """One square PNG of 1K, each of it in the receipt; quality and background are left to the router and the model."""
    task = settled()

    assert task.output == output(
        count=1,
        aspect_ratio="1:1",
        size_tier=task_pb2.SIZE_TIER_1K,
        format=task_pb2.OUTPUT_FORMAT_PNG,
    )
    assert negotiated(task) == {
        "output.count": ("DEFAULTED", "", "1"),
        "output.aspect_ratio": ("DEFAULTED", "", "1:1"),
        "output.size_tier": ("DEFAULTED", "", "1K"),
        "output.format": ("DEFAULTED", "", "png"),
    }
    assert {negotiation.service for negotiation in task.negotiations} == {"normalizer"}


def test_what_the_caller_says_is_kept() -> None:
    """A full spec comes through unchanged, with nothing negotiated."""
    spec = output(
        count=4,
        aspect_ratio="4:5",
        size_tier=task_pb2.SIZE_TIER_2K,
        quality=task_pb2.QUALITY_HIGH,
        format=task_pb2.OUTPUT_FORMAT_WEBP,
        background=task_pb2.BACKGROUND_TRANSPARENT,
    )
    task = settled(output=spec)

    assert task.output == spec
    assert not task.negotiations


@pytest.mark.parametrize(
    ("size", "tier"),
    [
        ((512, 512), "512"),
        ((1024, 1024), "1K"),
        ((1024, 1536), "1K"),
        ((1536, 1536), "2K"),
        ((2048, 1152), "2K"),
        ((3840, 2160), "4K"),
        ((1, 1), "512"),
        ((8192, 8192), "4K"),
    ],
)
def test_the_tier_follows_from_the_pixels(size: tuple[int, int], tier: str) -> None:
    """Width and height decide the tier and the ratio, and the receipt says so."""
    task = settled(output=output(width=size[0], height=size[1]))

    assert task.output.size_tier == task_pb2.SizeTier.Value(f"SIZE_TIER_{tier}")
    assert task.output.aspect_ratio == str(Ratio.of(*size))
    assert negotiated(task)["output.size_tier"] == ("DEFAULTED", "", tier)


def test_a_tier_that_the_pixels_contradict_gives_way() -> None:
    """Exact pixels say more than a tier."""
    task = settled(output=output(width=1024, height=1024, size_tier=task_pb2.SIZE_TIER_4K))

    assert task.output.size_tier == task_pb2.SIZE_TIER_1K
    assert negotiated(task)["output.size_tier"] == ("MAPPED", "4K", "1K")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"constraints": constraints(aspect_ratio="0:0")}, "constraints.aspect_ratio"),
        ({"output": output(aspect_ratio="0:0")}, "output.aspect_ratio"),
        ({"output": output(aspect_ratio="-4:5")}, "output.aspect_ratio"),
        ({"output": output(aspect_ratio="9:1")}, "output.aspect_ratio"),
        ({"constraints": constraints(aspect_ratio="1:9")}, "constraints.aspect_ratio"),
        (
            {"constraints": constraints(aspect_ratio="4:5"), "output": output(aspect_ratio="5:4")},
            "constraints.aspect_ratio",
        ),
        ({"output": output(width=1024, height=100)}, "output.width"),
        ({"output": output(width=1024, height=1024, aspect_ratio="4:5")}, "output.aspect_ratio"),
        (
            {"output": output(width=1024, height=1024), "constraints": constraints(aspect_ratio="4:5")},
            "constraints.aspect_ratio",
        ),
        ({"prompt": "a cat --ar 100:1"}, "prompt"),
        ({"prompt": "a cat --size 9000x9000"}, "prompt"),
        ({"prompt": "a cat --size 1000x100"}, "prompt"),
        ({"prompt": "--ar 4:5"}, "prompt"),
    ],
)
def test_a_canvas_that_cannot_be_is_refused_where_it_was_asked_for(fields: dict[str, Any], field: str) -> None:
    """The field that the caller used is named."""
    with pytest.raises(InvalidField) as caught:
        settled(**fields)

    assert caught.value.fields[0].field == field


def test_equal_ratios_agree() -> None:
    """The same ratio in other terms is no contradiction, and the shorthand is gone from the task's constraints."""
    task = settled(output=output(aspect_ratio="8:10"), constraints=constraints(aspect_ratio="4:5"))

    assert task.output.aspect_ratio == "4:5"
    assert task.constraints.aspect_ratio == ""


def test_pixels_rounded_to_the_model_still_fit_their_ratio() -> None:
    """1920 x 1088 is 16:9 for a model whose sides are multiples of 16."""
    assert settled(output=output(width=1920, height=1088, aspect_ratio="16:9")).output.aspect_ratio == "16:9"


def test_flags_are_mapped_and_told() -> None:
    """A flag fills what the request left open, and leaves the prompt."""
    task = settled("a cat --ar 4:5 --v 6")

    assert (task.prompt, task.output.aspect_ratio) == ("a cat", "4:5")
    kinds = [(n.field, n.requested, n.applied, n.kind) for n in task.negotiations if n.field == "prompt"]
    assert kinds == [
        ("prompt", "--v 6", "", task_pb2.NEGOTIATION_KIND_DROPPED),
        ("prompt", "--ar 4:5", "4:5", task_pb2.NEGOTIATION_KIND_MAPPED),
    ]


def test_the_size_flag_gives_the_pixels() -> None:
    """--size is width and height."""
    task = settled("a cat --size 1024x1536")

    assert (task.output.width, task.output.height, task.output.aspect_ratio) == (1024, 1536, "2:3")
    assert settled("a cat --size 4k").output.size_tier == task_pb2.SIZE_TIER_4K


@pytest.mark.parametrize(
    ("prompt", "spec"),
    [
        ("a cat --ar 4:5", {"aspect_ratio": "16:9"}),
        ("a cat --size 1024x1536", {"aspect_ratio": "16:9"}),
        ("a cat --size 1024x1536", {"width": 1920, "height": 1080}),
        ("a cat --ar 4:5", {"width": 1920, "height": 1080}),
        ("a cat --size 4K", {"aspect_ratio": "16:9", "size_tier": task_pb2.SIZE_TIER_1K}),
    ],
)
def test_fields_win_over_flags(prompt: str, spec: dict[str, Any]) -> None:
    """What the request says in a field counts; the flag is dropped, with a warning."""
    task = settled(prompt, output=output(**spec))

    assert (task.prompt, task.output.aspect_ratio) == ("a cat", "16:9")
    assert warned(task)["FLAG_OVERRIDDEN"] == "prompt"
    assert negotiated(task)["prompt"][0] == "DROPPED"


def test_a_flag_that_agrees_is_no_matter() -> None:
    """The same ratio in flag and field is taken without a word."""
    assert not warned(settled("a cat --ar 4:5", output=output(aspect_ratio="4:5")))


@pytest.mark.parametrize(
    ("prompt", "ratio"),
    [
        ("a vertical 9:16 wallpaper of a lake", "9:16"),
        ('{"type": "poster", "aspect_ratio": "4:5"}', "4:5"),
        ("海报\uff0c比例 3\uff1a4", "3:4"),
        ("a 16:9 scene inside a 4:3 screen", "1:1"),
        ("a clock that shows 9:41", "1:1"),
        ("a video at 0:16:90", "1:1"),
    ],
)
def test_one_ratio_named_in_words_is_taken(prompt: str, ratio: str) -> None:
    """A usual ratio that the words name is the default; times of day, and two ratios, are not."""
    assert settled(prompt).output.aspect_ratio == ratio
    assert settled(prompt, output=output(aspect_ratio="2:1")).output.aspect_ratio == "2:1"


@pytest.mark.parametrize(
    ("size", "ratio"), [((4032, 3024), "4:3"), ((1170, 2532), "9:21"), ((1000, 998), "1:1"), ((9000, 600), "8:1")]
)
def test_an_edit_keeps_the_shape_of_its_base(size: tuple[int, int], ratio: str) -> None:
    """Without a wish, an edit takes the simple ratio nearest to the base's."""
    facts = ImageFacts("image/png", *size, has_alpha=False, size_bytes=9)

    assert settled("add a hat", [facts], references=[reference()]).output.aspect_ratio == ratio


def test_references_of_a_new_image_do_not_shape_it() -> None:
    """Only an edit has a base."""
    task = settled("a portrait", [PHOTO], references=[reference()], mode=task_pb2.MODE_GENERATE)

    assert task.output.aspect_ratio == "1:1"


def test_the_mask_does_not_shape_the_image() -> None:
    """Facts of the mask come last and are the mask's alone."""
    task = normalize(request("add a hat", references=[reference()], mask=reference(1)), [PHOTO, MASK])

    assert task.output.aspect_ratio == "4:3"
    assert task.mask.dimensions.width == 1600
