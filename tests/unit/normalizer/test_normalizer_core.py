"""Requests to tasks: modes, references, masks, features, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from normalizer_requests import MASK, PHOTO, constraints, output, reference, request, settled, warned

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef
from imagerouter.runtime.errors import InvalidField

BASE, SUBJECT, STYLE = (
    task_pb2.REFERENCE_ROLE_BASE,
    task_pb2.REFERENCE_ROLE_SUBJECT,
    task_pb2.REFERENCE_ROLE_STYLE,
)
EDIT, GENERATE = task_pb2.MODE_EDIT, task_pb2.MODE_GENERATE


def test_the_seed_request() -> None:
    """The request of the issue becomes the task that the router expects."""
    task = settled(
        "Create a clean bilingual event poster for a Tokyo design meetup",
        mode=GENERATE,
        constraints=constraints(
            text_heavy=True, preserve_subject=False, aspect_ratio="4:5", max_latency_ms=8000, models=["b", "a", "b"]
        ),
    )

    assert task.tenant == "acme"
    assert task.mode == GENERATE
    assert task.content_class == task_pb2.CONTENT_CLASS_STRUCTURED_TEXT
    assert task.languages == ["en"]
    assert task.output.aspect_ratio == "4:5"
    assert task.output.quality == task_pb2.QUALITY_UNSPECIFIED
    assert task.constraints == constraints(
        text_heavy=True, preserve_subject=False, max_latency_ms=8000, models=["b", "a"]
    )
    assert task.features == task_pb2.Features(
        prompt_characters=63,
        prompt_words=11,
        text_heavy=True,
        text_deliverable="poster",
        rule_ids=["deliverable.poster"],
    )
    assert not task.warnings


def test_the_mode_is_inferred_from_references() -> None:
    """References mean an edit unless the caller says otherwise; without any it is a new image."""
    assert settled().mode == GENERATE
    assert settled("add a hat", [PHOTO], references=[reference()]).mode == EDIT
    assert settled("a hat", [PHOTO], references=[reference()], mode=GENERATE).mode == GENERATE


def test_only_an_edit_has_an_edit_action() -> None:
    """The words of an edit name no action for a new image."""
    assert settled("add a hat to the man").edit_action == task_pb2.EDIT_ACTION_UNSPECIFIED
    task = settled("add a hat to the man", [PHOTO], references=[reference()])
    assert task.edit_action == task_pb2.EDIT_ACTION_ADD


@pytest.mark.parametrize(
    ("given", "mode", "numbers", "roles"),
    [
        ([0, 0, 0], EDIT, [0, 1, 2], [BASE, SUBJECT, SUBJECT]),
        ([0, 0], GENERATE, [0, 1], [SUBJECT, SUBJECT]),
        ([STYLE, 0], EDIT, [1, 0], [BASE, STYLE]),
        ([0, BASE, STYLE], EDIT, [1, 0, 2], [BASE, SUBJECT, STYLE]),
        ([SUBJECT, STYLE], EDIT, [0, 1], [SUBJECT, STYLE]),
        ([STYLE], GENERATE, [0], [STYLE]),
    ],
)
def test_roles_are_settled(given: list[int], mode: Any, numbers: list[int], roles: list[int]) -> None:
    """The caller's roles hold; the first open one of an edit is the base, and the base comes first."""
    references = [reference(number, role) for number, role in enumerate(given)]
    task = settled("a hat", [PHOTO] * len(given), references=references, mode=mode)

    assert [int(found.artifact.digest, 16) for found in task.references] == numbers
    assert [found.role for found in task.references] == roles
    assert ("REFERENCES_REORDERED" in warned(task)) == (numbers != sorted(numbers))


def test_references_say_what_was_found() -> None:
    """Size, type and dimensions are those of the file, whatever the caller wrote."""
    claimed = task_pb2.Reference(artifact=ArtifactRef(digest="0" * 64, media_type="image/gif"))
    (found,) = settled("a hat", [PHOTO], references=[claimed]).references

    assert found.artifact == ArtifactRef(digest="0" * 64, size_bytes=100_000, media_type="image/jpeg")
    assert (found.dimensions.width, found.dimensions.height) == (1600, 1200)


