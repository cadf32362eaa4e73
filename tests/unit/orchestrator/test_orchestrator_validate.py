"""Checks on a caller's request, and what makes two requests the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import artifact_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.orchestrator.validate import (
    MAX_INLINE_BYTES,
    MAX_LABELS,
    MAX_REFERENCES,
    check_request,
    fingerprint,
    image_deadline,
    image_id,
    input_images,
)
from imagerouter.runtime.errors import DeadlinePast, InvalidField

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REF = artifact_pb2.ArtifactRef(digest="ab" * 32, size_bytes=3, media_type="image/png")


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def fault(request: images.CreateImageRequest) -> tuple[str, str]:
    """The field that is at fault, and the reason."""
    with pytest.raises((InvalidField, DeadlinePast)) as caught:
        check_request(request, NOW)
    (violation,) = caught.value.fields
    return violation.field, caught.value.reason


def inline(*sizes: int) -> list[images.InputImage]:
    return [images.InputImage(inline=b"\x89" * size) for size in sizes]


@pytest.mark.parametrize("request_id", ["", "a", "order-17", "A.b_c:d-9", "x" * 128])
def test_good_request_ids(request_id: str) -> None:
    """None, or 1 to 128 characters of the allowed ones."""
    check_request(images.CreateImageRequest(request_id=request_id), NOW)


@pytest.mark.parametrize("request_id", ["a b", "a/b", "é", "x" * 129, "a\n", "\n", " a", "a\x00"])
def test_bad_request_ids(request_id: str) -> None:
    """Anything else is refused, a trailing newline too, which `$` would let through."""
    assert fault(images.CreateImageRequest(request_id=request_id)) == ("request_id", "INVALID_FIELD")


def test_references_are_counted() -> None:
    """Sixteen are allowed, seventeen are not; a mask is none of them."""
    most = [images.InputImage(artifact=REF)] * MAX_REFERENCES
    check_request(images.CreateImageRequest(references=most, mask=images.InputImage(artifact=REF)), NOW)

    assert fault(images.CreateImageRequest(references=[*most, most[0]]))[0] == "references"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (images.CreateImageRequest(references=[images.InputImage()]), "references[0]"),
        (images.CreateImageRequest(references=[*inline(1), images.InputImage()]), "references[1]"),
        (images.CreateImageRequest(mask=images.InputImage()), "mask"),
        (images.CreateImageRequest(references=[images.InputImage(inline=b"")]), "references[0].inline"),
        (images.CreateImageRequest(mask=images.InputImage(inline=b"")), "mask.inline"),
    ],
)
def test_an_input_image_needs_a_source(request_: images.CreateImageRequest, field: str) -> None:
    """An image without bytes is named by its place."""
    assert fault(request_)[0] == field


def test_inline_bytes_are_limited_together() -> None:
    """256 KiB in all, the mask's included; the image that goes over the limit is named. Artifacts weigh nothing."""
    half = MAX_INLINE_BYTES // 2
    check_request(images.CreateImageRequest(references=inline(half, half)), NOW)
    heavy = artifact_pb2.ArtifactRef(digest=REF.digest, size_bytes=50 * MAX_INLINE_BYTES)
    check_request(images.CreateImageRequest(references=[*inline(half), images.InputImage(artifact=heavy)]), NOW)

    over = images.CreateImageRequest(references=inline(half, half, 1))
    masked = images.CreateImageRequest(references=inline(half, half), mask=inline(1)[0])
    assert fault(over) == ("references[2].inline", "TOO_LARGE")
    assert fault(masked) == ("mask.inline", "TOO_LARGE")


def test_labels_are_limited() -> None:
    """Sixteen labels, keys of 1 to 64 characters, values up to 256; characters, not bytes."""
    most = {f"k{number}": "" for number in range(MAX_LABELS)}
    check_request(images.CreateImageRequest(labels=most), NOW)
    check_request(images.CreateImageRequest(labels={"猫" * 64: "猫" * 256}), NOW)

    for labels in ({**most, "one": "more"}, {"": "v"}, {"k" * 65: "v"}, {"k": "v" * 257}):
        assert fault(images.CreateImageRequest(labels=labels))[0] == "labels"


def test_deadline_must_lie_ahead() -> None:
    """Now is past; what is no time at all is the caller's mistake and not a late call."""

    def due(at: Timestamp) -> images.CreateImageRequest:
        return images.CreateImageRequest(constraints=task_pb2.Constraints(deadline=at))

    check_request(due(stamp(NOW + timedelta(milliseconds=1))), NOW)
    for past in (stamp(NOW), stamp(NOW - timedelta(seconds=1)), Timestamp()):
        assert fault(due(past)) == ("constraints.deadline", "DEADLINE_PAST")
    for impossible in (Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(seconds=1, nanos=-1)):
        assert fault(due(impossible)) == ("constraints.deadline", "INVALID_FIELD")


