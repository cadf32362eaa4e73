"""The runs of this process: begun by calls or taken over from a replica that is gone, each in a task of its own, kept
by a lease."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.ledger import Ledger, LostLease
from imagerouter.orchestrator import resume, spans
from imagerouter.orchestrator.calls import Calls, Peers
from imagerouter.orchestrator.limits import Limits
from imagerouter.orchestrator.outages import Outages
from imagerouter.orchestrator.run import Run, Work
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.deadline import deadline_scope
from imagerouter.runtime.errors import ImageRouterError

_log = structlog.get_logger()
_CLAIMS_AT_ONCE = 16
_KEPT_PREVIEWS = 8


@dataclass
class ActiveRun:
    """A run under way: its task ends with the image, `callers` are the CreateImage calls that wait for it."""

    run: Run
    task: asyncio.Task[images.Image]
    callers: int = 0
    previews: list[asyncio.Queue[images.ImageEvent]] = field(default_factory=list)


@dataclass
class Runs:
    """All runs of this process. `owner` names the process in leases."""

    ledger: Ledger
    peers: Peers
    limits: Limits
    outages: Outages
    clock: Clock
    new_id: Callable[[], str]
    owner: str
    lease_s: float
    active: dict[str, ActiveRun] = field(default_factory=dict)
    draining_since: float | None = None

    def start(self, work: Work, calls: Calls, hops: list[images.Hop]) -> ActiveRun:
        """Begin a run. It outlives the call that asks for it."""
        run = Run(
            work=work,
            ledger=self.ledger,
            calls=calls,
            limits=self.limits,
            outages=self.outages,
            clock=self.clock,
            new_id=self.new_id,
            on_preview=lambda attempt_id, preview: self._preview(work.image_id, attempt_id, preview),
            hops=hops,
        )
        # The caller's deadline ends the caller's waiting, not the work: an attempt that runs is paid for.
        with deadline_scope(None):
            task = asyncio.create_task(self._carry(run), name=f"image-{work.image_id}")
        active = ActiveRun(run, task)
        self.active[work.image_id] = active
        task.add_done_callback(lambda _: self.active.pop(work.image_id, None))
        return active

    async def _carry(self, run: Run) -> images.Image:
        with spans.image(run.work.image_id) as span:
            try:
                image = await run.execute()
            except LostLease:
                _log.warning("image.lost_lease", image_id=run.work.image_id)
                raise
            except ImageRouterError as error:
                # The ledger could not be written: the lease runs out, and whoever takes over finds what was recorded.
                _log.error("image.run_failed", image_id=run.work.image_id, reason=error.reason)
                raise
            spans.image_ended(span, image)
            return image

    async def join(self, active: ActiveRun, timeout_s: float | None, *, counts: bool) -> None:
        """Wait for a run to end, for `timeout_s` seconds at most. A caller that `counts` takes the image with it if it
        is cancelled while nobody else waits; one whose time is merely up, or that we cut off in a drain, does not."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        active.callers += counts
        try:
            done, _ = await asyncio.wait({active.task}, timeout=timeout_s)
        except asyncio.CancelledError:
            in_time = until is None or time.monotonic() < until
            if counts and active.callers == 1 and in_time and self.draining_since is None:
                active.run.cancel()
            raise
        finally:
            active.callers -= counts
        for task in done:
            task.result()

    async def keep(self, every_s: float) -> None:
        """Renew leases, look for cancellations, take over what others left. Runs until cancelled."""
        while True:
            try:
                await self.sweep()
            except ImageRouterError as error:
                _log.warning("orchestrator.sweep_failed", reason=error.reason)
            await asyncio.sleep(every_s)

    async def sweep(self) -> None:
        """Do all of that once."""
        until = self.clock() + timedelta(seconds=self.lease_s)
        for image_id, active in list(self.active.items()):
            with contextlib.suppress(LostLease):
                if await self.ledger.renew_lease(image_id, self.owner, active.run.work.epoch, until):
                    active.run.cancel()
        if self.draining_since is not None:
            return
        for claim in await self.ledger.claim_expired(self.owner, self.clock(), until, _CLAIMS_AT_ONCE):
            work = await resume.work_of(claim, self.ledger, self.clock, self.limits.defaults.budget_micros)
            _log.info("image.taken_over", image_id=work.image_id, epoch=work.epoch)
            hops: list[images.Hop] = []
            active = self.start(work, Calls(self.peers, self.clock, hops.append), hops)
            if claim.cancel_requested:
                active.run.cancel()

    async def begin_drain(self) -> None:
        """From now on nothing is taken over, and callers who are cut off take no image with them."""
        self.draining_since = time.monotonic()

    async def drain(self, grace_s: float) -> None:
        """Let runs end until `grace_s` seconds after the drain began, then hand the rest back: their attempts under
        way become unknown."""
        spent = 0.0 if self.draining_since is None else time.monotonic() - self.draining_since
        if self.active:
            await asyncio.wait([active.task for active in self.active.values()], timeout=max(0.0, grace_s - spent))
        for image_id, active in list(self.active.items()):
            active.task.cancel()
            await asyncio.gather(active.task, return_exceptions=True)
            with contextlib.suppress(ImageRouterError):
                await self.ledger.release_lease(image_id, self.owner, active.run.work.epoch, self.clock())

    def _preview(self, image_id: str, attempt_id: str, preview: adapter.Preview) -> None:
        active = self.active.get(image_id)
        if active is None:
            return
        event = images.ImageEvent(
            preview=images.Preview(attempt_id=attempt_id, index=preview.index, artifact=preview.artifact)
        )
        event.time.FromDatetime(self.clock())
        for queue in active.previews:
            with contextlib.suppress(asyncio.QueueFull):  # a slow watcher misses previews, which are not kept anyway
                queue.put_nowait(event)

    async def watch(self, image_id: str, after_sequence: int) -> AsyncIterator[images.ImageEvent]:
        """Every kept event, and the previews of this process's runs between them."""
        queue: asyncio.Queue[images.ImageEvent] = asyncio.Queue(_KEPT_PREVIEWS)
        active = self.active.get(image_id)
        if active is not None:
            active.previews.append(queue)
        kept = self.ledger.watch(image_id, after_sequence)
        following = asyncio.ensure_future(anext(kept, None))
        preview = asyncio.ensure_future(queue.get())
        try:
            while True:
                await asyncio.wait({following, preview}, return_when=asyncio.FIRST_COMPLETED)
                if preview.done():
                    yield preview.result()
                    preview = asyncio.ensure_future(queue.get())
                    continue
                event = following.result()
                if event is None:
                    return
                yield event
                following = asyncio.ensure_future(anext(kept, None))
        finally:
            preview.cancel()
            following.cancel()
            await asyncio.gather(preview, following, return_exceptions=True)
            await kept.aclose()  # type: ignore[attr-defined]
            if active is not None:
                active.previews.remove(queue)
