"""How a prompt is read before it is drawn."""

import pytest

from imagerouter.emulators.render.reading import MAX_STRINGS, read


@pytest.mark.parametrize(
    ("prompt", "layout"),
    [
        ("Create a clean bilingual event poster for a Tokyo design meetup", "poster"),
        ("设计一张关于咖啡历史的信息图", "infographic"),
        ("UI mockup of a mobile banking app", "mockup"),
        ("夏祭りのチラシ", "flyer"),
        ("A quiet mountain lake at dawn", "scene"),
        ("A discarded cardboard box on a street", "scene"),
        ("A portrait of a sailor, no text, no logo", "scene"),
    ],
)
def test_layout_follows_the_kind_of_thing_asked_for(prompt: str, layout: str) -> None:
    """The kind is found in three languages, as a whole word, and not among what is to be left out."""
    assert read(prompt).layout == layout


@pytest.mark.parametrize(
    ("prompt", "strings"),
    [
        ('A flyer that says "SUMMER SALE" and “50% off”', ("SUMMER SALE", "50% off")),
        ("海报上写着「東京」和《设计》", ("東京", "设计")),
        ("It's the dog's day at the baker's", ()),
        ("A sign reading 'OPEN LATE' in the window", ("OPEN LATE",)),
    ],
)
def test_quoted_strings_are_found_and_apostrophes_are_not_quotes(prompt: str, strings: tuple[str, ...]) -> None:
    """Every way of quoting counts; an apostrophe does not begin a string."""
    assert read(prompt).strings == strings


def test_title_is_composed_from_the_subject_and_translated_when_bilingual() -> None:
    """Without quoted strings the subject becomes the title, and its second line is in the city's language."""
    reading = read("Create a clean bilingual event poster for a Tokyo design meetup")

    assert (reading.title, reading.second) == ("Tokyo Design Meetup", "東京デザインミートアップ")


def test_json_shaped_prompt_sets_values_and_never_keys() -> None:
    """The words of a JSON-shaped prompt are its values."""
    reading = read('{"type": "landing page mockup", "headline": "LUMIÈRE", "palette": "ivory"}')

    assert (reading.layout, reading.strings) == ("mockup", ("LUMIÈRE",))


@pytest.mark.parametrize("prompt", ["", " ", "a" * 33_000, "漢" * 32_000, '"' * 5_000, "\x00", "😀" * 50])
def test_any_text_is_read(prompt: str) -> None:
    """No text breaks the reading, and what it finds is bounded."""
    reading = read(prompt)

    assert len(reading.title) <= 120
    assert len(reading.strings) <= MAX_STRINGS
