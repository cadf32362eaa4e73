"""Typed async client for internal services.

    async with ImageRouter("dns:///orchestrator:50051", artifacts="dns:///artifact:50051") as router:
        image = await router.create("A red fox in the snow", request_id="order-17")
        data = await router.download(image.artifacts[0])

Every method raises `runtime.errors.ImageRouterError` (its `reason` is the error contract's), whatever failed. An image
that could not be made is no exception: it comes back in state FAILED with `error` and a receipt.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import json_format

from imagerouter.api.artifact.v1 import artifact_service_pb2 as artifact
from imagerouter.api.artifact.v1 import artifact_service_pb2_grpc as artifact_grpc
from imagerouter.api.common.v1 import artifact_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.images.v1 import images_service_pb2_grpc as images_grpc
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.context import TENANT_KEY
from imagerouter.runtime.errors import DeadlinePast, InvalidField, TimedOut, Unavailable
from imagerouter.runtime.status import from_rpc_error

CHUNK = 256 * 1024
# Long enough for planning on a busy machine, short enough for someone who waits for the first sign of progress.
_NAMED_WITHIN_S = 1.0
_PARSED_FIELD = re.compile(r'Failed to parse (\w+) field|no field named "(\w+)"')
_ENUM_PREFIXES = {
    "mode": "MODE_",
    "role": "REFERENCE_ROLE_",
    "preference": "PREFERENCE_",
    "quality": "QUALITY_",
    "size_tier": "SIZE_TIER_",
    "sizeTier": "SIZE_TIER_",
    "format": "OUTPUT_FORMAT_",
    "background": "BACKGROUND_",
}


def parse_request(document: dict[str, Any]) -> images.CreateImageRequest:
    """A request from its JSON form, in which enum values may be short and lower case ("generate", "2k", "png").

    InvalidField names what is unknown or of the wrong type.
    """
    try:
        return json_format.ParseDict(_spell_out(document), images.CreateImageRequest())
    except json_format.ParseError as error:
        # The parser's text may quote values; the names of fields are all that is passed on.
        keys = set(_keys(document))
        names = [name for pair in _PARSED_FIELD.findall(str(error)) for name in pair if name in keys]
        raise InvalidField(".".join(names) or "request", "is unknown or of the wrong type") from error
    except RecursionError as error:
        raise InvalidField("request", "is nested too deeply") from error


def _keys(document: Any) -> Iterator[str]:
    """Every key that the caller wrote, and no value; however deep."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            yield from map(str, value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _spell_out(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: inner if name == "labels" else _spell_out(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spell_out(inner, key) for inner in value]
    prefix = _ENUM_PREFIXES.get(key)
    if prefix and isinstance(value, str) and not value.startswith(prefix):
        return prefix + value.upper()
    return value


