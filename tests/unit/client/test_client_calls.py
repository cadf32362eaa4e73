"""The client against a server that says what the test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from imagerouter.api.artifact.v1 import artifact_service_pb2 as artifact
from imagerouter.api.artifact.v1 import artifact_service_pb2_grpc as artifact_grpc
from imagerouter.api.common.v1 import artifact_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.images.v1 import images_service_pb2_grpc as images_grpc
from imagerouter.client import CHUNK, ImageRouter
from imagerouter.runtime.errors import DeadlinePast, ImageRouterError, InvalidField, NotFound, TimedOut, Unavailable
from imagerouter.runtime.server import Server
from imagerouter.runtime.settings import ServiceSettings

REF = artifact_pb2.ArtifactRef(digest="ab" * 32, size_bytes=3, media_type="image/png")
RUNNING = images.Image(name="images/i", state=images.IMAGE_STATE_RUNNING)
MADE = images.Image(name="images/i", state=images.IMAGE_STATE_SUCCEEDED)


class SaidImages(images_grpc.ImageServiceServicer):
    """Gives one answer after the other; keeps what it was asked and for whom."""

    def __init__(self) -> None:
        self.answers: list[images.Image | ImageRouterError] = []
        self.asked: list[images.CreateImageRequest] = []
        self.tenants: list[str] = []
        self.patience: list[float | None] = []

    async def CreateImage(self, request: images.CreateImageRequest, context: Any) -> images.CreateImageResponse:
        """The next answer; the last one is given for good."""
        self.asked.append(request)
        self.patience.append(context.time_remaining())
        self.tenants.append(dict(context.invocation_metadata()).get("imagerouter-tenant", ""))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ImageRouterError):
            raise answer
        await asyncio.sleep(0.05)
        return images.CreateImageResponse(image=answer)

    async def GetImage(self, request: images.GetImageRequest, context: Any) -> images.GetImageResponse:
        """No image at all."""
        raise NotFound("name", "there is no such image")


class SaidArtifacts(artifact_grpc.ArtifactServiceServicer):
    """Keeps uploads in pieces, and gives them back."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.headers = 0

    async def Upload(self, requests: AsyncIterator[artifact.UploadRequest], context: Any) -> artifact.UploadResponse:
        """Take everything."""
        async for request in requests:
            if request.WhichOneof("part") == "header":
                self.headers += 1
            else:
                self.pieces.append(request.data)
        return artifact.UploadResponse(artifact=REF)

    async def Download(self, request: Any, context: Any) -> AsyncIterator[artifact.DownloadResponse]:
        """What was uploaded."""
        for piece in self.pieces:
            yield artifact.DownloadResponse(data=piece)


@pytest.fixture
async def said() -> SaidImages:
    return SaidImages()


@pytest.fixture
async def stored() -> SaidArtifacts:
    return SaidArtifacts()


@pytest.fixture
async def target(said: SaidImages, stored: SaidArtifacts) -> AsyncIterator[str]:
    """Where both are served."""
    server = Server(ServiceSettings(drain_settle_s=0), name="said")
    server.add("imagerouter.api.images.v1.ImageService", images_grpc.add_ImageServiceServicer_to_server, said)
    server.add(
        "imagerouter.api.artifact.v1.ArtifactService", artifact_grpc.add_ArtifactServiceServicer_to_server, stored
    )
    port = await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
async def router(target: str) -> AsyncIterator[ImageRouter]:
    async with ImageRouter(target, artifacts=target) as client:
        yield client


async def test_failures_are_typed(router: ImageRouter) -> None:
    """A service's error comes out as it was raised: class, reason and field."""
    with pytest.raises(NotFound) as caught:
        await router.get("images/none")

    assert (caught.value.reason, caught.value.fields[0].field) == ("IMAGE_NOT_FOUND", "name")
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


async def test_nobody_there_is_typed_too() -> None:
    """A suite that is not running is Unavailable, and nothing was sent."""
    async with ImageRouter("127.0.0.1:1") as client:
        with pytest.raises(Unavailable) as caught:
            await client.get("images/i")

    assert caught.value.metadata["phase"] == "not_sent"


