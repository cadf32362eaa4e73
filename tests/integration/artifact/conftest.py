"""The artifact service, served for real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from artifact_rig import served

from imagerouter.api.artifact.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from imagerouter.runtime.channel import open_channel
from imagerouter.storage import ArtifactStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Open the store that the service is on."""
    return open_store(tmp_path.as_uri())


@pytest.fixture
async def channel(store: ArtifactStore) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to a running service."""
    async with served(store) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> ArtifactServiceStub:
    """Call a running service."""
    return ArtifactServiceStub(channel)
