"""What a GenerateRequest must be, and what of its inputs a model takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from imagerouter.adapter.checks import check_request
from imagerouter.adapter.inputs import fetch_inputs, ordered
from imagerouter.adapter.provider import Unsendable
from imagerouter.api.adapter.v1 import adapter_service_pb2
from imagerouter.api.common.v1 import artifact_pb2, task_pb2
from imagerouter.runtime.errors import InvalidField
from imagerouter.storage import ArtifactStore, open_store
from tests.unit.adapter.adapter_calls import CATALOGUE, PNG, make_request

Change = Callable[[adapter_service_pb2.GenerateRequest], object]


def _check(request: adapter_service_pb2.GenerateRequest, tenant: str = "acme") -> str:
    return check_request(request, provider="openai", tenant=tenant, catalogue=CATALOGUE).id


def test_a_whole_request_names_its_model() -> None:
    """A valid request passes and yields the catalogue's model."""
    assert _check(make_request()) == "gpt-image-2"
    assert _check(make_request(), tenant="default") == "gpt-image-2"


_WRONG: list[tuple[str, Change]] = [
    ("attempt_id", lambda r: r.ClearField("attempt_id")),
    ("attempt_id", lambda r: setattr(r, "attempt_id", "7")),
    ("attempt_id", lambda r: setattr(r, "attempt_id", r.attempt_id.upper())),
    ("task", lambda r: r.ClearField("task")),
    ("task.tenant", lambda r: r.task.ClearField("tenant")),
    ("task.tenant", lambda r: setattr(r.task, "tenant", "../other")),
    ("task.tenant", lambda r: setattr(r.task, "tenant", "other")),
    ("task.mode", lambda r: r.task.ClearField("mode")),
    ("task.prompt", lambda r: r.task.ClearField("prompt")),
    ("task.references", lambda r: setattr(r.task, "mode", task_pb2.MODE_EDIT)),
    ("route", lambda r: r.ClearField("route")),
    ("route.provider", lambda r: r.route.ClearField("provider")),
    ("route.provider", lambda r: setattr(r.route, "provider", "google")),
    ("route.model", lambda r: r.route.ClearField("model")),
    ("route.model", lambda r: setattr(r.route, "model", "gpt-image-99")),
    ("route.model", lambda r: setattr(r.route, "model", "dall-e-3")),
    ("route.model", lambda r: setattr(r.route, "model", "gemini-3-pro-image")),
    ("route.parameters", lambda r: r.route.ClearField("parameters")),
    ("route.parameters.count", lambda r: r.route.parameters.ClearField("count")),
    ("route.parameters.count", lambda r: setattr(r.route.parameters, "count", -1)),
    ("route.estimates.upper_cost_micros", lambda r: r.route.ClearField("estimates")),
    ("previews", lambda r: setattr(r, "previews", 4)),
    ("previews", lambda r: setattr(r, "previews", -1)),
]


@pytest.mark.parametrize(("field", "change"), _WRONG, ids=[f"{n}-{field}" for n, (field, _) in enumerate(_WRONG)])
def test_a_wrong_field_is_named(field: str, change: Change) -> None:
    """Each missing or impossible field is refused by its path, before anything is begun."""
    request = make_request()
    change(request)

    with pytest.raises(InvalidField) as caught:
        _check(request)
    assert caught.value.fields[0].field == field


@pytest.mark.parametrize("model", ["gpt-image-99", "dall-e-3", "gemini-3-pro-image"])
def test_a_model_of_no_use_here_is_unknown(model: str) -> None:
    """Misspelt, retired and foreign models have the reason UNKNOWN_MODEL."""
    request = make_request()
    request.route.model = model

    with pytest.raises(InvalidField) as caught:
        _check(request)
    assert caught.value.reason == "UNKNOWN_MODEL"


@pytest.fixture
def store() -> ArtifactStore:
    """An empty store in memory."""
    return open_store("memory://")


