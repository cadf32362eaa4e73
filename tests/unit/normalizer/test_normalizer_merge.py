"""Instructions of a chain, merged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from normalizer_requests import BULKY_CASES

from imagerouter.normalizer.core import load_tables
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.merge import load_merging, merge
from imagerouter.normalizer.text import clean
from imagerouter.runtime.errors import InvalidField

HEADING = load_merging().data.heading


def merged(*instructions: str) -> str:
    """Merge by the packaged table."""
    return merge(instructions, load_merging(), load_tables().languages, Limits())


def lines(*instructions: str) -> list[str]:
    """Merge, and return the instructions that are left."""
    prompt = merged(*instructions)
    if prompt.split("\n")[0] not in HEADING.values():
        return [prompt]
    return [line.split(". ", 1)[1] for line in prompt.split("\n")[1:]]


def test_one_instruction_is_returned_as_it_is() -> None:
    """There is nothing to merge; only the outside is trimmed."""
    assert merged("  Make the sky red. ") == "Make the sky red."


def test_several_are_listed_in_order_under_a_heading() -> None:
    """Oldest first, numbered, and the heading says which counts."""
    assert merged("Add a dog", "Make it snow", "Remove the lamp") == (
        f"{HEADING['en']}\n1. Add a dog\n2. Make it snow\n3. Remove the lamp"
    )


@pytest.mark.parametrize(
    ("instructions", "left"),
    [
        (
            ["Change the background to a beach", "Replace the backdrop with a city"],
            ["Replace the backdrop with a city"],
        ),
        (["make the car red", "change the car to blue"], ["change the car to blue"]),
        (["make the car red", "change the color of the car to green"], ["change the color of the car to green"]),
        (["make the car red", "replace the car with a boat"], ["replace the car with a boat"]),
        (['Change the title to "One"', 'Change the title to "Two"'], ['Change the title to "Two"']),
        (["turn it into a watercolor", "make the photo a pixel art"], ["make the photo a pixel art"]),
        (["make it night", "make it sunset"], ["make it sunset"]),
        (["Add a red hat to the man", "Remove the hat"], ["Remove the hat"]),
        (["make the hat green", "Remove the hat"], ["Remove the hat"]),
        (["Add a dog", "Add a dog."], ["Add a dog."]),
        (["把背景换成海滩", "把背景换成城市"], ["把背景换成城市"]),
        (["把车换成红色", "把车换成蓝色"], ["把车换成蓝色"]),
        (["背景を海に変えて", "背景を街に変えて"], ["背景を街に変えて"]),
        (["cambia el fondo por una playa", "cambia el fondo por un bosque"], ["cambia el fondo por un bosque"]),
    ],
)
def test_a_later_change_of_the_same_thing_takes_the_place(instructions: list[str], left: list[str]) -> None:
    """The same target, or the same attribute of it, set again: only the later is left."""
    assert lines(*instructions) == left


@pytest.mark.parametrize(
    "instructions",
    [
        ["Make the car a truck", "make the car red"],
        ["把车换成卡车", "把车换成红色"],
        ["make the car red", "make the car bigger"],
        ["make the sky red", "make the sky a bit darker"],
        ["make the car red", "make the boat red"],
        ['Replace "A" with "B"', 'Replace "B" with "C"'],
        ["Add a dog", "Add a cat"],
        ["Remove the hat", "Add a hat"],
        ["turn it into a watercolor", "make it night"],
        ["change the title to a larger font", "change the subtitle to blue"],
        ["what a lovely day", "the cat should smile"],
    ],
)
def test_what_builds_on_another_change_is_kept(instructions: list[str]) -> None:
    """Other things, other attributes, words of degree, and what is not understood: all are kept, in order."""
    assert lines(*instructions) == instructions


def test_an_instruction_loses_only_the_clause_that_was_replaced() -> None:
    """The other clauses of the sentence stay."""
    assert lines("Change the background to a beach, and add a red kite", "change the background to a lake") == [
        "add a red kite.",
        "change the background to a lake",
    ]
    assert lines("背景を海に変えて、帽子を追加して", "背景を街に変えて")[0] == "帽子を追加して。"


def test_words_in_quotes_are_lettering() -> None:
    """What a title says is no instruction: its verbs and dots mean nothing."""
    title = 'Change the title to "Go. Now, remove the hat."'

    assert lines("Add a hat", title) == ["Add a hat", title]


def test_undo_takes_back_the_last_one() -> None:
    """The instruction before it goes with it, as often as it is said."""
    assert lines("Add a cat", "Add a dog", "undo that") == ["Add a cat"]
    assert lines("Add a cat", "Add a dog", "undo", "Undo the last change.", "make it snow") == ["make it snow"]
    assert merged("Add a dog", "undo that") == load_merging().data.unchanged["en"]
    assert merged("帽子を追加して", "元に戻して") == load_merging().data.unchanged["ja"]


def test_the_heading_speaks_the_last_instructions_language() -> None:
    """The last instruction that has a language decides."""
    assert merged("add a dog", "把背景换成海滩").startswith(HEADING["zh"])
    assert merged("把背景换成海滩", "add a dog and a cat to the left").startswith(HEADING["en"])


@pytest.mark.parametrize(
    ("instructions", "field"),
    [
        ([], "instructions"),
        (["a"] * 65, "instructions"),
        (["a", " \u200b"], "instructions[1]"),
        (["a", "b" * 32_001], "instructions[1]"),
        (["a" * 30_000, "b" * 30_000], "instructions"),
        (["a" * 32_000] * 5, "instructions"),
    ],
)
def test_bad_instructions_name_their_field(instructions: list[str], field: str) -> None:
    """Too many, empty, too long, or too long together."""
    with pytest.raises(InvalidField) as caught:
        merged(*instructions)

    assert caught.value.fields[0].field == field


SENTENCES = st.sampled_from(
    (
        "make the car red",
        "change the car to blue",
        "add a dog",
        "remove the dog",
        "undo that",
        "make it night",
        "a. b",
        "replace the sky with clouds, and add a hat",
        'change the title to "X"',
        "把背景换成海滩",
        "make it darker",
    )
)


@given(st.lists(st.one_of(SENTENCES, st.text(max_size=40)), min_size=1, max_size=12))
@settings(max_examples=BULKY_CASES, deadline=None)
def test_merging_is_total_and_the_last_word_stands(instructions: list[str]) -> None:
    """Any instructions give a prompt or an InvalidField, the same twice; the present one is never dropped."""
    try:
        prompt = merged(*instructions)
    except InvalidField:
        return
    last = clean(instructions[-1])
    clauses = load_merging().clauses(last)

    assert prompt
    assert prompt == merged(*instructions)
    assert load_merging().is_undo(last) or (clauses[-1].text.rstrip(".!?;") if clauses else last) in prompt


def test_a_clause_said_very_often_is_said_once() -> None:
    """Thousands of equal clauses in one chain are one."""
    assert lines(*["add a dog. " * 180] * 60) == ["add a dog."]
