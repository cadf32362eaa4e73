"""`grpc.health.v1`: alive ("" and "liveness"), accepting, and ready (one entry for each service).

Alive means that the process and its event loop work; it never depends on anything remote. Accepting ends when the drain
begins: our channels watch it and leave before the server stops, since what C-core receives after that it cancels. Ready
is what each service says of itself when asked; it begins as no, and is no for good once the drain begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from imagerouter.runtime.log import get_log

LIVENESS: Final = "liveness"
"""The health service name that a liveness probe asks for."""

ACCEPTING: Final = "accepting"
"""The health service name that our channels watch."""

Ready = Callable[[], Awaitable[bool]]

_log = get_log(__name__)
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _always() -> bool:
    return True


class _Servicer(health_aio.HealthServicer):
    """The library's, whose watchers end when the server does: they would keep it until its grace is over."""

    def __init__(self) -> None:
        super().__init__()
        self._watching: set[asyncio.Task[None]] = set()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """Send the health of a service, and again whenever it changes."""
        task = asyncio.ensure_future(super().Watch(request, context))
        self._watching.add(task)
        try:
            await task
        except asyncio.CancelledError:
            task.cancel()
            if task in self._watching:
                raise
        finally:
            self._watching.discard(task)

    def end_watching(self) -> None:
        """End all watchers, with OK."""
        watching, self._watching = self._watching, set()
        for task in watching:
            task.cancel()


class Health:
    """The health of one server. `servicer` is what to register."""

    def __init__(self, *, interval_s: float, timeout_s: float) -> None:
        self.servicer = _Servicer()
        self.all_ready = asyncio.Event()
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._services: dict[str, Ready] = {}
        self._ready: dict[str, bool | None] = {}

    async def add(self, service: str, ready: Ready | None) -> None:
        """Begin with a service as not ready; without `ready` it will be as soon as `watch` runs."""
        self._services[service] = ready or _always
        self._ready[service] = None
        await self.servicer.set(service, _NOT_SERVING)

    async def set_alive(self, alive: bool) -> None:
        """Say whether the event loop works."""
        for name in ("", LIVENESS):
            await self.servicer.set(name, _SERVING if alive else _NOT_SERVING)

    async def begin(self) -> None:
        """Be alive and accepting."""
        await self.set_alive(True)
        await self.servicer.set(ACCEPTING, _SERVING)

    async def watch(self) -> None:
        """Ask all services over and over, ten times as often until all were ready once. Runs until cancelled."""
        while True:
            await asyncio.gather(*(self._ask(service, ready) for service, ready in self._services.items()))
            if all(self._ready.values()):
                self.all_ready.set()
            await asyncio.sleep(self._interval_s if self.all_ready.is_set() else self._interval_s / 10)

    async def drain(self) -> None:
        """Make everything not ready, for good. Liveness stays: a draining process must not be killed for it."""
        self._services.clear()
        for service in (ACCEPTING, *self._ready):
            await self.servicer.set(service, _NOT_SERVING)

    async def _ask(self, service: str, ready: Ready) -> None:
        why: BaseException | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await ready()
        except Exception as error:
            answer, why = False, error
        if service not in self._services or answer == self._ready[service]:
            return
        first = self._ready[service] is None
        self._ready[service] = answer
        await self.servicer.set(service, _SERVING if answer else _NOT_SERVING)
        if not answer:
            _log.warning("not_ready", of=service, exc_info=why)
        elif not first:
            _log.info("ready_again", of=service)