async def test_the_tenant_goes_along(target: str, said: SaidImages, router: ImageRouter) -> None:
    """A client made for a tenant says so with each call; another says nothing."""
    said.answers = [MADE]
    async with ImageRouter(target, tenant="shop") as client:
        await client.create("a fox")
    await router.create("a fox")

    assert said.tenants == ["shop", ""]


async def test_references_are_uploaded(
    said: SaidImages, stored: SaidArtifacts, router: ImageRouter, tmp_path: Path
) -> None:
    """Bytes and files become artifacts first, artifacts go as they are, in the caller's order."""
    said.answers = [MADE]
    file = tmp_path / "a.png"
    file.write_bytes(b"file")
    other = artifact_pb2.ArtifactRef(digest="cd" * 32)
    await router.create("a fox", references=[b"bytes", other, file])

    assert stored.pieces == [b"bytes", b"file"]
    assert [image.artifact for image in said.asked[0].references] == [REF, other, REF]


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK - 1])
async def test_bytes_travel_in_pieces_and_come_back(stored: SaidArtifacts, router: ImageRouter, size: int) -> None:
    """One header, pieces of 256 KiB at most, nothing lost: whatever the size."""
    data = bytes(index % 251 for index in range(size))
    await router.upload(data)

    assert stored.headers == 1
    assert all(0 < len(piece) <= CHUNK for piece in stored.pieces)
    assert await router.download(REF) == data


async def test_a_file_that_is_not_there(stored: SaidArtifacts, router: ImageRouter, tmp_path: Path) -> None:
    """It is the caller's mistake, found before a call is made."""
    with pytest.raises(InvalidField):
        await router.upload(tmp_path / "none.png")

    assert stored.headers == 0


async def test_no_artifact_service_was_named(target: str) -> None:
    """Upload and download say what is missing."""
    async with ImageRouter(target) as client:
        for call in (client.upload(b"x"), client.download(REF)):
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.metadata["dependency"] == "artifact"


async def test_an_image_is_watched_while_it_is_made(said: SaidImages, router: ImageRouter) -> None:
    """The name is known from a first, short call; the second joins the same image, and the watching ends with it."""
    said.answers = [RUNNING, MADE]
    watched: list[str] = []
    stopped = asyncio.Event()

    async def watch(name: str) -> None:
        watched.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    request = images.CreateImageRequest(prompt="a fox", request_id="r")
    image = await router.create_from(request, timeout_s=20, on_name=watch)

    assert image == MADE
    assert watched == ["images/i"]
    assert stopped.is_set()
    assert [asked.request_id for asked in said.asked] == ["r", "r"]
    assert said.patience[0] is not None
    assert said.patience[0] < 2 < 15 < (said.patience[1] or 0)


async def test_a_watcher_s_failure_is_of_no_consequence(said: SaidImages, router: ImageRouter) -> None:
    """Progress that cannot be shown does not cost the image."""
    said.answers = [RUNNING, MADE]

    async def fail(name: str) -> None:
        raise OSError(name)

    image = await router.create_from(images.CreateImageRequest(prompt="x", request_id="r"), on_name=fail)

    assert image == MADE


async def test_an_image_that_is_quick_is_not_watched(said: SaidImages, router: ImageRouter) -> None:
    """Made within the first call, it needs no second."""
    said.answers = [MADE]

    async def watch(name: str) -> None:
        raise AssertionError(name)

    await router.create_from(images.CreateImageRequest(prompt="x", request_id="r"), on_name=watch)

    assert len(said.asked) == 1


@pytest.mark.parametrize("early", [TimedOut("planning"), DeadlinePast("", "planning")], ids=["timed out", "refused"])
async def test_planning_that_takes_longer_is_waited_for(
    said: SaidImages, router: ImageRouter, early: ImageRouterError
) -> None:
    """A first call that is too short for a name costs the watching, not the image."""
    said.answers = [early, MADE]

    async def watch(name: str) -> None:
        raise AssertionError(name)

    image = await router.create_from(images.CreateImageRequest(prompt="x", request_id="r"), on_name=watch)

    assert image == MADE


async def test_watching_needs_a_request_id(said: SaidImages, router: ImageRouter) -> None:
    """Without one the second call would be a second image; nothing is sent."""

    async def watch(name: str) -> None:
        raise AssertionError(name)

    with pytest.raises(InvalidField):
        await router.create_from(images.CreateImageRequest(prompt="x"), on_name=watch)

    assert not said.asked
