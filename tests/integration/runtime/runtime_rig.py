"""Servers and stubs for the runtime's own tests: one service with every kind of RPC, behaving as the test says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue

from imagerouter.runtime.server import Server
from imagerouter.runtime.settings import ServiceSettings

SERVICE = "rig.Rig"
HERE = Path(__file__).parent
_KINDS = {
    "Unary": grpc.unary_unary_rpc_method_handler,
    "Read": grpc.unary_unary_rpc_method_handler,
    "Answers": grpc.unary_stream_rpc_method_handler,
    "Requests": grpc.stream_unary_rpc_method_handler,
    "Both": grpc.stream_stream_rpc_method_handler,
}


def path(method: str) -> str:
    """The full path of one of the rig's methods."""
    return f"/{SERVICE}/{method}"


def register(behaviours: Mapping[str, Callable[..., Any]], server: grpc.aio.Server) -> None:
    """What `add_…_to_server` would be, for handlers given by name."""
    handlers = {
        method: _KINDS[method](
            behaviour, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
        )
        for method, behaviour in behaviours.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class Stub:
    """What a generated stub would be."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        coders = {"request_serializer": StringValue.SerializeToString, "response_deserializer": StringValue.FromString}
        self.Unary = channel.unary_unary(path("Unary"), **coders)
        self.Read = channel.unary_unary(path("Read"), **coders)
        self.Answers = channel.unary_stream(path("Answers"), **coders)
        self.Requests = channel.stream_unary(path("Requests"), **coders)
        self.Both = channel.stream_stream(path("Both"), **coders)


def text(value: str = "") -> StringValue:
    """A message."""
    return StringValue(value=value)


async def finished(call: Any) -> None:
    """Wait for a call of any kind to end; raises what it ends with."""
    if hasattr(call, "__aiter__"):
        async for _ in call:
            pass
    else:
        await call


async def echo(request: StringValue, context: Any) -> StringValue:
    """Answer what was asked."""
    return request


def settings(**changes: Any) -> ServiceSettings:
    """Settings for tests: quick to become ready and to drain."""
    return ServiceSettings(**{"readiness_interval_s": 0.1, "drain_settle_s": 0.05, "drain_grace_s": 5.0} | changes)


@asynccontextmanager
async def served(
    *, ready: Any = None, changes: Mapping[str, Any] | None = None, **behaviours: Any
) -> AsyncIterator[int]:
    """A server of the rig's service in this process; yields its port."""
    async with running(ready=ready, changes=changes, **behaviours) as (_, port):
        yield port


@asynccontextmanager
async def running(
    *, ready: Any = None, changes: Mapping[str, Any] | None = None, **behaviours: Any
) -> AsyncIterator[tuple[Server, int]]:
    """The same, yielding the server as well."""
    server = Server(settings(**(changes or {})), name="rig")
    server.add(SERVICE, register, behaviours, ready=ready)
    port = await server.start()
    try:
        yield server, port
    finally:
        await server.stop(0)


class Process:
    """A process of ours that logs JSON lines on standard error."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())
        self._changed = asyncio.Event()

    async def _read(self) -> None:
        import json

        assert self._process.stderr is not None
        async for line in self._process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": "not_json", "text": line.decode()})
            self._changed.set()

    async def line(self, event: str, within_s: float = 15) -> dict[str, Any]:
        """The first line of that event."""
        async with asyncio.timeout(within_s):
            while True:
                found = [line for line in self.lines if line["event"] == event]
                if found:
                    return found[0]
                self._changed.clear()
                await self._changed.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within_s: float = 15) -> int:
        """Its exit code."""
        async with asyncio.timeout(within_s):
            code = await self._process.wait()
            await self._reader
        return code

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader


@asynccontextmanager
async def process(module: str, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    """Run a module of this folder in its own process, killed at the end of the block."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("IMAGEROUTER_", "OTEL_"))}
    started = Process(
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / f"{module}.py"),
            *arguments,
            env=inherited | environment,
            stderr=asyncio.subprocess.PIPE,
            limit=2**20,
        )
    )
    try:
        yield started
    finally:
        await started.kill()
