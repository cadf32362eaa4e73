"""ArtifactService over an artifact store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc.aio

from imagerouter.api.artifact.v1 import artifact_service_pb2 as pb
from imagerouter.api.artifact.v1.artifact_service_pb2_grpc import ArtifactServiceServicer
from imagerouter.runtime.context import tenant_of
from imagerouter.runtime.errors import ImageRouterError, InvalidField
from imagerouter.storage import MAX_ARTIFACT_BYTES, PIECE_BYTES, ArtifactStore

_DRAIN_S = 0.25
_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class ArtifactService(ArtifactServiceServicer):
    """Every call speaks for the tenant in its metadata and sees that tenant's artifacts only."""

    def __init__(self, store: ArtifactStore, *, max_bytes: int = MAX_ARTIFACT_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes

    async def Upload(self, request_iterator: AsyncIterator[pb.UploadRequest], context: _Context) -> pb.UploadResponse:
        """Store what comes, whole or not at all."""
        try:
            return await self._upload(request_iterator, context)
        except ImageRouterError:
            await _drained(request_iterator)
            raise

    async def _upload(self, request_iterator: AsyncIterator[pb.UploadRequest], context: _Context) -> pb.UploadResponse:
        tenant = tenant_of(context)
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidField("header", "must be the first message")
        artifact = await self._store.put(
            tenant,
            _data(request_iterator),
            expected_digest=first.header.expected_digest,
            expected_size=first.header.expected_size_bytes,
            max_bytes=self._max_bytes,
            field="header",
        )
        return pb.UploadResponse(artifact=artifact)

    async def Download(self, request: pb.DownloadRequest, context: _Context) -> AsyncIterator[pb.DownloadResponse]:
        """Send an artifact from `offset` on: what it is with the first piece, which is empty at its very end."""
        tenant = tenant_of(context)
        artifact = await self._store.stat(tenant, request.digest)
        pieces = self._store.stream(tenant, request.digest, request.offset)
        yield pb.DownloadResponse(artifact=artifact, data=await anext(pieces, b""))
        async for piece in pieces:
            yield pb.DownloadResponse(data=piece)

    async def StatArtifact(self, request: pb.StatArtifactRequest, context: _Context) -> pb.StatArtifactResponse:
        """Say what an artifact is."""
        return pb.StatArtifactResponse(artifact=await self._store.stat(tenant_of(context), request.digest))


async def _drained(requests: AsyncIterator[pb.UploadRequest]) -> None:
    """Let a refused caller finish what it is sending, for a moment: grpc.aio's client reports a write that fails
    because the call has ended as INTERNAL, and would lose the reason of the refusal."""
    with contextlib.suppress(TimeoutError, ImageRouterError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in requests:
                continue


async def _data(requests: AsyncIterator[pb.UploadRequest]) -> AsyncIterator[bytes]:
    """Yield the pieces after the header. InvalidField for anything else, and for one that is too long."""
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise InvalidField("header" if request.HasField("header") else "data", "must be data after the header")
        if len(request.data) > PIECE_BYTES:
            limit = str(PIECE_BYTES)
            raise InvalidField(
                "data",
                f"must be at most {limit} bytes a message",
                reason="TOO_LARGE",
                metadata={"limit_bytes": limit},
            )
        yield request.data