def test_a_mask_fits_its_base() -> None:
    """A PNG with transparency, of the base's dimensions, is taken."""
    task = settled("a hat", [PHOTO, MASK], references=[reference()], mask=reference(9))

    assert task.HasField("mask")
    assert task.mask.artifact.digest == f"{9:064x}"


@pytest.mark.parametrize("change", [{"media_type": "image/webp"}, {"has_alpha": False}, {"width": 1601}])
def test_a_mask_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    """Another type, no transparency, or other dimensions: the mask is to blame."""
    with pytest.raises(InvalidField) as caught:
        settled("a hat", [PHOTO, dataclasses.replace(MASK, **change)], references=[reference()], mask=reference(9))

    assert caught.value.fields[0].field == "mask"


def test_the_callers_flags_win() -> None:
    """text_heavy and preserve_subject as given outweigh the words, either way."""
    poster = "a poster; keep the face of the man"
    task = settled(poster, constraints=constraints(text_heavy=False, preserve_subject=False))
    assert (task.features.text_heavy, task.features.preserve_subject) == (False, False)

    task = settled("a red cat", constraints=constraints(text_heavy=True, preserve_subject=True))
    assert (task.features.text_heavy, task.features.preserve_subject) == (True, True)
    assert task.content_class == task_pb2.CONTENT_CLASS_STRUCTURED_TEXT


def test_a_large_count_is_a_bulk_order() -> None:
    """Eight images are bulk whatever the words."""
    assert settled(output=output(count=8)).features.bulk
    assert not settled(output=output(count=2)).features.bulk


def test_the_lineage_is_passed_on() -> None:
    """Depth, anchor and instructions come through as they are."""
    lineage = task_pb2.Lineage(parent="images/1", depth=3, instructions=["a", "b"])
    task = settled("a hat", [PHOTO], references=[reference()], lineage=lineage)

    assert task.lineage == lineage
    assert not settled().HasField("lineage")


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("a\x00cat on a wall", "PROMPT_CLEANED"),
        ("qwrtp zxcvb", "LANGUAGE_UNCERTAIN"),
        ("make the person in this photo smile", "REFERENCE_MISSING"),
        ("a sticker of a cat on a transparent background", "TRANSPARENCY_IN_WORDS"),
    ],
)
def test_what_did_not_stop_the_request_is_told(prompt: str, code: str) -> None:
    """Each oddity is a warning, and warnings quote no prompt."""
    task = settled(prompt)

    assert code in warned(task)
    assert not any("cat" in warning.message or "person" in warning.message for warning in task.warnings)


