"""ImageService: checks a call, hands it on, and waits no longer than its caller does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
from opentelemetry import trace

from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.images.v1 import images_service_pb2_grpc as images_grpc
from imagerouter.ledger import Existing, Ledger
from imagerouter.orchestrator import validate
from imagerouter.orchestrator.calls import Calls
from imagerouter.orchestrator.plan import Bounds, Plan, Planner
from imagerouter.orchestrator.run import Work
from imagerouter.orchestrator.runs import Runs
from imagerouter.runtime.context import tenant_of
from imagerouter.runtime.errors import AlreadyExists, NotBuilt

Context = grpc.aio.ServicerContext[Any, Any]

IMAGE_METADATA = "imagerouter-image"
# What is kept of the caller's time for the reply, so that it gets the image in state RUNNING and not a timeout.
_REPLY_S = 0.25


@dataclass
class _Flight:
    """Calls with one request_id go one after another through planning; the first makes the image."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class ImageServicer(images_grpc.ImageServiceServicer):
    """The public API."""

    def __init__(self, ledger: Ledger, planner: Planner, runs: Runs) -> None:
        self._ledger = ledger
        self._planner = planner
        self._runs = runs
        self._flights: dict[tuple[str, str], _Flight] = {}

    async def CreateImage(self, request: images.CreateImageRequest, context: Context) -> images.CreateImageResponse:
        """Make an image, or join the one of the same request_id."""
        tenant = tenant_of(context)
        validate.check_request(request, self._runs.clock())
        async with self._flight(tenant, request.request_id):
            image_id = await self._existing(tenant, request) or await self._begin(tenant, request, context)
        try:
            await context.send_initial_metadata(((IMAGE_METADATA, f"images/{image_id}"),))
        except asyncio.CancelledError:
            self._forsaken(image_id, context)
            raise
        return images.CreateImageResponse(image=await self._wait(image_id, tenant, context))

    def _forsaken(self, image_id: str, context: Context) -> None:
        """A caller hung up before it could wait: as in `Runs.join`, it takes the image along if nobody else waits. One
        whose deadline was about to end did not hang up: its end of the connection just knew it a moment earlier."""
        active = self._runs.active.get(image_id)
        remaining = context.time_remaining()
        if active is not None and not active.callers and (remaining is None or remaining > _REPLY_S):
            active.run.cancel()

    async def GetImage(self, request: images.GetImageRequest, context: Context) -> images.GetImageResponse:
        """Read an image."""
        tenant = tenant_of(context)
        validate.image_id(request.name)
        return images.GetImageResponse(image=await self._ledger.get_image(tenant, request.name))

    async def ListImages(self, request: images.ListImagesRequest, context: Context) -> images.ListImagesResponse:
        """Read a page of images."""
        return await self._ledger.list_images(tenant_of(context), request.page_size, request.page_token, request.state)

    async def WatchImage(
        self, request: images.WatchImageRequest, context: Context
    ) -> AsyncIterator[images.WatchImageResponse]:
        """Follow an image to its end."""
        tenant = tenant_of(context)
        image_id = validate.image_id(request.name)
        await self._ledger.get_image(tenant, request.name)  # not the tenant's: NOT_FOUND
        async with aclosing(self._runs.watch(image_id, request.after_sequence)) as events:
            async for event in events:
                yield images.WatchImageResponse(event=event)

    async def CancelImage(self, request: images.CancelImageRequest, context: Context) -> images.CancelImageResponse:
        """Stop an image and wait until it has stopped."""
        tenant = tenant_of(context)
        image_id = validate.image_id(request.name)
        await self._ledger.get_image(tenant, request.name)
        await self._ledger.request_cancel(image_id, self._runs.clock())
        active = self._runs.active.get(image_id)
        if active is not None:
            active.run.cancel()
        return images.CancelImageResponse(image=await self._wait(image_id, tenant, context, counts=False))

    async def ExplainRoute(self, request: images.ExplainRouteRequest, context: Context) -> images.ExplainRouteResponse:
        """Plan and stop there."""
        tenant = tenant_of(context)
        now = self._runs.clock()
        validate.check_request(request.request, now)
        calls = Calls(self._runs.peers, self._runs.clock, lambda hop: None)  # noqa: ARG005
        bounds, _ = self._bounds(request.request, now)
        plan = await self._planner.plan(
            request.request, tenant, calls, now=now, bounds=bounds, unavailable=self._runs.outages.current(now)
        )
        return images.ExplainRouteResponse(task=plan.task, decision=plan.decision)

    async def BatchCreateImages(
        self, request: images.BatchCreateImagesRequest, context: Context
    ) -> images.BatchCreateImagesResponse:
        """Not built yet."""
        raise NotBuilt("BatchCreateImages is not built yet", metadata={"method": "BatchCreateImages"})

    async def RecordFeedback(
        self, request: images.RecordFeedbackRequest, context: Context
    ) -> images.RecordFeedbackResponse:
        """Not built yet."""
        raise NotBuilt("RecordFeedback is not built yet", metadata={"method": "RecordFeedback"})

    @asynccontextmanager
    async def _flight(self, tenant: str, request_id: str) -> AsyncIterator[None]:
        if not request_id:
            yield
            return
        key = (tenant, request_id)
        flight = self._flights.setdefault(key, _Flight())
        flight.users += 1
        try:
            async with flight.lock:
                yield
        finally:
            flight.users -= 1
            if not flight.users:
                del self._flights[key]

    async def _existing(self, tenant: str, request: images.CreateImageRequest) -> str | None:
        found = await self._ledger.find_request(tenant, request.request_id) if request.request_id else None
        if found is None:
            return None
        return _same_payload(found[0], found[1], request)

    async def _begin(self, tenant: str, request: images.CreateImageRequest, context: Context) -> str:
        """Plan, write the row, start the run. Until the row is written, nothing is."""
        now = self._runs.clock()
        hops: list[images.Hop] = []
        calls = Calls(self._runs.peers, self._runs.clock, hops.append)
        bounds, deadline = self._bounds(request, now)
        plan = await self._planner.plan(
            request, tenant, calls, now=now, bounds=bounds, unavailable=self._runs.outages.current(now)
        )
        # Row and run belong together: a row that nobody runs would be taken up by a sweep, and paid for, long after its
        # caller hung up.
        recording = asyncio.ensure_future(self._record(tenant, request, plan, calls, hops, now, bounds, deadline))
        try:
            return await asyncio.shield(recording)
        except asyncio.CancelledError:
            await asyncio.wait({recording})  # still in the flight: a second caller must find the run, not only the row
            flight = self._flights.get((tenant, request.request_id))
            if not recording.exception() and (flight is None or flight.users == 1):
                self._forsaken(recording.result(), context)
            raise

    async def _record(
        self,
        tenant: str,
        request: images.CreateImageRequest,
        plan: Plan,
        calls: Calls,
        hops: list[images.Hop],
        now: datetime,
        bounds: Bounds,
        deadline: datetime,
    ) -> str:
        made = await self._ledger.create_image(
            image_id=self._runs.new_id(),
            tenant=tenant,
            request_id=request.request_id,
            fingerprint=validate.fingerprint(request),
            task=plan.task,
            labels=dict(request.labels),
            create_time=now,
            deadline=deadline,
            budget_micros=bounds.budget_micros,
            trace_id=_trace_id(),
            parent=request.parent,
            owner=self._runs.owner,
            lease_until=self._runs.clock() + timedelta(seconds=self._runs.lease_s),
        )
        if isinstance(made, Existing):  # another replica was first
            return _same_payload(made.image_id, made.fingerprint, request)
        work = Work(
            image_id=made.image_id,
            tenant=tenant,
            task=plan.task,
            deadline=deadline,
            budget_micros=bounds.budget_micros,
            epoch=made.epoch,
            decision=plan.decision,
        )
        self._runs.start(work, calls, hops)
        return made.image_id

    def _bounds(self, request: images.CreateImageRequest, now: datetime) -> tuple[Bounds, datetime]:
        defaults = self._runs.limits.defaults
        deadline = validate.image_deadline(request, now, defaults.time_s)
        budget = request.constraints.max_cost_micros or defaults.budget_micros
        return Bounds(budget, (deadline - now).total_seconds()), deadline

    async def _wait(self, image_id: str, tenant: str, context: Context, *, counts: bool = True) -> images.Image:
        """The image when it has ended, or RUNNING when the caller's time is up."""
        active = self._runs.active.get(image_id)
        if active is None or not await self._runs.join(active, _patience(context), counts=counts):
            with suppress(TimeoutError):  # it has ended, or another replica runs it
                async with asyncio.timeout(_patience(context)):
                    async for _ in self._ledger.watch(image_id):
                        continue
        return await self._ledger.get_image(tenant, image_id)


def _patience(context: Context) -> float | None:
    remaining = context.time_remaining()
    return None if remaining is None else max(0.0, remaining - _REPLY_S)


def _same_payload(image_id: str, fingerprint: bytes, request: images.CreateImageRequest) -> str:
    if fingerprint != validate.fingerprint(request):
        raise AlreadyExists(
            "request_id", "was used before with another payload", metadata={"name": f"images/{image_id}"}
        )
    return image_id


def _trace_id() -> str:
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
