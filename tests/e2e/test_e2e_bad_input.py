"""What a caller did wrong is named, costs nothing and leaves nothing."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imagerouter.client import parse_request
from imagerouter.runtime.errors import ImageRouterError
from tests.e2e.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOWHERE = {"artifact": {"digest": hashlib.sha256(b"nowhere").hexdigest(), "size_bytes": 3}}
PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()


@pytest.mark.parametrize(
    ("document", "code", "field"),
    [
        ({"prompt": ""}, "INVALID_ARGUMENT", "prompt"),
        ({"prompt": "\u200b \u200d"}, "INVALID_ARGUMENT", "prompt"),
        ({"prompt": "x" * 33_000}, "INVALID_ARGUMENT", "prompt"),
        ({"prompt": "add a hat", "mode": "edit"}, "INVALID_ARGUMENT", "references"),
        ({"prompt": "a fox", "constraints": {"models": ["dall-e-9"]}}, "INVALID_ARGUMENT", "constraints.models[0]"),
        ({"prompt": "a fox", "mode": 99}, "INVALID_ARGUMENT", "mode"),
        ({"prompt": "a fox", "constraints": {"aspect_ratio": "0:0"}}, "INVALID_ARGUMENT", "constraints.aspect_ratio"),
        ({"prompt": "a fox", "output": {"aspect_ratio": "1e9:1"}}, "INVALID_ARGUMENT", "output.aspect_ratio"),
        ({"prompt": "a fox", "output": {"count": 0}}, "INVALID_ARGUMENT", "output.count"),
        ({"prompt": "a fox", "output": {"count": 10_000}}, "INVALID_ARGUMENT", "output.count"),
        ({"prompt": "a fox", "output": {"width": 8}}, "INVALID_ARGUMENT", "output.height"),
        ({"prompt": "edit", "references": [{"inline": "PGh0bWw+"}]}, "INVALID_ARGUMENT", "references[0].inline"),
        ({"prompt": "edit", "references": [NOWHERE]}, "NOT_FOUND", "references[0].artifact"),
        ({"prompt": "edit", "parent": "images/00000000"}, "NOT_FOUND", "parent"),
        ({"prompt": "a fox", "constraints": {"deadline": PAST}}, "DEADLINE_EXCEEDED", "constraints.deadline"),
        ({"prompt": "a fox", "constraints": {"max_latency_ms": -1}}, "INVALID_ARGUMENT", "constraints.max_latency_ms"),
    ],
    ids=[
        "empty prompt",
        "invisible prompt",
        "prompt of 33,000 characters",
        "edit without reference",
        "unknown model",
        "unknown mode",
        "aspect 0:0",
        "aspect beyond all models",
        "count 0",
        "count 10,000",
        "width without height",
        "reference that is no image",
        "unknown artifact",
        "unknown parent",
        "deadline past",
        "negative latency",
    ],
)
async def test_bad_input(running: Running, document: dict[str, Any], code: str, field: str) -> None:
    """The error has its code and its field; no provider hears of it; no image is on record."""
    before = (len(running.requests("openai")), len(running.requests("google")))
    known = [image.name for image in (await running.router.list()).images]
    with pytest.raises(ImageRouterError) as caught:
        await running.router.create_from(parse_request(document))

    assert caught.value.code.name == code, caught.value
    assert [violation.field for violation in caught.value.fields] == [field]
    assert caught.value.metadata["field"] == field
    assert (len(running.requests("openai")), len(running.requests("google"))) == before
    assert [image.name for image in (await running.router.list()).images] == known


async def test_uploaded_text_is_no_reference(running: Running) -> None:
    """Bytes that are not an image can be stored, and are refused where an image is wanted."""
    ref = await running.router.upload(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    with pytest.raises(ImageRouterError) as caught:
        await running.router.create("add a hat", references=[ref])

    assert (caught.value.code.name, caught.value.reason) == ("INVALID_ARGUMENT", "REFERENCE_NOT_IMAGE")
    assert [violation.field for violation in caught.value.fields] == ["references[0]"]


async def test_request_id_with_another_payload(running: Running) -> None:
    """The same request_id with another payload is ALREADY_EXISTS, and makes nothing."""
    await running.router.create("a lantern", request_id="e2e-reused")
    before = len(running.requests("openai")) + len(running.requests("google"))
    with pytest.raises(ImageRouterError) as caught:
        await running.router.create("a lamp", request_id="e2e-reused")

    assert (caught.value.code.name, caught.value.fields[0].field) == ("ALREADY_EXISTS", "request_id")
    assert len(running.requests("openai")) + len(running.requests("google")) == before


async def test_unreachable_latency_names_every_model(running: Running) -> None:
    """A limit that no model meets is NO_ROUTE, with the figures that rule each out."""
    with pytest.raises(ImageRouterError) as caught:
        await running.router.create_from(parse_request({"prompt": "a fox", "constraints": {"max_latency_ms": 100}}))

    assert (caught.value.code.name, caught.value.reason) == ("FAILED_PRECONDITION", "NO_ROUTE")
    assert "100" in caught.value.metadata["gpt-image-2"]


async def test_fields_are_counted_as_the_caller_counts(running: Running) -> None:
    """With a parent, whose output goes in front, the caller's first reference is still references[0]."""
    image = await running.router.create("a lantern", request_id="e2e-counted")
    document = {"prompt": "add a hat", "parent": image.name, "references": [NOWHERE]}
    with pytest.raises(ImageRouterError) as caught:
        await running.router.create_from(parse_request(document))

    assert [violation.field for violation in caught.value.fields] == ["references[0].artifact"]
    assert caught.value.message.startswith("references[0].artifact")
