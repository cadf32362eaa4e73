"""Ratios, and flags at the end of a prompt."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from normalizer_requests import settled, warned

from imagerouter.normalizer import aspect
from imagerouter.normalizer.aspect import SIMPLE, Ratio
from imagerouter.normalizer.flags import load_flags, take_flags


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("4:5", "4:5"),
        ("8:10", "4:5"),
        ("16x9", "16:9"),
        ("3/2", "3:2"),
        ("4\uff1a5", "4:5"),
        ("\uff14\uff1a\uff15", "4:5"),
        (" 4 : 5 ", "4:5"),
        ("16\u00d79", "16:9"),
        ("1024x1536", "2:3"),
        ("1.85:1", "37:20"),
        ("21:9", "21:9"),
        ("7:3", "21:9"),
    ],
)
def test_ratios_are_read_and_reduced(text: str, ratio: str) -> None:
    """Colons, crosses, slashes and full-width forms mean the same."""
    assert str(aspect.parse(text)) == ratio


@pytest.mark.parametrize(
    "text",
    ["", "0:0", "1:0", "0:1", "-4:5", "4", "4:5:6", "a:b", "1e9:1", "1000000:1", "nan:1", "\u221e:1", "4:5" * 30],
)
def test_what_is_no_ratio_is_none(text: str) -> None:
    """Zero, negative, endless and unreadable ratios are refused."""
    assert aspect.parse(text) is None


@given(st.integers(1, 16_384), st.integers(1, 16_384))
@settings(deadline=None)
def test_the_nearest_simple_ratio_is_the_nearest(width: int, height: int) -> None:
    """No simple ratio is closer in proportion than the one chosen."""

    def distance(other: Fraction) -> Fraction:
        value = Fraction(width, height)
        return max(value / other, other / value)

    nearest = Ratio.of(width, height).nearest_simple()

    assert all(distance(nearest.value) <= distance(simple) for simple in SIMPLE)


def flags(prompt: str) -> Any:
    """Take the flags off a prompt."""
    return take_flags(prompt, load_flags())


@pytest.mark.parametrize(
    ("prompt", "rest", "ratio", "size", "tier", "dropped"),
    [
        ("a cat --ar 4:5", "a cat", "4:5", (0, 0), "", ()),
        ("a cat --ar 4:5 --v 6 --style raw", "a cat", "4:5", (0, 0), "", ("--v 6", "--style raw")),
        ("a cat --size 1024x1536", "a cat", "None", (1024, 1536), "", ()),
        ("a cat --size 2K", "a cat", "None", (0, 0), "2K", ()),
        ("a cat \u2014ar 16:9", "a cat", "16:9", (0, 0), "", ()),
        ("a cat --aspect 3:2 --raw", "a cat", "3:2", (0, 0), "", ("--raw",)),
        ("a cat --ar 1:1 --ar 4:5", "a cat", "4:5", (0, 0), "", ()),
        ("--ar 4:5", "", "4:5", (0, 0), "", ()),
        ("a cat --no dogs --ar 4:5", "a cat --no dogs", "4:5", (0, 0), "", ()),
        ("a cat --ar 4:5 at night", "a cat --ar 4:5 at night", "None", (0, 0), "", ()),
        ("a cat --unknown 4", "a cat --unknown 4", "None", (0, 0), "", ()),
        ("a cat -- 4:5", "a cat -- 4:5", "None", (0, 0), "", ()),
        ("a cat --v", "a cat --v", "None", (0, 0), "", ()),
    ],
)
def test_flags_are_taken_off_the_end(
    prompt: str, rest: str, ratio: str, size: tuple[int, int], tier: str, dropped: tuple[str, ...]
) -> None:
    """Known flags at the end leave the prompt; others, and flags amid the words, are words."""
    found = flags(prompt)

    assert (found.prompt, str(found.ratio), (found.width, found.height), found.tier) == (rest, ratio, size, tier)
    assert found.dropped == dropped


@pytest.mark.parametrize("prompt", ["explain --ar please", "a cat --ar 0:0", "a cat --size huge", "a cat --size 00x00"])
def test_a_flag_that_cannot_be_read_stays(prompt: str) -> None:
    """A value that is none leaves the words alone, and the caller is told."""
    task = settled(prompt)

    assert task.prompt == prompt
    assert warned(task)["FLAG_NOT_UNDERSTOOD"] == "prompt"


def test_a_very_long_row_of_flags_ends() -> None:
    """Only so many flags are taken: the work stays linear."""
    assert flags("a cat" + " --v 6" * 5_000).prompt.count("--v") == 5_000 - 32
