"""Strings to render."""

from __future__ import annotations

import json

import pytest

from imagerouter.normalizer.core import load_tables
from imagerouter.normalizer.features import read

TABLES = load_tables()


def strings(prompt: str, *, text_heavy: bool | None = None) -> list[str]:
    """Return the strings of a prompt that are to be rendered."""
    return read(prompt, TABLES.rules, TABLES.languages, text_heavy=text_heavy).strings


@pytest.mark.parametrize(
    "quoted",
    [
        "\u201cOpen Late\u201d",
        '"Open Late"',
        "'Open Late'",
        "\u2018Open Late\u2019",
        "\u00abOpen Late\u00bb",
        "\u201eOpen Late\u201c",
        "\u300cOpen Late\u300d",
        "\u300eOpen Late\u300f",
    ],
)
def test_every_style_of_quotes_is_read(quoted: str) -> None:
    """The string is found whatever the quotes, without them."""
    assert strings(f"a neon sign reading {quoted} over a bar") == ["Open Late"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ('a poster with "A", "B" and "C"', ["A", "B", "C"]),
        ('a poster with the title "Twice" and again "Twice"', ["Twice"]),
        ("a sign saying 'Don't Stop'", ["Don't Stop"]),
        ("a poster with the headline \u201cDON\u2019T RUSH,\u201d", ["DON\u2019T RUSH"]),
        ("海报\uff0c标题写着\u201c夏日音乐节\u201d", ["夏日音乐节"]),
        ("「東京デザイン会」というタイトルのポスター", ["東京デザイン会"]),
        ('a print 24" x 36" with the title "HELLO"', ["HELLO"]),
        ('change the text from "Old Fest" to "New Day"', ["New Day"]),
        ("replace the headline 'A' with 'B'", ["B"]),
        ("remove the text 'SALE' and 'NEW'", []),
        ('a woman with "wet look" hair in a park', []),
        ("the girl's dog and the boy's cat on a sign", []),
        ('"a red cat sits on the wall of a house"', []),
        ('a sign that says "never closed', []),
        ('a sign that says ""', []),
        ('a sign that says "!!!"', []),
    ],
)
def test_a_string_counts_if_the_words_mean_it_to_be_seen(prompt: str, expected: list[str]) -> None:
    """Words beside it or the lettered work decide; what is to be taken away, and mere emphasis, does not count."""
    assert strings(prompt) == expected


def test_the_callers_flag_makes_all_strings_count() -> None:
    """A caller who says that lettering carries the message means what is quoted."""
    prompt = 'an evening scene, "Golden Hour"'

    assert strings(prompt) == []
    assert strings(prompt, text_heavy=True) == ["Golden Hour"]


def test_a_json_shaped_prompt_is_read_by_its_keys() -> None:
    """Values under text keys are rendered, in order, from lists too; values under other keys are not."""
    prompt = json.dumps(
        {
            "type": "advertisement",
            "headline": 'Go "fast"',
            "style": {"font": "bold sans", "mood": "calm"},
            "labels": ["A1", "B2"],
            "cta_button": "\u4eca\u3059\u3050\u8a66\u3059",
            "subtitle": "none",
            "text": "a long description of how the lettering should be set, in bold white on a dark ground, at the top",
            "panels": [{"title": "One"}, {"position": "left"}],
        }
    )

    assert strings(prompt) == ['Go "fast"', "A1", "B2", "今すぐ試す", "One"]
    assert strings(prompt[:-30])[:3] == ['Go "fast"', "A1", "B2"]


def test_a_json_escape_cannot_smuggle_what_protobuf_refuses() -> None:
    """A lone surrogate written as an escape stays an escape."""
    prompt = '{"a": "1", "b": "2", "headline": "x\\ud800y"}'

    assert strings(prompt) == ["x\\ud800y"]


def test_no_more_strings_are_kept_than_can_be_checked() -> None:
    """A hundred at most."""
    prompt = "a poster with " + ", ".join(f'"word{number}"' for number in range(300))

    assert len(strings(prompt)) == 100
