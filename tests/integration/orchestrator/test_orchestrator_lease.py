"""Leases: an image is worked on by whoever holds it, and by nobody else; its callers need not know who that is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as evaluator
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as normalizer
from imagerouter.client import ImageRouter
from imagerouter.ledger import LostLease
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.context import tenant_of
from imagerouter.runtime.errors import ImageRouterError, NotFound, Unavailable
from tests.integration.orchestrator.scripted import (
    PRICE,
    UPPER,
    Script,
    ScriptedAdapter,
    ScriptedEvaluator,
    ScriptedNormalizer,
    Stage,
    stage,
    stages,
)

UNKNOWN = attempt_pb2.ATTEMPT_STATE_UNKNOWN
SUCCEEDED = attempt_pb2.ATTEMPT_STATE_SUCCEEDED


class Clock:
    """The time, and what was added to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def leap(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class SlowNormalizer(ScriptedNormalizer):
    """Takes longer than a lease lasts."""

    def __init__(self, script: Script, clock: Clock, seconds: float) -> None:
        super().__init__(script)
        self.clock = clock
        self.seconds = seconds

    async def Normalize(self, request: normalizer.NormalizeRequest, context: Any) -> normalizer.NormalizeResponse:
        self.clock.leap(self.seconds)
        return await super().Normalize(request, context)


class NotingAdapter(ScriptedAdapter):
    """Keeps for whom it was called."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.tenants: list[str] = []

    async def Generate(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.tenants.append(tenant_of(context))
        async for event in super().Generate(request, context):
            yield event


class FailingEvaluator(ScriptedEvaluator):
    """Fails while it has a fault."""

    fault: ImageRouterError | None = None

    async def Evaluate(self, request: evaluator.EvaluateRequest, context: Any) -> evaluator.EvaluateResponse:
        if self.fault is not None:
            raise self.fault
        return await super().Evaluate(request, context)


@pytest.fixture
def script() -> Script:
    """The adapter keeps its first attempts until the test lets it go on."""
    return Script(hold=asyncio.Event())


@pytest.fixture
async def staged(tmp_path: Path, script: Script) -> AsyncIterator[Stage]:
    async with stage(tmp_path, script) as started:
        yield started


@pytest.fixture
async def router(staged: Stage) -> AsyncIterator[ImageRouter]:
    async with ImageRouter(staged.target) as client:
        yield client


def hold(script: Script) -> asyncio.Event:
    assert script.hold is not None
    return script.hold


def attempts(image: images.Image) -> list[attempt_pb2.AttemptState.ValueType]:
    return [attempt.state for attempt in image.receipt.attempts]


async def claimable(staged: Stage) -> list[str]:
    """The images that another replica would take over now."""
    now = staged.runs.clock()
    claims = await staged.ledger.claim_expired("another", now, now + timedelta(hours=1), 16)
    return [claim.image.name for claim in claims]


async def lose(staged: Stage, image_id: str, *, for_s: float) -> None:
    """Let another replica have an image for so long."""
    now = staged.runs.clock()
    await staged.ledger.release_lease(image_id, staged.runs.owner, 1, now)
    assert await staged.ledger.acquire_lease(image_id, "thief", now, now + timedelta(seconds=for_s))


async def abandoned(call: asyncio.Task[images.Image]) -> None:
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_a_lease_begins_with_the_row(tmp_path: Path, script: Script) -> None:
    """However long planning took, an image that was just recorded is nobody else's to take over."""
    clock = Clock()
    async with stage(tmp_path, script, normalizer_servicer=SlowNormalizer(script, clock, 60)) as staged:
        staged.runs.clock = clock
        async with ImageRouter(staged.target) as router:
            call, _ = await staged.begin(router)
            taken = await claimable(staged)
            await abandoned(call)

    assert clock.ahead == timedelta(seconds=60)
    assert not taken


async def test_a_sweep_that_takes_long_gives_whole_leases(
    staged: Stage, router: ImageRouter, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is claimed at the end of a slow sweep is held from then on, not from the sweep's beginning."""
    clock = staged.runs.clock = Clock()
    other_call, lost = await staged.begin(router, "lost")
    call, image_id = await staged.begin(router, "orphan")
    await lose(staged, lost, for_s=3600)
    await staged.crash(image_id)

    async def renew(*_: Any) -> bool:
        clock.leap(60)
        raise LostLease("it is the thief's")

    monkeypatch.setattr(staged.ledger, "renew_lease", renew)
    await staged.runs.sweep()
    taken = await claimable(staged)
    for each in (call, other_call):
        await abandoned(each)

    assert clock.ahead == timedelta(seconds=60)
    assert not taken


async def test_an_image_taken_back_is_kept_when_its_old_run_ends(
    staged: Stage, router: ImageRouter, script: Script
) -> None:
    """A replica that lost an image and got it back has two runs of it for a while. The end of the old one is not the
    end of the new one: it stays registered, to be renewed and cancelled."""
    call, image_id = await staged.begin(router)
    old = staged.runs.active[image_id]
    await lose(staged, image_id, for_s=0)
    script.begun.clear()
    await staged.runs.sweep()
    await asyncio.wait_for(script.begun.wait(), 5)
    new = staged.runs.active[image_id]
    old.task.cancel()
    await asyncio.gather(old.task, return_exceptions=True)
    kept = staged.runs.active.get(image_id)
    hold(script).set()
    image = await asyncio.wait_for(call, 5)

    assert new is not old
    assert kept is new
    assert attempts(image) == [UNKNOWN, SUCCEEDED]
    assert not staged.runs.active


async def test_a_lost_lease_is_no_business_of_the_caller(tmp_path: Path, script: Script) -> None:
    """Whoever waits at the replica that lost an image gets it from the one that finished it."""
    async with stages(tmp_path, script, owners=("one", "two")) as (one, two), ImageRouter(one.target) as router:
        call, image_id = await one.begin(router)
        await one.ledger.release_lease(image_id, "one", 1, one.runs.clock())
        script.begun.clear()
        await two.runs.sweep()
        await asyncio.wait_for(script.begun.wait(), 5)
        hold(script).set()
        image = await asyncio.wait_for(call, 5)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert attempts(image) == [UNKNOWN, SUCCEEDED]
    assert (image.receipt.cost_micros, image.receipt.reserved_micros) == (PRICE, UPPER)
    assert len(script.generated) == 2


async def test_a_caller_of_a_run_that_was_stopped_is_answered(
    staged: Stage, router: ImageRouter, script: Script
) -> None:
    """A run whose task is cancelled leaves its caller waiting for whoever takes over, not for ever."""
    call, image_id = await staged.begin(router)
    await staged.crash(image_id)
    hold(script).set()
    await staged.runs.sweep()
    image = await asyncio.wait_for(call, 5)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert attempts(image) == [UNKNOWN, SUCCEEDED]


async def test_a_row_that_cannot_be_read_does_not_stop_the_keeping(
    staged: Stage, router: ImageRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An abandoned image that nobody can take over costs that image, not the leases of all others."""
    call, image_id = await staged.begin(router, "broken")
    await staged.crash(image_id)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("update images set task = x'ffff'")
    database.close()
    other_call, other = await staged.begin(router, "sound")
    renewed: asyncio.Queue[str] = asyncio.Queue()
    renew = staged.ledger.renew_lease

    async def noted(image_id: str, *lease: Any) -> bool:
        renewed.put_nowait(image_id)
        return await renew(image_id, *lease)

    monkeypatch.setattr(staged.ledger, "renew_lease", noted)
    keeping = asyncio.create_task(staged.runs.keep(0.01))
    try:
        async with asyncio.timeout(5):
            seen = [await renewed.get() for _ in range(3)]
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        for each in (call, other_call):
            await abandoned(each)

    assert seen == [other] * 3


async def test_a_resumed_image_is_its_tenant_s(tmp_path: Path, script: Script) -> None:
    """What is taken over calls the peers for the image's tenant, whatever tenant the sweep runs for: none."""
    adapter = NotingAdapter(script)
    async with (
        stage(tmp_path, script, adapter_servicer=adapter) as staged,
        ImageRouter(staged.target, tenant="acme") as router,
    ):
        call, image_id = await staged.begin(router, tenant="acme")
        await staged.crash(image_id)
        hold(script).set()
        await staged.runs.sweep()
        await asyncio.wait_for(call, 5)

    assert adapter.tenants == ["acme", "acme"]


@pytest.fixture
async def unjudged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Stage, str]]:
    """An image whose run died after its attempt was paid for, and before anybody had looked at the output."""
    script = Script()
    async with (
        stage(tmp_path, script, evaluator_servicer=FailingEvaluator(script)) as staged,
        ImageRouter(staged.target) as router,
    ):
        reached = asyncio.Event()

        async def never(*_: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(staged.ledger, "record_evaluation", never)
            call, image_id = await staged.begin(router)
            await asyncio.wait_for(reached.wait(), 5)
            await staged.crash(image_id)
        yield staged, image_id
        await abandoned(call)


async def test_a_resumed_image_that_cannot_be_judged_ends(
    unjudged: tuple[Stage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluator that rejects what a dead run left would reject it at every replica: the image fails, with the
    evaluator's reason and its cost on the receipt, instead of going from hand to hand."""
    staged, image_id = unjudged
    gone = NotFound("outcome.artifacts[0]", "is gone", reason="ARTIFACT_NOT_FOUND")
    monkeypatch.setattr(FailingEvaluator, "fault", gone)
    await staged.runs.sweep()
    image = await staged.ended(image_id)

    assert image.state == images.IMAGE_STATE_FAILED
    assert image.error.reason == error_reason_pb2.ERROR_REASON_ARTIFACT_NOT_FOUND
    assert image.receipt.cost_micros == PRICE
    assert len(staged.script.generated) == 1


async def test_a_resumed_image_waits_for_an_evaluator_that_is_away(
    unjudged: tuple[Stage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluator that does not answer says nothing about the output: the image is left to the next who takes over,
    and what was paid for is not paid for again."""
    staged, image_id = unjudged
    with monkeypatch.context() as patch:
        patch.setattr(FailingEvaluator, "fault", Unavailable("restarting"))
        await staged.runs.sweep()
        await asyncio.wait({staged.runs.active[image_id].task}, timeout=5)
    now = staged.runs.clock()
    await staged.ledger.release_lease(image_id, staged.runs.owner, 2, now)
    await staged.runs.sweep()
    image = await staged.ended(image_id)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert attempts(image) == [SUCCEEDED]


async def test_a_row_that_cannot_be_read_keeps_no_other_waiting(
    staged: Stage, router: ImageRouter, tmp_path: Path
) -> None:
    """Of two abandoned images one cannot be read: the other is taken over all the same."""
    broken_call, broken = await staged.begin(router, "broken")
    sound_call, sound = await staged.begin(router, "sound")
    for image_id in (broken, sound):
        await staged.crash(image_id)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("update images set task = x'ffff' where image_id = ?", (broken,))
    database.close()
    hold(staged.script).set()
    await staged.runs.sweep()
    image = await staged.ended(sound)
    for each in (broken_call, sound_call):
        await abandoned(each)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
