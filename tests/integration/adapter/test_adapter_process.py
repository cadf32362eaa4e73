"""The adapter as a process: ready when warmed, serving, draining, and saying what is wrong with its settings."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imagerouter.adapter.main import SERVICE
from imagerouter.api.adapter.v1.adapter_service_pb2_grpc import AdapterServiceStub
from tests.integration.adapter.test_adapter_service import good, slow
from tests.integration.adapter.test_adapter_wire_faults import MODELS, PROVIDERS
from tests.integration.adapter.wire_server import wire_server
from tests.unit.adapter.adapter_calls import make_request, words_of


def _environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGEROUTER_", "OTEL_"))}
    return kept | {f"IMAGEROUTER_{name.upper()}": value for name, value in settings.items()}


@asynccontextmanager
async def _process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "imagerouter.adapter.main",
        env=_environment(**settings),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _ready_line(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while line := await process.stderr.readline():
            event: dict[str, object] = json.loads(line)
            if event["event"] == "ready":
                return event
    raise AssertionError("it ended before it was ready")


@PROVIDERS
async def test_sigterm_lets_a_call_end(provider: str, tmp_path: Path) -> None:
    """A process is ready once its SDK is loaded; asked to stop, it ends what is paid for and exits with 0."""
    async with (
        wire_server(slow(good(provider), 0.7)) as server,
        _process(
            provider=provider,
            provider_base_url=server.url,
            artifact_store=f"file://{tmp_path}",
            drain_settle_s="0",
        ) as process,
    ):
        target = str((await _ready_line(process))["address"])
        async with grpc.aio.insecure_channel(target) as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=SERVICE))
            events = aiter(AdapterServiceStub(channel).Generate(make_request(MODELS[provider])))
            await anext(events)
            await asyncio.wait_for(server.began.wait(), 5)
            process.send_signal(signal.SIGTERM)
            *_, last = [event async for event in events]
        code = await asyncio.wait_for(process.wait(), 15)

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert words_of(last.outcome) == ("SUCCEEDED", "CHARGED")
    assert code == 0
    assert list(tmp_path.rglob(last.outcome.artifacts[0].digest))


async def test_a_missing_key_ends_the_process_with_advice() -> None:
    """Without key and emulator it exits with 78 and says what to do."""
    async with _process(provider="openai") as process:
        _, stderr = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 78
    assert b"imagerouter emulate" in stderr
