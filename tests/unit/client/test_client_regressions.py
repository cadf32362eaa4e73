"""What the client once got wrong: slow planning, files that are not there, and JSON that tells or breaks too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imagerouter import client as client_module
from imagerouter.api.artifact.v1 import artifact_service_pb2 as artifact
from imagerouter.api.artifact.v1 import artifact_service_pb2_grpc as artifact_grpc
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.images.v1 import images_service_pb2_grpc as images_grpc
from imagerouter.client import ImageRouter, parse_request
from imagerouter.runtime.errors import DeadlinePast, InvalidField
from imagerouter.runtime.server import Server
from imagerouter.runtime.settings import ServiceSettings

SECRET = "quartz"
REQUEST = images.CreateImageRequest(prompt="x", request_id="r")
RUNNING = images.Image(name="images/i", state=images.IMAGE_STATE_RUNNING)
MADE = images.Image(name="images/i", state=images.IMAGE_STATE_SUCCEEDED)


class PlanningImages(images_grpc.ImageServiceServicer):
    """Answers its first call when `planned` is set, others with `then`."""

    def __init__(self) -> None:
        self.planned = asyncio.Event()
        self.then: list[images.Image | Exception] = []
        self.calls = 0

    async def CreateImage(self, request: images.CreateImageRequest, context: Any) -> images.CreateImageResponse:
        self.calls += 1
        if self.calls == 1:
            await self.planned.wait()
            return images.CreateImageResponse(image=RUNNING)
        answer = self.then.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return images.CreateImageResponse(image=answer)


class CountingArtifacts(artifact_grpc.ArtifactServiceServicer):
    """Counts what it is called."""

    calls = 0

    async def Upload(self, requests: AsyncIterator[artifact.UploadRequest], context: Any) -> artifact.UploadResponse:
        self.calls += 1
        return artifact.UploadResponse()


@pytest.fixture
async def planning() -> PlanningImages:
    return PlanningImages()


@pytest.fixture
async def stored() -> CountingArtifacts:
    return CountingArtifacts()


@pytest.fixture
async def router(planning: PlanningImages, stored: CountingArtifacts) -> AsyncIterator[ImageRouter]:
    server = Server(ServiceSettings(drain_settle_s=0), name="said")
    server.add("imagerouter.api.images.v1.ImageService", images_grpc.add_ImageServiceServicer_to_server, planning)
    server.add(
        "imagerouter.api.artifact.v1.ArtifactService", artifact_grpc.add_ArtifactServiceServicer_to_server, stored
    )
    target = f"127.0.0.1:{await server.start()}"
    async with ImageRouter(target, artifacts=target) as client:
        yield client
    await server.stop(0)


async def test_planning_that_outlasts_the_first_call(
    planning: PlanningImages, router: ImageRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first call that runs out of time before there is a name says nothing about the image: it is asked for again,
    for as long as the caller has, and there is nothing to watch."""
    monkeypatch.setattr(client_module, "_NAMED_WITHIN_S", 0.2)
    planning.then = [MADE]
    named: list[str] = []

    async def watch(name: str) -> None:
        named.append(name)

    image = await asyncio.wait_for(router.create_from(REQUEST, timeout_s=5, on_name=watch), 5)

    assert image == MADE
    assert planning.calls == 2
    assert not named


async def test_time_that_is_up_later_is_the_caller_s(planning: PlanningImages, router: ImageRouter) -> None:
    """Only the first call may be too short; once there is a name, a deadline that is past is told, and not hidden
    behind a third call."""
    planning.planned.set()
    planning.then = [DeadlinePast("constraints.deadline", "is past"), MADE]
    watching = asyncio.Event()

    async def watch(name: str) -> None:
        watching.set()

    with pytest.raises(DeadlinePast):
        await router.create_from(REQUEST, on_name=watch)

    assert planning.calls == 2


@pytest.mark.parametrize("name", [f"{SECRET}.png", "."], ids=["no such file", "a directory"])
async def test_a_file_that_cannot_be_read(
    stored: CountingArtifacts, router: ImageRouter, tmp_path: Path, name: str
) -> None:
    """A typed error, and no cancellation of the caller; nothing is sent, and the path stays here."""
    with pytest.raises(InvalidField) as caught:
        await asyncio.wait_for(router.upload(tmp_path / name), 5)

    assert caught.value.fields[0].field == "source"
    assert str(tmp_path) not in caught.value.message
    assert isinstance(caught.value.__cause__, OSError)
    assert stored.calls == 0


def fault(document: dict[str, Any]) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        parse_request(document)
    return caught.value


@pytest.mark.parametrize(
    "word", ["mode", "role", "preference", "quality", "size_tier", "sizeTier", "format", "background"]
)
def test_a_label_may_be_called_like_an_enum(word: str) -> None:
    """Labels are the caller's own: they come back as they were written."""
    assert dict(parse_request({"prompt": "x", "labels": {word: "edit"}}).labels) == {word: "edit"}


@pytest.mark.parametrize(
    "value",
    [
        f'no field named "{SECRET}"',
        f"Failed to parse {SECRET} field",
        f'Failed to parse prompt field: no field named "{SECRET}".',
    ],
)
@pytest.mark.parametrize(
    "at",
    [
        lambda value: {"mode": value},
        lambda value: {"constraints": {"deadline": value}},
        lambda value: {"output": {"count": value}},
        lambda value: {"references": [{"role": value}]},
        lambda value: {"prompt": {"text": value}},
        lambda value: {"labels": value},
        lambda value: {"labels": {"a": [value]}},
    ],
    ids=["enum", "timestamp", "number", "list", "object", "labels", "label"],
)
def test_a_value_that_reads_like_the_parser_s_words(at: Any, value: str) -> None:
    """Invariant 8: fields are told by the keys that the caller wrote; a value that looks like one is not told."""
    error = fault(at(value))

    assert SECRET not in f"{error.message} {error.metadata} {error.fields}"


def nested(depth: int, key: str, *, as_list: bool = False) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = [value] if as_list else {key: value}
    return value


@pytest.mark.parametrize("depth", [150, 3_000])
@pytest.mark.parametrize("as_list", [False, True], ids=["objects", "lists"])
@pytest.mark.parametrize("key", ["constraints", "references", "prompt"])
def test_deep_nesting_is_refused(key: str, as_list: bool, depth: int) -> None:
    """JSON as deep as a parser takes it is an invalid request, and no crash."""
    assert fault({key: nested(depth, key, as_list=as_list)}).fields


def test_deep_labels_are_refused() -> None:
    """That holds for labels too, which are left as they are."""
    assert fault({"labels": nested(3_000, "labels")}).fields
