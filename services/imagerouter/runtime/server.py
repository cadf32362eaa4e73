"""The server that every service runs in: health, limits, interceptor, and a drain that loses no call.

server = Server(settings, name="router")
server.add("imagerouter.api.router.v1.RouterService", add_RouterServiceServicer_to_server, servicer, ready=ready)
await server.serve()
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from imagerouter.runtime.admission import Admission
from imagerouter.runtime.deadline import set_deadline
from imagerouter.runtime.health import Health, Ready
from imagerouter.runtime.log import get_log
from imagerouter.runtime.serving import Serving
from imagerouter.runtime.settings import ServiceSettings, log_as_configured
from imagerouter.runtime.watchdog import watch_loop

_log = get_log(__name__)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server:
    """One gRPC server and the tasks that belong to it."""

    def __init__(self, settings: ServiceSettings, *, name: str) -> None:
        self._settings = settings
        self._name = name
        self._health = Health(interval_s=settings.readiness_interval_s, timeout_s=settings.readiness_timeout_s)
        self._admission = Admission(settings.inflight_limit, settings.method_limits, settings.overload_retry_after_s)
        self._grpc = grpc.aio.server(interceptors=[Serving(self._admission)], options=_options(settings))
        self._services: dict[str, Ready | None] = {}
        self._own: list[asyncio.Task[None]] = []
        self._work: set[asyncio.Task[Any]] = set()
        self._on_drain: list[Callable[[], Awaitable[None]]] = []
        self.draining = asyncio.Event()
        """Set when the drain begins: streams without an end should end now."""

    def add(
        self,
        full_service_name: str,
        register: Callable[[Any, grpc.aio.Server], None],
        servicer: object,
        *,
        ready: Ready | None = None,
    ) -> None:
        """Serve a servicer. `register` is the generated `add_…_to_server`; `ready` is polled, None is always ready."""
        register(servicer, self._grpc)
        self._services[full_service_name] = ready

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str | None = None) -> asyncio.Task[Any]:
        """Run work that outlives the call it was begun in, free of that call's deadline. The drain waits for it.

        The task inherits the span and the tenant of the caller. What it raises is logged.
        """
        task = asyncio.get_running_loop().create_task(_detached(work), name=name)
        self._work.add(task)
        task.add_done_callback(self._worked)
        return task

    def on_drain(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call `callback` when the drain begins, before calls are refused: to hand back what was not begun."""
        self._on_drain.append(callback)

    async def start(self) -> int:
        """Bind, begin to answer, and return the port (0 for a unix socket)."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._grpc)
        for service, ready in self._services.items():
            await self._health.add(service, ready)
        await self._health.begin()
        if self._settings.reflection:
            names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._grpc)
        port = self._grpc.add_insecure_port(self._settings.listen)
        await self._grpc.start()
        host, colon, _ = self._settings.listen.rpartition(":")
        address = self._settings.listen if self._settings.listen.startswith("unix") else f"{host}{colon}{port}"
        self._own = [
            asyncio.create_task(self._health.watch(), name="readiness"),
            asyncio.create_task(self._announce(address, port), name="announce"),
            asyncio.create_task(
                watch_loop(self._health.set_alive, lag_s=self._settings.liveness_lag_s), name="loop-watchdog"
            ),
        ]
        return port

    async def serve(self) -> None:
        """Start, serve until SIGTERM or SIGINT, drain. A second signal ends the drain at once."""
        loop = asyncio.get_running_loop()
        asked, hurry = asyncio.Event(), asyncio.Event()
        for number in _SIGNALS:
            loop.add_signal_handler(number, lambda: hurry.set() if asked.is_set() else asked.set())
        try:
            await self.start()
            await asked.wait()
            drain = asyncio.create_task(self.drain())
            rush = asyncio.create_task(hurry.wait())
            await asyncio.wait({drain, rush}, return_when=asyncio.FIRST_COMPLETED)
            rush.cancel()
            if not drain.done():
                drain.cancel()
                await self.stop(0)
            with suppress(asyncio.CancelledError):
                await drain
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def drain(self) -> None:
        """Stop without losing a call: not ready, settle, refuse new calls, let the running ones end."""
        _log.info("draining", inflight=self._admission.inflight())
        await self._health.drain()
        self.draining.set()
        for callback in self._on_drain:
            try:
                await callback()
            except Exception:
                _log.exception("on_drain_failed")
        # Callers leave when they see that we are not ready; until then they are served.
        await asyncio.sleep(self._settings.drain_settle_s)
        await self.stop(self._settings.drain_grace_s)
        _log.info("drained")

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls; give the running ones and spawned work `grace_s` seconds to end, then cancel them."""
        await self._health.drain()
        self.draining.set()
        until = asyncio.get_running_loop().time() + grace_s
        self._health.servicer.end_watching()
        await self._grpc.stop(grace_s)
        # `stop` does not wait for handlers that have answered already (grpc#37239), nor for work without a call.
        pending = {task for task in self._work if not task.done()}
        if pending:
            await asyncio.wait(pending, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        await _end([*self._work, *self._own])

    async def _announce(self, address: str, port: int) -> None:
        await self._health.all_ready.wait()
        _log.info("ready", address=address, port=port, services=sorted(self._services))

    def _worked(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work_failed", task=task.get_name(), exc_info=error)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Set up the log and run a service's `serve` coroutine function to its end. For `main.py`."""
    log_as_configured()
    asyncio.run(main())


async def _detached(work: Coroutine[Any, Any, Any]) -> Any:
    set_deadline(None)
    return await work


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _options(settings: ServiceSettings) -> list[tuple[str, int]]:
    """Return server options. gRPC ignores names that it does not know: each has a test by its behaviour."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.server.max_pending_requests", settings.max_pending_requests),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_pending_requests_hard),
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_time_s)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_s)),
        ("grpc.http2.ping_timeout_ms", _ms(settings.keepalive_timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(settings.min_ping_interval_s)),
        ("grpc.max_connection_age_ms", _ms(settings.connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(settings.connection_age_grace_s)),
    ]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
