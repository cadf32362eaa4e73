"""The whole suite as processes on loopback: what they are is a table, starting them is a loop over it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PACKAGE = "imagerouter.api"
PROVIDERS = {"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY"}
EMULATED = {"openai": "/v1", "google": ""}
_START_S = 60.0
_STOP_S = 30.0


@dataclass(frozen=True)
class Part:
    """One process of the suite. `health` is the gRPC service whose readiness says that it is up."""

    name: str
    argv: tuple[str, ...]
    port: int
    health: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SuiteOptions:
    """How a suite is set up. `speed` multiplies the emulators' latencies; `live` are providers to be called for real,
    with the keys of the environment; `settings` are added to every service's environment."""

    data: Path
    port: int = 0
    artifact_port: int = 0
    speed: float = 0.05
    seed: int = 0
    live: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def free_port(wanted: int = 0) -> int:
    """A TCP port on loopback that nobody listens on; OSError if the wanted one is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", wanted))
        return int(probe.getsockname()[1])


def parts_of(options: SuiteOptions) -> list[Part]:
    """The suite's processes, in the order in which they are started."""
    data = options.data.resolve()
    store = {"IMAGEROUTER_ARTIFACT_STORE": f"file://{data / 'artifacts'}"}
    ports = {name: free_port() for name in ("normalizer", "router", "evaluator", *PROVIDERS)}

    def service(name: str, noun: str, interface: str, port: int, env: Mapping[str, str]) -> Part:
        listen = {"IMAGEROUTER_LISTEN": f"127.0.0.1:{port}", **options.settings}
        full = f"{PACKAGE}.{noun}.v1.{interface}"
        verb = name.partition("-")[0]
        return Part(name, (sys.executable, "-m", "imagerouter.cli.main", "serve", verb), port, full, {**listen, **env})

    emulators = []
    adapters = []
    for provider, key in PROVIDERS.items():
        env = {"IMAGEROUTER_PROVIDER": provider, **store}
        if provider in options.live:
            env["IMAGEROUTER_PROVIDER_API_KEY"] = os.environ[key]
        else:
            port = free_port()
            emulators.append(_emulator(provider, port, data, options))
            env["IMAGEROUTER_PROVIDER_BASE_URL"] = f"http://127.0.0.1:{port}{EMULATED[provider]}"
        adapters.append(service(f"adapter-{provider}", "adapter", "AdapterService", ports[provider], env))
    targets = {
        f"IMAGEROUTER_{name.upper()}_TARGET": f"127.0.0.1:{ports[name]}"
        for name in ("normalizer", "router", "evaluator")
    }
    targets["IMAGEROUTER_ADAPTER_TARGETS"] = json.dumps({name: f"127.0.0.1:{ports[name]}" for name in PROVIDERS})
    ledger = {"IMAGEROUTER_LEDGER_URL": f"sqlite+aiosqlite:///{data / 'ledger.db'}"}
    return [
        *emulators,
        service("normalizer", "normalizer", "NormalizerService", ports["normalizer"], store),
        service("router", "router", "RouterService", ports["router"], {}),
        service("evaluator", "evaluator", "EvaluatorService", ports["evaluator"], store),
        *adapters,
        service("artifact", "artifact", "ArtifactService", free_port(options.artifact_port), store),
        service("orchestrator", "images", "ImageService", free_port(options.port), {**store, **ledger, **targets}),
    ]


def _emulator(provider: str, port: int, data: Path, options: SuiteOptions) -> Part:
    argv = (
        *(sys.executable, "-m", "imagerouter.cli.main", "emulate", provider, "--port", str(port)),
        *("--journal", str(data / "journal"), "--speed", str(options.speed), "--seed", str(options.seed)),
    )
    return Part(f"emulator-{provider}", argv, port)


class PartFailed(Exception):
    """A process of the suite ended, or did not come up; the message names its log."""


class Suite:
    """A running suite. An async context: everything it started is stopped when it is left."""

    def __init__(self, options: SuiteOptions) -> None:
        self.options = options
        self.parts = {part.name: part for part in parts_of(options)}
        self.logs = options.data.resolve() / "logs"
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    def address(self, name: str) -> str:
        """`host:port` of one of the suite's processes."""
        return f"127.0.0.1:{self.parts[name].port}"

    async def __aenter__(self) -> Self:
        for folder in ("logs", "artifacts", "journal"):
            (self.options.data / folder).mkdir(parents=True, exist_ok=True)
        try:
            for name in self.parts:
                await self.start(name)
            await asyncio.gather(*(self.ready(name) for name in self.parts))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.stop()

    def log_of(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.logs / f"{name}.log"

    async def start(self, name: str) -> None:
        """Start one process, without waiting for it."""
        part = self.parts[name]
        with self.log_of(name).open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *part.argv,
                env={**os.environ, **part.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    async def ready(self, name: str) -> None:
        """Wait until a process serves. PartFailed if it ends first, or takes more than a minute."""
        process = self.processes[name]
        try:
            async with asyncio.timeout(_START_S):
                while not await self._serves(self.parts[name]):
                    if process.returncode is not None:
                        raise PartFailed(f"{name} ended with code {process.returncode}; see {self.log_of(name)}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise PartFailed(f"{name} did not come up in {_START_S:.0f} s; see {self.log_of(name)}") from None

    async def _serves(self, part: Part) -> bool:
        if not part.health:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", part.port)
            except OSError:
                return False
            writer.close()
            return True
        async with grpc.aio.insecure_channel(f"127.0.0.1:{part.port}") as channel:
            try:
                health: Any = health_pb2_grpc.HealthStub(channel)  # its types do not list the methods
                reply = await health.Check(health_pb2.HealthCheckRequest(service=part.health), timeout=2)
            except grpc.aio.AioRpcError:
                return False
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def first_to_end(self) -> str:
        """Wait until any process ends by itself; its name."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self.processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return waits[done.pop()]

    async def stop(self) -> None:
        """Drain and end every process, callers before those they call."""
        for name in reversed(list(self.processes)):
            await self.stop_one(name)

    async def stop_one(self, name: str) -> int:
        """SIGTERM one process and wait for it to drain; its exit code."""
        process = self.processes.pop(name)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        return process.returncode or 0
