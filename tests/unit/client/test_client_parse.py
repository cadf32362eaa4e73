"""A request as JSON."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import parse_request
from imagerouter.runtime.errors import InvalidField

SECRET = "Sphinx of black quartz"


def fault(document: dict[str, Any]) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        parse_request(document)
    return caught.value


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"mode": "edit"}, {"mode": task_pb2.MODE_EDIT}),
        ({"mode": "MODE_GENERATE"}, {"mode": task_pb2.MODE_GENERATE}),
        ({"mode": 2}, {"mode": task_pb2.MODE_EDIT}),
        ({"output": {"size_tier": "2k"}}, {"output": {"size_tier": task_pb2.SIZE_TIER_2K}}),
        ({"output": {"sizeTier": "512"}}, {"output": {"size_tier": task_pb2.SIZE_TIER_512}}),
        ({"output": {"quality": "high"}}, {"output": {"quality": task_pb2.QUALITY_HIGH}}),
        ({"output": {"format": "webp"}}, {"output": {"format": task_pb2.OUTPUT_FORMAT_WEBP}}),
        ({"output": {"background": "transparent"}}, {"output": {"background": task_pb2.BACKGROUND_TRANSPARENT}}),
        ({"constraints": {"preference": "cost"}}, {"constraints": {"preference": task_pb2.PREFERENCE_COST}}),
        ({"references": [{"role": "style"}]}, {"references": [{"role": task_pb2.REFERENCE_ROLE_STYLE}]}),
        ({"mask": {"role": "Base"}}, {"mask": {"role": task_pb2.REFERENCE_ROLE_BASE}}),
        ({"output": {"count": 0}}, {"output": {"count": 0}}),
    ],
)
def test_enums_may_be_short(document: dict[str, Any], expected: dict[str, Any]) -> None:
    """Short and lower case, in full, or as a number; at whatever depth, in either spelling of the field."""
    assert parse_request(document) == images.CreateImageRequest(**expected)


def test_words_are_left_as_they_are() -> None:
    """Only enums are spelled out: a prompt, a model or a label that reads like one is the caller's own word."""
    document = {
        "prompt": "edit",
        "constraints": {"models": ["cost"], "aspect_ratio": "1:1"},
        "labels": {"mode": "edit", "format": "png"},
    }
    request = parse_request(document)

    assert request.prompt == "edit"
    assert list(request.constraints.models) == ["cost"]
    assert dict(request.labels) == {"mode": "edit", "format": "png"}


def test_the_document_is_left_as_it_was() -> None:
    """Parsing works on a copy."""
    document = {"mode": "edit", "references": [{"role": "style"}]}
    parse_request(document)

    assert document == {"mode": "edit", "references": [{"role": "style"}]}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"promt": SECRET}, "promt"),
        ({"prompt": 5}, "prompt"),
        ({"mode": SECRET}, "mode"),
        ({"constraints": {"max_latency": SECRET}}, "constraints.max_latency"),
        ({"constraints": {"max_latency_ms": SECRET}}, "constraints.max_latency_ms"),
        ({"constraints": {"deadline": SECRET}}, "constraints.deadline"),
        ({"output": {"size_tier": SECRET}}, "output.size_tier"),
        ({"output": {"count": 1e30}}, "output.count"),
        ({"references": SECRET}, "references"),
        ({"labels": [SECRET]}, "labels"),
    ],
)
def test_the_field_is_named_and_the_value_is_not(document: dict[str, Any], path: str) -> None:
    """Invariant 8: what is unknown or of the wrong type is named by its path; its value may be a prompt."""
    error = fault(document)

    assert error.fields[0].field == path
    assert SECRET not in f"{error.message} {error.metadata} {error.fields}"


@pytest.mark.parametrize("document", [{"references": [{"role": SECRET}]}, {"references": [{"inline": [SECRET]}]},
                                      {"references": [{"artifact": {"digest": 5}}]}])  # fmt: skip
def test_a_fault_inside_a_list_is_named(document: dict[str, Any]) -> None:
    """The path begins with the list and ends with the field."""
    (violation,) = fault(document).fields
    (entry,) = document["references"]
    leaf = next(iter(entry))

    assert violation.field.startswith("references")
    assert violation.field.endswith("digest" if leaf == "artifact" else leaf)


WORDS = st.sampled_from(
    [*images.CreateImageRequest.DESCRIPTOR.fields_by_name, *task_pb2.OutputSpec.DESCRIPTOR.fields_by_name,
     *task_pb2.Constraints.DESCRIPTOR.fields_by_name, "inline", "artifact", "role", "digest"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.just(SECRET)
    | st.sampled_from(["edit", "2k", "", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_json_is_a_request_or_a_fault(document: dict[str, Any]) -> None:
    """Whatever JSON comes, it is parsed or refused under InvalidField, without a word of its text."""
    told = ""
    try:
        parse_request(document)
    except InvalidField as error:
        told = f"{error.message} {error.metadata}"

    assert SECRET not in told


@given(
    st.sampled_from(task_pb2.Quality.values()), st.integers(1, 32), st.text(st.characters(codec="utf-8"), max_size=9)
)
def test_what_the_suite_writes_can_be_read_again(quality: int, count: int, prompt: str) -> None:
    """A request's canonical JSON, in either spelling, is the same request."""
    request = images.CreateImageRequest(
        prompt=prompt, request_id="r", output=task_pb2.OutputSpec(count=count, quality=quality), labels={"role": "x"}
    )
    for preserving in (True, False):
        assert parse_request(json_format.MessageToDict(request, preserving_proto_field_name=preserving)) == request
