"""NormalizerService over a real server and a real store."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable
from typing import Any

import grpc
import grpc.aio
import pytest
from normalizer_rig import picture, served

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.api.normalizer.v1.normalizer_service_pb2_grpc import NormalizerServiceStub
from imagerouter.normalizer.limits import Limits
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.errors import ImageRouterError
from imagerouter.runtime.status import from_rpc_error
from imagerouter.storage import ArtifactStore

TENANT = "acme"


def request(prompt: str = "add a hat", **fields: Any) -> pb.NormalizeRequest:
    """Return a request of the tenant."""
    return pb.NormalizeRequest(**{"tenant": TENANT, "prompt": prompt, **fields})


async def stored(store: ArtifactStore, data: bytes, tenant: str = TENANT, role: int = 0) -> task_pb2.Reference:
    """Store bytes, and refer to them by their digest alone."""
    ref = await store.put(tenant, data)
    return task_pb2.Reference(artifact=ArtifactRef(digest=ref.digest), role=role)  # type: ignore[arg-type]


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, ImageRouterError]:
    """Wait for a call to be refused; say with which code and error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), from_rpc_error(caught.value)


async def test_a_request_becomes_a_task(stub: NormalizerServiceStub) -> None:
    """The seed request comes back as a settled task."""
    reply = await stub.Normalize(
        request(
            "Create a clean bilingual event poster for a Tokyo design meetup",
            constraints=task_pb2.Constraints(text_heavy=True, preserve_subject=False, aspect_ratio="4:5"),
        )
    )

    assert reply.task.mode == task_pb2.MODE_GENERATE
    assert reply.task.output.aspect_ratio == "4:5"
    assert reply.task.features.text_deliverable == "poster"
    assert reply.task.languages == ["en"]


async def test_references_are_read_from_the_store(stub: NormalizerServiceStub, store: ArtifactStore) -> None:
    """Type, size and dimensions come from the bytes; the base shapes the image, and the mask fits it."""
    photo = await stored(store, picture("JPEG", size=(640, 480)))
    style = await stored(store, picture("WEBP", size=(100, 300)), role=task_pb2.REFERENCE_ROLE_STYLE)
    mask = await stored(store, picture("PNG", "RGBA"))
    task = (await stub.Normalize(request(references=[photo, style], mask=mask))).task

    found = [(r.artifact.media_type, r.dimensions.width, r.dimensions.height, r.role) for r in task.references]
    assert found == [
        ("image/jpeg", 640, 480, task_pb2.REFERENCE_ROLE_BASE),
        ("image/webp", 100, 300, task_pb2.REFERENCE_ROLE_STYLE),
    ]
    assert all(reference.artifact.size_bytes > 0 for reference in task.references)
    assert (task.mask.dimensions.width, task.mask.artifact.media_type) == (640, "image/png")
    assert (task.mode, task.output.aspect_ratio) == (task_pb2.MODE_EDIT, "4:3")


async def test_a_long_header_is_read_on(stub: NormalizerServiceStub, store: ArtifactStore) -> None:
    """A colour profile of half a megabyte before the pixels is read through."""
    noise = random.Random(3).randbytes(500_000)
    references = [await stored(store, picture(form, icc_profile=noise)) for form in ("PNG", "JPEG", "WEBP")]
    task = (await stub.Normalize(request(references=references))).task

    assert [reference.dimensions.width for reference in task.references] == [640, 640, 640]


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (b"<html>not an image</html>", "REFERENCE_NOT_IMAGE", "PNG, JPEG or WebP"),
        (picture("GIF"), "REFERENCE_NOT_IMAGE", "PNG, JPEG or WebP"),
        (picture("BMP"), "REFERENCE_NOT_IMAGE", "PNG, JPEG or WebP"),
        (picture()[:20], "REFERENCE_NOT_IMAGE", "ends before"),
        (picture("PNG", "1", (20_000, 100)), "REFERENCE_NOT_IMAGE", "16384 pixels wide"),
        (picture("PNG", "1", (13_000, 13_000)), "REFERENCE_NOT_IMAGE", "40000000 pixels"),
    ],
    ids=["html", "gif", "bmp", "cut", "wide", "bomb"],
)
async def test_what_is_no_image_is_refused(
    stub: NormalizerServiceStub, store: ArtifactStore, data: bytes, reason: str, said: str
) -> None:
    """The reference is named, with the reason that programs branch on; a bomb is not decoded."""
    references = [await stored(store, picture()), await stored(store, data)]
    code, error = await refused(stub.Normalize(request(references=references)))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.metadata["field"]) == (reason, "references[1]")
    assert said in error.message


