"""Callers who hang up at the worst moment: what nobody waits for is not made, and what somebody waits for is.

Where the moment counts, the handler is called directly: over the wire nobody could say when a cancellation arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import ImageRouter
from imagerouter.orchestrator.main import new_id
from imagerouter.orchestrator.plan import Planner
from imagerouter.orchestrator.service import ImageServicer
from tests.integration.orchestrator.scripted import Script, Stage, stage

REQUEST = images.CreateImageRequest(prompt="a fox", request_id="r")
CANCELLED = images.IMAGE_STATE_CANCELLED
SUCCEEDED = images.IMAGE_STATE_SUCCEEDED


class Caller:
    """What a handler sees of a caller who has `left_s` seconds, and hangs up on the image's name if told to."""

    def __init__(self, left_s: float | None = None, *, hangs_up: bool = False) -> None:
        self.left_s = left_s
        self.hangs_up = hangs_up

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> float | None:
        return self.left_s

    async def send_initial_metadata(self, metadata: Any) -> None:
        if self.hangs_up:
            raise asyncio.CancelledError


@pytest.fixture
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    """The adapter keeps its first attempts until the test lets it go on."""
    async with stage(tmp_path, Script(hold=asyncio.Event())) as started:
        yield started


@pytest.fixture
async def router(staged: Stage) -> AsyncIterator[ImageRouter]:
    async with ImageRouter(staged.target) as client:
        yield client


@pytest.fixture
def servicer(staged: Stage) -> ImageServicer:
    return ImageServicer(staged.ledger, Planner(staged.ledger, staged.store, new_id), staged.runs)


def answering(servicer: ImageServicer, caller: Caller) -> asyncio.Task[images.CreateImageResponse]:
    return asyncio.create_task(servicer.CreateImage(REQUEST, caller))  # type: ignore[arg-type]


async def hang_up(call: asyncio.Task[Any]) -> None:
    """Hang up, and wait until the handler has seen it; what it has to finish first it may finish."""
    call.cancel()
    await asyncio.wait({call}, timeout=0.1)


def let_go(staged: Stage) -> None:
    assert staged.script.hold is not None
    staged.script.hold.set()


async def on_record(staged: Stage) -> str:
    found = await staged.ledger.find_request("default", REQUEST.request_id)
    assert found
    return found[0]


class SlowRecording:
    """A ledger that has written the row, and has not said so yet."""

    def __init__(self, staged: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = asyncio.Event()
        self.said = asyncio.Event()
        self._create = staged.ledger.create_image
        monkeypatch.setattr(staged.ledger, "create_image", self)

    async def __call__(self, **row: Any) -> Any:
        made = await self._create(**row)
        self.written.set()
        await self.said.wait()
        return made


@pytest.fixture
def recording(staged: Stage, monkeypatch: pytest.MonkeyPatch) -> SlowRecording:
    return SlowRecording(staged, monkeypatch)


async def test_hanging_up_while_the_row_is_written(
    staged: Stage, servicer: ImageServicer, recording: SlowRecording
) -> None:
    """A row is never left behind for a sweep to find, and to pay for, long after its only caller hung up."""
    call = answering(servicer, Caller())
    await asyncio.wait_for(recording.written.wait(), 5)
    await hang_up(call)
    recording.said.set()
    image = await staged.ended(await on_record(staged))

    assert image.state == CANCELLED
    assert image.receipt.cost_micros == image.receipt.reserved_micros == 0
    assert not staged.script.generated


async def test_time_that_is_up_while_the_row_is_written(
    staged: Stage, servicer: ImageServicer, recording: SlowRecording
) -> None:
    """A caller whose time is up did not hang up: the image is made, for him to ask for again."""
    call = answering(servicer, Caller(left_s=0))
    await asyncio.wait_for(recording.written.wait(), 5)
    await hang_up(call)
    recording.said.set()
    let_go(staged)
    image = await staged.ended(await on_record(staged))

    assert image.state == SUCCEEDED


async def test_hanging_up_before_waiting(staged: Stage, servicer: ImageServicer) -> None:
    """Between the row and the waiting there is a moment too: the image is cancelled as if it had come later."""
    await asyncio.gather(answering(servicer, Caller(hangs_up=True)), return_exceptions=True)
    image = await staged.ended(await on_record(staged))

    assert image.state == CANCELLED
    assert image.receipt.cost_micros == 0


async def test_hanging_up_before_waiting_leaves_others_waiting(
    staged: Stage, router: ImageRouter, servicer: ImageServicer
) -> None:
    """It takes nothing from a caller of the same request_id who waits already."""
    call, _ = await staged.begin(router)
    await asyncio.gather(answering(servicer, Caller(hangs_up=True)), return_exceptions=True)
    let_go(staged)

    assert (await asyncio.wait_for(call, 5)).state == SUCCEEDED


async def test_hanging_up_before_the_adapter_is_called(
    staged: Stage, router: ImageRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation that comes while the ledger lets the attempt out is in time: nothing is sent, nothing costs."""
    mark_sent = staged.ledger.mark_sent

    async def cancelled_meanwhile(*attempt: Any) -> Any:
        marked = await mark_sent(*attempt)
        for active in staged.runs.active.values():
            active.run.cancel()
        return marked

    monkeypatch.setattr(staged.ledger, "mark_sent", cancelled_meanwhile)
    image = await asyncio.wait_for(router.create("a fox"), 5)
    (attempt,) = image.receipt.attempts

    assert image.state == CANCELLED
    assert not staged.script.generated
    assert attempt.outcome.phase == attempt_pb2.PHASE_NOT_SENT
    assert (image.receipt.cost_micros, image.receipt.reserved_micros) == (0, 0)


async def test_hanging_up_while_draining(staged: Stage, router: ImageRouter) -> None:
    """In a drain callers hang up as ever, as long as our server does not cut them off: nobody waits, nobody pays."""
    call, image_id = await staged.begin(router)
    staged.runs.begin_drain(60)
    await hang_up(call)
    image = await staged.ended(image_id)

    assert image.state == CANCELLED
    assert staged.script.cancelled.is_set()


async def test_being_cut_off_is_not_hanging_up(staged: Stage, router: ImageRouter) -> None:
    """From the cut-off on it is our server that ends calls: the image goes on, to be handed back or finished."""
    call, image_id = await staged.begin(router)
    active = staged.runs.active[image_id]
    async with asyncio.timeout(5):
        while not active.callers:
            await asyncio.sleep(0.01)
        staged.runs.begin_drain(0)
        call.cancel()
        while active.callers:
            await asyncio.sleep(0.01)
    let_go(staged)
    image = await staged.ended(image_id)

    assert image.state == SUCCEEDED
    assert not staged.script.cancelled.is_set()


async def test_one_hangs_up_while_the_row_is_written_and_one_waits(
    staged: Stage, servicer: ImageServicer, recording: SlowRecording
) -> None:
    """Two callers of one request_id, of whom the first hangs up before there is a run: the second gets the image."""
    first = answering(servicer, Caller())
    await asyncio.wait_for(recording.written.wait(), 5)
    second = answering(servicer, Caller())
    await hang_up(first)
    recording.said.set()
    let_go(staged)
    image = (await asyncio.wait_for(second, 5)).image

    assert image.state == SUCCEEDED