def test_the_same_image_twice_is_told() -> None:
    """It is allowed, and probably a mistake."""
    task = settled("merge them", [PHOTO, PHOTO], references=[reference(1), reference(1)])

    assert warned(task)["DUPLICATE_REFERENCE"] == "references[1]"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tenant": ""}, "tenant"),
    ({"tenant": "../x"}, "tenant"),
    ({"tenant": "A"}, "tenant"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": " \n\t"}, "prompt"),
    ({"prompt": "\u200b\u2060\ufeff"}, "prompt"),
    ({"prompt": "\x00\x01"}, "prompt"),
    ({"prompt": "x" * 32_001}, "prompt"),
    ({"prompt": " " * 31_999 + "ab"}, "prompt"),
    ({"prompt": "\ufb2c" * 20_000}, "prompt"),
    ({"mode": 9999}, "mode"),
    ({"mode": -1}, "mode"),
    ({"mode": EDIT}, "references"),
    ({"references": [reference(at) for at in range(17)]}, "references"),
    ({"references": [reference(0, 77)]}, "references[0].role"),
    ({"references": [reference(0), reference(1, BASE), reference(2, BASE)]}, "references[2].role"),
    ({"references": [reference(0, BASE)], "mode": GENERATE}, "references[0].role"),
    ({"references": [task_pb2.Reference()]}, "references[0].artifact.digest"),
    ({"references": [task_pb2.Reference(artifact=ArtifactRef(digest="../../x"))]}, "references[0].artifact.digest"),
    ({"references": [task_pb2.Reference(artifact=ArtifactRef(digest="A" * 64))]}, "references[0].artifact.digest"),
    (
        {"references": [task_pb2.Reference(artifact=ArtifactRef(digest="a" * 64, size_bytes=-1))]},
        "references[0].artifact.size_bytes",
    ),
    ({"mask": reference()}, "mask"),
    ({"mask": reference(), "references": [reference()], "mode": GENERATE}, "mask"),
    ({"mask": task_pb2.Reference(), "references": [reference()]}, "mask.artifact.digest"),
    ({"mask": reference(0, 5), "references": [reference()]}, "mask.role"),
    ({"output": output(count=-1)}, "output.count"),
    ({"output": output(count=33)}, "output.count"),
    ({"output": output(count=10_000)}, "output.count"),
    ({"output": output(width=100)}, "output.height"),
    ({"output": output(height=100)}, "output.width"),
    ({"output": output(width=-1, height=5)}, "output.width"),
    ({"output": output(width=8193, height=8193)}, "output.width"),
    ({"output": output(width=8192, height=2**31 - 1)}, "output.height"),
    ({"output": output(size_tier=42)}, "output.size_tier"),
    ({"output": output(quality=42)}, "output.quality"),
    ({"output": output(format=42)}, "output.format"),
    ({"output": output(background=42)}, "output.background"),
    (
        {"output": output(background=task_pb2.BACKGROUND_TRANSPARENT, format=task_pb2.OUTPUT_FORMAT_JPEG)},
        "output.background",
    ),
    ({"constraints": constraints(preference=42)}, "constraints.preference"),
    ({"constraints": constraints(max_latency_ms=-1)}, "constraints.max_latency_ms"),
    ({"constraints": constraints(max_cost_micros=-1)}, "constraints.max_cost_micros"),
    ({"constraints": constraints(deadline=Timestamp(seconds=2**62))}, "constraints.deadline"),
    ({"constraints": constraints(deadline=Timestamp(nanos=-5))}, "constraints.deadline"),
    ({"constraints": constraints(models=["ok", ""])}, "constraints.models[1]"),
    ({"constraints": constraints(models=["a b"])}, "constraints.models[0]"),
    ({"constraints": constraints(models=["m"] * 65)}, "constraints.models"),
    ({"lineage": task_pb2.Lineage(depth=-1)}, "lineage.depth"),
]


@pytest.mark.parametrize(("fields", "field"), BAD)
def test_bad_input_names_its_field(fields: dict[str, Any], field: str) -> None:
    """Every refusal is an InvalidField that blames the field as the caller spells it and quotes none of the prompt."""
    with pytest.raises(InvalidField) as caught:
        settled(**{"facts": [PHOTO] * len(fields.get("references", ())), **fields})

    assert caught.value.fields[0].field == field
    assert caught.value.metadata["field"] == field
    assert "xxx" not in caught.value.message


def test_the_limits_themselves_are_allowed() -> None:
    """Exactly as long, as many and as large as allowed is allowed."""
    assert len(settled("x" * 32_000).prompt) == 32_000
    references = [reference(at) for at in range(16)]
    assert len(settled("a hat", [PHOTO] * 16, references=references).references) == 16
    assert settled(output=output(count=32)).output.count == 32
    assert settled(output=output(width=8192, height=1024)).output.aspect_ratio == "8:1"


def test_the_request_is_left_alone() -> None:
    """Normalizing does not write to its input."""
    given = request("a cat --ar 4:5", references=[reference()], constraints=constraints(models=["a", "a"]))
    before = given.SerializeToString(deterministic=True)
    settled("a hat", [PHOTO], references=given.references, constraints=given.constraints)

    assert given.SerializeToString(deterministic=True) == before
