"""The runs of this process: begun by calls or taken over from a replica that is gone, each in a task of its own, kept
by a lease."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.ledger import Claim, InvalidState, Ledger, LostLease
from imagerouter.orchestrator import resume, spans
from imagerouter.orchestrator.calls import Calls, Peers
from imagerouter.orchestrator.limits import Limits
from imagerouter.orchestrator.outages import Outages
from imagerouter.orchestrator.run import Run, Work
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.context import tenant_scope
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
    cut_off_at: float | None = None
    """The monotonic time from which our own server cuts off calls in its drain. None while it does not drain."""

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
        with deadline_scope(None), tenant_scope(work.tenant):
            task = asyncio.create_task(self._carry(run), name=f"image-{work.image_id}")
        active = ActiveRun(run, task)
        self.active[work.image_id] = active
        task.add_done_callback(lambda _: self._ended(active))
        return active

    def _forget(self, run: ActiveRun) -> None:
        image_id = run.run.work.image_id
        if self.active.get(image_id) is run:  # it may have been taken over again since
            del self.active[image_id]

    def _ended(self, ended: ActiveRun) -> None:
        self._forget(ended)
        if not ended.task.cancelled():
            ended.task.exception()  # logged in _carry; nobody may be waiting for it

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
            except Exception:
                # A defect would strike every replica that takes over: the image ends here.
                _log.exception("image.run_broke", image_id=run.work.image_id)
                image = await run.give_up()
            spans.image_ended(span, image)
            return image

    async def join(self, active: ActiveRun, timeout_s: float | None, *, counts: bool) -> bool:
        """Wait for a run to end, for `timeout_s` seconds at most. A caller that `counts` takes the image with it if it
        is cancelled while nobody else waits; one whose time is merely up, or that we cut off in a drain, does not."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        active.callers += counts
        try:
            done, _ = await asyncio.wait({active.task}, timeout=timeout_s)
        except asyncio.CancelledError:
            now = time.monotonic()
            hung_up = (until is None or now < until) and (self.cut_off_at is None or now < self.cut_off_at)
            if counts and active.callers == 1 and hung_up:
                active.run.cancel()
            raise
        finally:
            active.callers -= counts
        for task in done:
            if task.cancelled() or isinstance(task.exception(), (LostLease, InvalidState)):
                return False  # not ours any more: whoever takes it over goes on with it
            task.result()
        return True

    async def keep(self, every_s: float) -> None:
        """Renew leases, look for cancellations, take over what others left. Runs until cancelled."""
        while True:
            try:
                await self.sweep()
            except ImageRouterError as error:
                _log.warning("orchestrator.sweep_failed", reason=error.reason)
            except Exception:
                # Whatever is wrong with one row: without renewals this replica would lose every image it has.
                _log.exception("orchestrator.sweep_failed")
            await asyncio.sleep(every_s)

    async def sweep(self) -> None:
        """Do all of that once."""
        for image_id, active in list(self.active.items()):
            try:
                if await self.ledger.renew_lease(image_id, self.owner, active.run.work.epoch, self._lease()):
                    active.run.cancel()
            except LostLease:  # the run finds out at its next write; the image may come back to us before that
                self._forget(active)
        if self.cut_off_at is not None:
            return
        claims = await self.ledger.claim_expired(
            self.owner, self.clock(), self._lease(), _CLAIMS_AT_ONCE, held=list(self.active)
        )
        for claim in claims:
            try:
                await self._take_over(claim)
            except ImageRouterError as error:  # its lease runs out again; the others of the batch go on
                _log.warning("image.take_over_failed", image=claim.image.name, reason=error.reason)

    def _lease(self) -> datetime:
        return self.clock() + timedelta(seconds=self.lease_s)

    async def _take_over(self, claim: Claim) -> None:
        work = await resume.work_of(claim, self.ledger, self.clock, self.limits.defaults.budget_micros)
        _log.info("image.taken_over", image_id=work.image_id, epoch=work.epoch)
        hops: list[images.Hop] = []
        active = self.start(work, Calls(self.peers, self.clock, hops.append), hops)
        if claim.cancel_requested:
            active.run.cancel()

    def begin_drain(self, grace_s: float) -> None:
        """From now on nothing is taken over. In `grace_s` seconds our server cuts off the calls that are left; they
        take no image with them."""
        self.cut_off_at = time.monotonic() + grace_s

    async def drain(self, hurry: asyncio.Event) -> None:
        """Let runs end until the cut-off, or until somebody is in a hurry, then hand the rest back: their attempts
        under way become unknown."""
        left = 0.0 if self.cut_off_at is None else self.cut_off_at - time.monotonic()
        hurried = asyncio.create_task(hurry.wait())
        ended = asyncio.gather(*(active.task for active in self.active.values()), return_exceptions=True)
        waits: set[asyncio.Future[Any]] = {ended, hurried}
        await asyncio.wait(waits, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
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

    async def watch(self, image_id: str, after_sequence: int) -> AsyncGenerator[images.ImageEvent, None]:
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