def _reference(data: bytes, role: str = "UNSPECIFIED", size: int | None = None) -> task_pb2.Reference:
    return task_pb2.Reference(
        artifact=artifact_pb2.ArtifactRef(
            digest=hashlib.sha256(data).hexdigest(), size_bytes=len(data) if size is None else size
        ),
        role=task_pb2.ReferenceRole.Value(f"REFERENCE_ROLE_{role}"),
    )


def _task(*references: task_pb2.Reference, mask: task_pb2.Reference | None = None) -> task_pb2.Task:
    return task_pb2.Task(tenant="acme", prompt="a cat", references=references, mask=mask)


def test_the_base_comes_first() -> None:
    """The base leads wherever it stands; the others keep their order and all keep their paths."""
    task = _task(_reference(b"1", "STYLE"), _reference(b"2", "BASE"), _reference(b"3", "SUBJECT"))

    assert [path for path, _ in ordered(task)] == ["task.references[1]", "task.references[0]", "task.references[2]"]


async def test_inputs_are_read_and_looked_at(store: ArtifactStore) -> None:
    """Bytes come from the tenant's store, types from the bytes."""
    jpeg = b"\xff\xd8\xff\xe0" + b"j" * 20
    for data in (PNG, jpeg):
        await store.put("acme", data)
    task = _task(_reference(jpeg, "SUBJECT"), _reference(PNG, "BASE"), mask=_reference(PNG))
    inputs = await fetch_inputs(store, task, CATALOGUE.get("gpt-image-2"))

    assert [(picture.data, picture.media_type) for picture in inputs.references] == [
        (PNG, "image/png"),
        (jpeg, "image/jpeg"),
    ]
    assert inputs.mask is not None
    assert inputs.mask.media_type == "image/png"


async def test_another_tenants_artifact_is_missing(store: ArtifactStore) -> None:
    """A digest that only another tenant has is not sent to a provider."""
    await store.put("other", PNG)

    with pytest.raises(Unsendable, match=r"task\.references\[0\]\.artifact"):
        await fetch_inputs(store, _task(_reference(PNG)), CATALOGUE.get("gpt-image-2"))


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("gpt-image-2", _task(*[_reference(PNG)] * 17)),
        ("gpt-image-2", _task(_reference(PNG, size=50_000_001))),
        ("gpt-image-2", _task(_reference(b"GIF89a" + b"g" * 20))),
        ("gpt-image-2", _task(_reference(b"plain text, no picture"))),
        ("gpt-image-2", _task(mask=_reference(PNG))),
        ("gpt-image-2", _task(_reference(PNG), mask=_reference(PNG, size=4_000_001))),
        ("gpt-image-2", _task(_reference(PNG), mask=_reference(b"\xff\xd8\xff\xe0 a jpeg for a mask"))),
        ("gpt-image-2", task_pb2.Task(tenant="acme", prompt="x" * 32_001)),
        ("gemini-3-pro-image", _task(*[_reference(PNG)] * 15)),
        ("gemini-3-pro-image", _task(*[_reference(PNG, size=6_900_000)] * 11)),
        ("gemini-3-pro-image", _task(_reference(PNG), mask=_reference(PNG))),
    ],
    ids=[
        "too-many",
        "too-large",
        "gif",
        "text",
        "mask-alone",
        "mask-too-large",
        "mask-no-png",
        "prompt-too-long",
        "google-too-many",
        "google-total",
        "google-mask",
    ],
)
async def test_what_the_model_does_not_take_is_not_sent(store: ArtifactStore, model: str, task: task_pb2.Task) -> None:
    """Too many, too large, of the wrong kind, a mask without a base: refused before a byte leaves."""
    for data in (PNG, b"GIF89a" + b"g" * 20, b"plain text, no picture", b"\xff\xd8\xff\xe0 a jpeg for a mask"):
        await store.put("acme", data)

    with pytest.raises(Unsendable) as caught:
        await fetch_inputs(store, task, CATALOGUE.get(model))
    assert "xxx" not in caught.value.message
