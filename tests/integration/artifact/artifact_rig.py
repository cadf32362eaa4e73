"""The artifact service on a free port of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from imagerouter.api.artifact.v1.artifact_service_pb2_grpc import add_ArtifactServiceServicer_to_server
from imagerouter.artifact.main import SERVICE
from imagerouter.artifact.service import ArtifactService
from imagerouter.artifact.settings import ArtifactSettings
from imagerouter.runtime.server import Server
from imagerouter.storage import ArtifactStore


@asynccontextmanager
async def served(store: ArtifactStore, **changes: Any) -> AsyncIterator[int]:
    """Serve artifacts on a free port."""
    settings = ArtifactSettings(**changes)
    server = Server(settings, name="artifact")
    service = ArtifactService(store, max_bytes=settings.max_artifact_bytes)
    server.add(SERVICE, add_ArtifactServiceServicer_to_server, service, ready=store.ready)
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
