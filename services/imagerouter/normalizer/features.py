"""What the words of a prompt say about the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from imagerouter.api.common.v1 import task_pb2
from imagerouter.normalizer import words
from imagerouter.normalizer.languages import Languages
from imagerouter.normalizer.quotes import render_strings
from imagerouter.normalizer.rules import Findings, Fired, Rules
from imagerouter.normalizer.words import BREAK, Word

_CHARACTER = 1 / 3
"""How much of a word a Chinese, Japanese or Korean character is."""


@dataclass(frozen=True)
class Reading:
    """All that is read off the words alone; the request's own fields are weighed against it in `core`."""

    languages: list[str]
    strings: list[str]
    text_points: float
    """How much the words speak for lettering; the threshold is in the rules."""
    text_heavy: bool
    deliverable: str
    content_class: task_pb2.ContentClass.ValueType
    edit_action: task_pb2.EditAction.ValueType
    preserve_subject: bool
    same_character: bool
    vague: bool
    bulk: bool
    speaks_of_input: bool
    """The words speak of an image that was given."""
    asks_for_edit: bool
    """Words of an edit were found, whatever the request's mode."""
    wants_transparency: bool
    rule_ids: list[str] = field(default_factory=list)


def read(prompt: str, rules: Rules, languages: Languages, *, text_heavy: bool | None = None) -> Reading:
    """Read a prompt that has been cleaned. Linear in its length; the same prompt always reads the same.

    `text_heavy` is what the caller says about it, if anything: it wins.
    """
    text = prompt.replace("_", " ")
    split = words.split(text)
    findings = rules.find(split)
    deliverable = _deliverable(findings, rules)
    points = _points(findings, rules)
    lettered = text_heavy
    if lettered is None:
        lettered = bool(deliverable) and points >= rules.scoring.text_heavy_from
    strings = render_strings(prompt, split, findings, rules.data.quotes, lettered=lettered)
    points += rules.scoring.render_string_points * min(len(strings), rules.scoring.render_strings_counted)
    if text_heavy is None:
        text_heavy = points >= rules.scoring.text_heavy_from
    signals = {fired.rule.signal for fired in findings.fired}
    return Reading(
        languages=languages.detect(prompt, split),
        strings=strings,
        text_points=points,
        text_heavy=text_heavy,
        deliverable=deliverable,
        content_class=_content_class(findings, deliverable, text_heavy=text_heavy),
        edit_action=_edit_action(findings),
        preserve_subject=bool(signals & {"preserve", "same_character"}),
        same_character="same_character" in signals,
        vague=_vague(split, findings, rules),
        bulk="bulk" in signals and "one_sheet" not in signals,
        speaks_of_input="input_image" in signals,
        asks_for_edit="edit" in signals,
        wants_transparency="transparent" in signals,
        rule_ids=[fired.rule.id for fired in findings.fired],
    )


def _weight(fired: Fired, rules: Rules) -> float:
    return fired.rule.weight * (1.0 if fired.start < rules.scoring.head_words else rules.scoring.late_share)


def _points(findings: Findings, rules: Rules) -> float:
    text = sum(_weight(fired, rules) for fired in findings.of("deliverable", "text"))
    picture = sum(_weight(fired, rules) for fired in findings.of("photo", "creative"))
    return text - min(picture, rules.scoring.picture_points_at_most)


def _deliverable(findings: Findings, rules: Rules) -> str:
    """Name the lettered work: the heaviest in the opening, the earliest of equals; later mentions are props."""
    opening = [fired for fired in findings.of("deliverable") if fired.start < rules.scoring.head_words]
    if not opening:
        return ""
    return min(opening, key=lambda fired: (-fired.rule.weight, fired.start)).rule.value


def _content_class(findings: Findings, deliverable: str, *, text_heavy: bool) -> task_pb2.ContentClass.ValueType:
    if text_heavy:
        return task_pb2.CONTENT_CLASS_STRUCTURED_TEXT
    photo = sum(fired.rule.weight for fired in findings.of("photo"))
    creative = sum(fired.rule.weight for fired in findings.of("creative"))
    if photo == creative == 0:
        return task_pb2.CONTENT_CLASS_STRUCTURED_TEXT if deliverable else task_pb2.CONTENT_CLASS_UNSPECIFIED
    return task_pb2.CONTENT_CLASS_PHOTOREAL if photo >= creative else task_pb2.CONTENT_CLASS_CREATIVE


def _edit_action(findings: Findings) -> task_pb2.EditAction.ValueType:
    """Name the edit: the one asked for first; where two begin at the same word, the more particular."""
    edits = findings.of("edit")
    if not edits:
        return task_pb2.EDIT_ACTION_UNSPECIFIED
    first = min(edits, key=lambda fired: fired.start)
    return task_pb2.EditAction.Value(f"EDIT_ACTION_{first.rule.value.upper()}")


def _vague(split: Sequence[Word], findings: Findings, rules: Rules) -> bool:
    content = sum(
        _CHARACTER if words.is_wide(word.text) else 1.0
        for at, word in enumerate(split)
        if word.text != BREAK and at not in findings.generic
    )
    return not content or (bool(findings.of("vague")) and content <= rules.scoring.vague_content_at_most)