class ImageRouter:
    """A connection to the suite. One per process and event loop is enough; use it as an async context."""

    def __init__(self, target: str, *, artifacts: str = "", tenant: str = "") -> None:
        """`target` is the orchestrator's address, `artifacts` the artifact service's (needed to upload and download),
        `tenant` whom the calls are for (default: "default")."""
        self._channel = open_channel(target)
        self._artifact_channel = open_channel(artifacts) if artifacts else None
        self._images = images_grpc.ImageServiceStub(self._channel)
        self._metadata = ((TENANT_KEY, tenant),) if tenant else ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()
        if self._artifact_channel is not None:
            await self._artifact_channel.close()

    async def create(
        self,
        prompt: str,
        *,
        request_id: str = "",
        mode: task_pb2.Mode.ValueType = task_pb2.MODE_UNSPECIFIED,
        references: Sequence[artifact_pb2.ArtifactRef | Path | bytes] = (),
        parent: str = "",
        constraints: task_pb2.Constraints | None = None,
        output: task_pb2.OutputSpec | None = None,
        timeout_s: float | None = None,
    ) -> images.Image:
        """Make an image. References may be artifacts, files or bytes; the latter two are uploaded first."""
        request = images.CreateImageRequest(
            request_id=request_id, prompt=prompt, mode=mode, parent=parent, constraints=constraints, output=output
        )
        for reference in references:
            ref = reference if isinstance(reference, artifact_pb2.ArtifactRef) else await self.upload(reference)
            request.references.append(images.InputImage(artifact=ref))
        return await self.create_from(request, timeout_s=timeout_s)

    async def create_from(
        self,
        request: images.CreateImageRequest,
        *,
        timeout_s: float | None = None,
        on_name: Callable[[str], Awaitable[None]] | None = None,
    ) -> images.Image:
        """Make the image of a ready request; RUNNING if `timeout_s` seconds are not enough.

        `on_name` is run beside the call as soon as the image has a name, to watch it being made; it is cancelled when
        the image is there, and its failures are of no consequence. The request needs a request_id for that.
        """
        if on_name is None:
            return await self._create(request, timeout_s)
        # grpc.aio shows a unary call's initial metadata, which has the name, only when the call is over. A call with a
        # short deadline has the name in its answer, and a second one of the same request_id joins the image.
        if not request.request_id:
            raise InvalidField("request_id", "is needed to watch the image while it is made")
        try:
            image = await self._create(request, _NAMED_WITHIN_S)
        except (DeadlinePast, TimedOut):  # planning takes longer: there is no name yet
            return await self._create(request, timeout_s)
        if image.state != images.IMAGE_STATE_RUNNING:
            return image
        beside = asyncio.ensure_future(on_name(image.name))
        try:
            return await self._create(request, timeout_s)
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)

    async def _create(self, request: images.CreateImageRequest, timeout_s: float | None) -> images.Image:
        async with _typed_errors():
            call = self._images.CreateImage(request, timeout=timeout_s, metadata=self._metadata)
            return (await call).image

    async def get(self, name: str) -> images.Image:
        """An image as the ledger has it ("images/{id}")."""
        async with _typed_errors():
            return (await self._images.GetImage(images.GetImageRequest(name=name), metadata=self._metadata)).image

    async def list(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        state: images.ImageState.ValueType = images.IMAGE_STATE_UNSPECIFIED,
    ) -> images.ListImagesResponse:
        """A page of the tenant's images, newest first."""
        request = images.ListImagesRequest(page_size=page_size, page_token=page_token, state=state)
        async with _typed_errors():
            return await self._images.ListImages(request, metadata=self._metadata)

    async def watch(self, name: str, *, after_sequence: int = 0) -> AsyncIterator[images.ImageEvent]:
        """Every event of an image until it ends."""
        request = images.WatchImageRequest(name=name, after_sequence=after_sequence)
        async with _typed_errors():
            async for reply in self._images.WatchImage(request, metadata=self._metadata):
                yield reply.event

    async def cancel(self, name: str) -> images.Image:
        """Stop an image."""
        async with _typed_errors():
            return (await self._images.CancelImage(images.CancelImageRequest(name=name), metadata=self._metadata)).image

    async def explain(self, request: images.CreateImageRequest) -> images.ExplainRouteResponse:
        """What would be done, and why; spends nothing."""
        async with _typed_errors():
            return await self._images.ExplainRoute(images.ExplainRouteRequest(request=request), metadata=self._metadata)

    async def upload(self, source: Path | bytes) -> artifact_pb2.ArtifactRef:
        """Store a file or bytes as an artifact."""
        # Read before the call: grpc.aio makes a cancellation of what a request stream raises.
        try:
            data = source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)
        except OSError as error:
            raise InvalidField("source", "cannot be read") from error

        async def parts() -> AsyncIterator[artifact.UploadRequest]:
            yield artifact.UploadRequest(header=artifact.UploadHeader())
            for begin in range(0, len(data), CHUNK):
                yield artifact.UploadRequest(data=data[begin : begin + CHUNK])

        async with _typed_errors():
            return (await self._artifacts().Upload(parts(), metadata=self._metadata)).artifact

    async def download(self, ref: artifact_pb2.ArtifactRef) -> bytes:
        """The bytes of an artifact."""
        pieces = bytearray()
        async with _typed_errors():
            request = artifact.DownloadRequest(digest=ref.digest)
            async for piece in self._artifacts().Download(request, metadata=self._metadata):
                pieces += piece.data
        return bytes(pieces)

    def _artifacts(self) -> artifact_grpc.ArtifactServiceAsyncStub:
        if self._artifact_channel is None:
            raise Unavailable("no address of the artifact service was given", metadata={"dependency": "artifact"})
        return artifact_grpc.ArtifactServiceStub(self._artifact_channel)


@asynccontextmanager
async def _typed_errors() -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
