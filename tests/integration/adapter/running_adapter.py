"""A whole adapter on a port of its own: settings, provider, servicer, our server, a channel to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio

from imagerouter.adapter.execution import Executor
from imagerouter.adapter.main import SERVICE
from imagerouter.adapter.outputs import OutputStore
from imagerouter.adapter.pictures import Decoder
from imagerouter.adapter.registry import Connection, open_provider
from imagerouter.adapter.service import AdapterServicer
from imagerouter.adapter.settings import AdapterSettings
from imagerouter.api.adapter.v1 import adapter_service_pb2 as pb
from imagerouter.api.adapter.v1.adapter_service_pb2_grpc import AdapterServiceStub, add_AdapterServiceServicer_to_server
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.server import Server
from imagerouter.storage import ArtifactStore, open_store
from tests.unit.adapter.adapter_calls import CATALOGUE


@dataclass
class RunningAdapter:
    """An adapter to call."""

    stub: AdapterServiceStub
    store: ArtifactStore
    servicer: AdapterServicer
    target: str

    async def events(self, request: pb.GenerateRequest, **call: Any) -> list[pb.GenerateResponse]:
        """Every event of one attempt."""
        return [event async for event in self.stub.Generate(request, **call)]

    async def outcome(self, request: pb.GenerateRequest) -> attempt_pb2.Outcome:
        """The outcome of one attempt; that it comes last and once is checked on the way."""
        events = await self.events(request)
        assert events[0].HasField("accepted")
        assert [event.WhichOneof("event") for event in events].count("outcome") == 1
        return events[-1].outcome


@asynccontextmanager
async def running_adapter(
    provider: str,
    base_url: str,
    *,
    read_timeout_s: float | None = 30.0,
    heartbeat_s: float = 30.0,
    store: ArtifactStore | None = None,
    key: str | None = None,
    output_pauses_s: Sequence[float] = (0.01, 0.01),
) -> AsyncIterator[RunningAdapter]:
    """Run an adapter for `provider` against `base_url`, with an empty store in memory unless one is given."""
    settings = AdapterSettings(provider=provider, provider_base_url=base_url, provider_api_key=key, drain_settle_s=0.0)
    store = store or open_store("memory://")
    connection = Connection(settings.base_url, settings.api_key, settings.provider_api_version, 2.0, 100, utc_now)
    client = open_provider(provider, connection, Decoder(1))
    await client.warm()
    servicer = AdapterServicer(  # type: ignore[abstract]
        Executor(client, store, OutputStore(store, output_pauses_s), utc_now),
        CATALOGUE,
        heartbeat_s=heartbeat_s,
        remembered_attempts=1000,
        read_timeout_override_s=read_timeout_s,
    )
    server = Server(settings, name=f"adapter-{provider}")
    server.add(SERVICE, add_AdapterServiceServicer_to_server, servicer)
    target = f"127.0.0.1:{await server.start()}"
    channel: grpc.aio.Channel = open_channel(target)
    try:
        yield RunningAdapter(AdapterServiceStub(channel), store, servicer, target)
    finally:
        await channel.close()
        await server.stop(1.0)
        await client.close()