async def test_what_is_too_large_is_refused(store: ArtifactStore) -> None:
    """The limit is told, and the bytes are not read."""
    reference = await stored(store, picture())
    limits = dataclasses.replace(Limits(), reference_bytes=100)
    async with served(store, limits) as port, open_channel(f"127.0.0.1:{port}") as channel:
        code, error = await refused(NormalizerServiceStub(channel).Normalize(request(references=[reference])))

    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")
    assert error.metadata["limit_bytes"] == "100"


async def test_an_unknown_artifact_is_not_found(stub: NormalizerServiceStub, store: ArtifactStore) -> None:
    """Whether nobody has it or another tenant does; the first of several is named."""
    known, other = await stored(store, picture()), await stored(store, picture(size=(9, 9)), tenant="other")
    nowhere = task_pb2.Reference(artifact=ArtifactRef(digest="0" * 64))
    for reference in (nowhere, other):
        code, error = await refused(stub.Normalize(request(references=[known, reference, nowhere])))

        assert (code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND")
        assert error.metadata["field"] == "references[1].artifact"


async def test_a_mask_that_is_not_there_or_no_image_is_named(stub: NormalizerServiceStub, store: ArtifactStore) -> None:
    """The mask is read like a reference, and blamed as the mask."""
    base = await stored(store, picture())
    nowhere = task_pb2.Reference(artifact=ArtifactRef(digest="0" * 64))
    code, error = await refused(stub.Normalize(request(references=[base], mask=nowhere)))
    assert (code, error.metadata["field"]) == (grpc.StatusCode.NOT_FOUND, "mask.artifact")

    code, error = await refused(stub.Normalize(request(references=[base], mask=await stored(store, b"text"))))
    assert (error.reason, error.metadata["field"]) == ("REFERENCE_NOT_IMAGE", "mask")


async def test_a_wrong_size_is_refused(stub: NormalizerServiceStub, store: ArtifactStore) -> None:
    """The size is part of an artifact's identity."""
    reference = await stored(store, picture())
    reference.artifact.size_bytes = 7
    code, error = await refused(stub.Normalize(request(references=[reference])))

    assert (code, error.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "references[0].artifact.size_bytes")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tenant": ""}, "tenant"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "canary-7f3a" * 3000}, "prompt"),
        ({"mode": 9999}, "mode"),
        ({"mode": task_pb2.MODE_EDIT}, "references"),
        ({"output": task_pb2.OutputSpec(count=10_000)}, "output.count"),
        ({"output": task_pb2.OutputSpec(aspect_ratio="0:0")}, "output.aspect_ratio"),
        ({"references": [task_pb2.Reference(artifact=ArtifactRef(digest="zz"))]}, "references[0].artifact.digest"),
    ],
    ids=["tenant", "empty", "long", "mode", "edit", "count", "aspect", "digest"],
)
async def test_bad_input_is_typed_on_the_wire(stub: NormalizerServiceStub, fields: dict[str, Any], field: str) -> None:
    """INVALID_ARGUMENT with the field, and without the prompt."""
    code, error = await refused(stub.Normalize(request(**fields)))

    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in error.fields] == [field]
    assert "canary" not in f"{error.message}{error.metadata}"


async def test_the_same_request_gives_the_same_task(stub: NormalizerServiceStub, store: ArtifactStore) -> None:
    """Fifty at once, byte for byte."""
    given = request('poster "A", keep the face', references=[await stored(store, picture())])
    replies = await asyncio.gather(*(stub.Normalize(given) for _ in range(50)))

    assert len({reply.SerializeToString(deterministic=True) for reply in replies}) == 1


async def test_the_longest_prompt_is_served(stub: NormalizerServiceStub) -> None:
    """A prompt at the limit, each character of which is a word, is read to its end."""
    reply = await stub.Normalize(request("図" * 32_000))

    assert reply.task.features.prompt_characters == 32_000


async def test_instructions_are_merged(stub: NormalizerServiceStub) -> None:
    """A chain becomes one prompt; a bad one names its field."""
    merge = pb.MergeInstructionsRequest
    reply = await stub.MergeInstructions(merge(instructions=["make the car red", "Add a dog", "make the car blue"]))
    assert reply.prompt.split("\n")[1:] == ["1. Add a dog", "2. make the car blue"]

    code, error = await refused(stub.MergeInstructions(merge(instructions=["a", ""])))
    assert (code, error.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "instructions[1]")
    code, error = await refused(stub.MergeInstructions(merge()))
    assert (code, error.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "instructions")
