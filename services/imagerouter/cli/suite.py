"""The whole suite as processes on loopback: what they are is a table, starting them is a loop over it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PACKAGE = "imagerouter.api"
PROVIDERS = {"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY"}
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
    with the keys of the environment; `settings` are added to every service's environment; `replicas` are how many
    processes a service has, where it is more than one."""

    data: Path
    port: int = 0
    artifact_port: int = 0
    speed: float = 0.05
    seed: int = 0
    live: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)


def free_port(wanted: int = 0) -> int:
    """A TCP port on loopback that nobody listens on; OSError if the wanted one is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", wanted))
        return int(probe.getsockname()[1])


def target_of(ports: Sequence[int]) -> str:
    """The gRPC target of one or more replicas on loopback."""
    return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)


def parts_of(options: SuiteOptions) -> list[Part]:
    """The suite's processes, in the order in which they are started: callees before their callers."""
    data = options.data.resolve()
    store = {"IMAGEROUTER_ARTIFACT_STORE": (data / "artifacts").as_uri()}
    ledger = {"IMAGEROUTER_LEDGER_URL": f"sqlite+aiosqlite:///{data / 'ledger.db'}"}
    parts: list[Part] = []
    targets: dict[str, str] = {}

    def add(name: str, interface: str, env: Mapping[str, str], port: int = 0) -> None:
        """One service with its replicas; the first has the given port and the plain name."""
        ports = [free_port(port), *(free_port() for _ in range(1, options.replicas.get(name, 1)))]
        targets[name] = target_of(ports)
        argv = (sys.executable, "-m", "imagerouter.cli.main", "serve", name.partition("-")[0])
        for number, each in enumerate(ports, start=1):
            label = name if number == 1 else f"{name}-{number}"
            listen = {"IMAGEROUTER_LISTEN": f"127.0.0.1:{each}"}
            parts.append(Part(label, argv, each, f"{PACKAGE}.{interface}", {**options.settings, **listen, **env}))

    for provider, key in PROVIDERS.items():
        env = {"IMAGEROUTER_PROVIDER": provider, **store}
        if provider in options.live:
            env["IMAGEROUTER_PROVIDER_API_KEY"] = os.environ[key]
        else:
            emulator = _emulator(provider, free_port(), data, options)
            parts.append(emulator)
            env["IMAGEROUTER_PROVIDER_BASE_URL"] = f"http://127.0.0.1:{emulator.port}"
        add(f"adapter-{provider}", "adapter.v1.AdapterService", env)
    add("normalizer", "normalizer.v1.NormalizerService", store)
    add("router", "router.v1.RouterService", {})
    add("evaluator", "evaluator.v1.EvaluatorService", store)
    add("artifact", "artifact.v1.ArtifactService", store, options.artifact_port)
    peers = {f"IMAGEROUTER_{name.upper()}_TARGET": targets[name] for name in ("normalizer", "router", "evaluator")}
    peers["IMAGEROUTER_ADAPTER_TARGETS"] = json.dumps({name: targets[f"adapter-{name}"] for name in PROVIDERS})
    add("orchestrator", "images.v1.ImageService", {**store, **ledger, **peers}, options.port)
    return parts


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the providers' keys: only an adapter is given one, under its own name."""
    return {name: value for name, value in environment.items() if name not in PROVIDERS.values()}


def _emulator(provider: str, port: int, data: Path, options: SuiteOptions) -> Part:
    argv = (
        *(sys.executable, "-m", "imagerouter.cli.main", "emulate", provider, "--port", str(port)),
        *("--journal", str(data / "journal"), "--speed", str(options.speed), "--seed", str(options.seed)),
    )
    return Part(f"emulator-{provider}", argv, port)


def _post(url: str, document: Mapping[str, object]) -> None:
    body = json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5):  # noqa: S310  # loopback, our own emulator
        return


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

    def target(self, name: str) -> str:
        """The gRPC target of a service, with all its replicas."""
        own = [part.port for label, part in self.parts.items() if label == name or label.rpartition("-")[0] == name]
        return target_of(own)

    def log_of(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.logs / f"{name}.log"

    async def start(self, name: str) -> None:
        """Start one process, without waiting for it."""
        part = self.parts[name]
        with self.log_of(name).open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *part.argv,
                env={**_without_keys(os.environ), **part.env},
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

    async def order_fault(self, provider: str, rule: Mapping[str, object]) -> None:
        """Have a provider's emulator do something wrong. See docs/emulators.md for rules and presets."""
        await asyncio.to_thread(_post, f"http://{self.address(f'emulator-{provider}')}/_control/faults", rule)

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