@given(st.one_of(st.none(), st.integers(1, 10**6)), st.one_of(st.none(), st.integers(1, 10**6)))
def test_the_earliest_limit_holds(max_latency_ms: int | None, due_in_ms: int | None) -> None:
    """An image's deadline is the earlier of what its caller gave, and the default only if nothing was given."""
    request = images.CreateImageRequest()
    given_ms = [ms for ms in (max_latency_ms, due_in_ms) if ms is not None]
    if max_latency_ms is not None:
        request.constraints.max_latency_ms = max_latency_ms
    if due_in_ms is not None:
        request.constraints.deadline.CopyFrom(stamp(NOW + timedelta(milliseconds=due_in_ms)))

    expected = timedelta(milliseconds=min(given_ms)) if given_ms else timedelta(seconds=900)
    assert image_deadline(request, NOW, 900) == NOW + expected


@pytest.mark.parametrize("name", ["images/", "images/A", "images/a/b", "image/a", "a", "", "images/a\n", "images/..",
                                  "images/" + "a" * 65])  # fmt: skip
def test_bad_image_names(name: str) -> None:
    """A name that is not "images/{id}" is refused under the field's own name."""
    with pytest.raises(InvalidField) as caught:
        image_id(name, "parent")

    assert caught.value.fields[0].field == "parent"


def test_input_images_have_their_paths() -> None:
    """References in order, then the mask if one is given; asking does not make one."""
    request = images.CreateImageRequest(references=inline(1, 2))

    assert [path for path, _ in input_images(request)] == ["references[0]", "references[1]"]
    assert not request.HasField("mask")
    request.mask.inline = b"x"
    assert [path for path, _ in input_images(request)][-1] == "mask"


def full() -> images.CreateImageRequest:
    """A request that has something of everything."""
    return images.CreateImageRequest(
        request_id="r",
        prompt="a fox",
        mode=task_pb2.MODE_EDIT,
        references=[images.InputImage(artifact=REF), images.InputImage(inline=b"x")],
        mask=images.InputImage(inline=b"m"),
        constraints=task_pb2.Constraints(max_latency_ms=9, models=["a", "b"], deadline=stamp(NOW)),
        output=task_pb2.OutputSpec(count=2, aspect_ratio="4:5"),
        parent="images/p",
        labels={"a": "1", "b": "2"},
    )


CHANGES: dict[str, Callable[[images.CreateImageRequest], object]] = {
    "prompt": lambda r: setattr(r, "prompt", "a wolf"),
    "mode": lambda r: setattr(r, "mode", task_pb2.MODE_GENERATE),
    "reference": lambda r: setattr(r.references[0].artifact, "digest", "cd" * 32),
    "role": lambda r: setattr(r.references[0], "role", task_pb2.REFERENCE_ROLE_STYLE),
    "order of references": lambda r: r.references.reverse(),
    "mask": lambda r: r.ClearField("mask"),
    "latency": lambda r: setattr(r.constraints, "max_latency_ms", 10),
    "money": lambda r: setattr(r.constraints, "max_cost_micros", 10),
    "order of models": lambda r: r.constraints.models.reverse(),
    "text_heavy set to false": lambda r: setattr(r.constraints, "text_heavy", False),
    "count": lambda r: setattr(r.output, "count", 1),
    "no count": lambda r: r.output.ClearField("count"),
    "parent": lambda r: setattr(r, "parent", ""),
    "label": lambda r: r.labels.update({"a": "2"}),
    "one label less": lambda r: r.labels.pop("b"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_the_payload_changes_the_fingerprint(
    change: Callable[[images.CreateImageRequest], object],
) -> None:
    """Whatever could make another picture, or another row, is another payload."""
    other = full()
    change(other)

    assert fingerprint(other) != fingerprint(full())


def test_id_and_deadline_are_no_part_of_the_payload() -> None:
    """A caller who repeats a call may give it a new deadline, or none."""
    same = full()
    same.request_id = "another"
    same.constraints.deadline.FromDatetime(NOW + timedelta(hours=1))
    without = full()
    without.constraints.ClearField("deadline")

    assert fingerprint(same) == fingerprint(full()) == fingerprint(without)


def test_empty_submessages_are_the_same_as_none() -> None:
    """Constraints that hold nothing, or nothing but a deadline, wish for nothing."""
    bare = images.CreateImageRequest(prompt="x")
    empty = images.CreateImageRequest(prompt="x", constraints=task_pb2.Constraints(), output=task_pb2.OutputSpec())
    due = images.CreateImageRequest(prompt="x", constraints=task_pb2.Constraints(deadline=stamp(NOW)))

    assert fingerprint(bare) == fingerprint(empty) == fingerprint(due)


def test_a_count_of_zero_is_not_no_count() -> None:
    """A 0 that is set is a wish (which the normalizer refuses)."""
    zero = images.CreateImageRequest(prompt="x", output=task_pb2.OutputSpec(count=0))

    assert fingerprint(zero) != fingerprint(images.CreateImageRequest(prompt="x"))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=16), st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(labels: dict[str, str], random: object) -> None:
    """A map has no order, however it was filled and wherever it came from."""
    shuffled = list(labels.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = images.CreateImageRequest(labels=labels), images.CreateImageRequest(labels=dict(shuffled))
    over_the_wire = images.CreateImageRequest.FromString(other.SerializeToString())

    assert fingerprint(one) == fingerprint(other) == fingerprint(over_the_wire)


def test_the_request_is_left_as_it_was() -> None:
    """Taking a fingerprint changes nothing."""
    request = full()
    fingerprint(request)

    assert request == full()
