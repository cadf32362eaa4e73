"""The normalizer, served for real on a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from normalizer_rig import served

from imagerouter.api.normalizer.v1.normalizer_service_pb2_grpc import NormalizerServiceStub
from imagerouter.runtime.channel import open_channel
from imagerouter.storage import ArtifactStore, open_store


@pytest.fixture
def store() -> ArtifactStore:
    """Open the store that the service is on."""
    return open_store("memory://")


@pytest.fixture
async def stub(store: ArtifactStore) -> AsyncIterator[NormalizerServiceStub]:
    """Call a running service."""
    async with served(store) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield NormalizerServiceStub(channel)
