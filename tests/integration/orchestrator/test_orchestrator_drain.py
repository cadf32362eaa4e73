"""A drain: what runs comes to its end within the grace, and what does not is handed back whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.client import ImageRouter
from imagerouter.runtime.errors import Unavailable
from tests.integration.orchestrator.scripted import Script, Stage, stage
from tests.integration.orchestrator.test_orchestrator_lease import (
    SUCCEEDED,
    UNKNOWN,
    Clock,
    abandoned,
    attempts,
    claimable,
    hold,
)


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


async def test_a_drain_waits_for_what_runs(staged: Stage, router: ImageRouter, script: Script) -> None:
    """Within the grace a run comes to its own end, and nothing is handed back."""
    call, _ = await staged.begin(router)
    staged.runs.begin_drain(60)
    draining = asyncio.create_task(staged.runs.drain(asyncio.Event()))
    hold(script).set()
    image = await asyncio.wait_for(call, 5)
    await asyncio.wait_for(draining, 5)

    assert attempts(image) == [SUCCEEDED]
    assert not staged.runs.active


async def test_a_drain_in_a_hurry_hands_back_at_once(staged: Stage, router: ImageRouter) -> None:
    """A second signal ends the waiting, however long the grace; another replica can go on at once."""
    call, image_id = await staged.begin(router)
    staged.runs.begin_drain(60)
    hurry = asyncio.Event()
    draining = asyncio.create_task(staged.runs.drain(hurry))
    waited = not (await asyncio.wait({draining}, timeout=0.05))[0]
    held = await claimable(staged)
    hurry.set()
    await asyncio.wait_for(draining, 2)
    taken = await claimable(staged)
    await abandoned(call)

    assert waited
    assert not held
    assert taken == [f"images/{image_id}"]
    assert staged.script.cancelled.is_set()


async def test_a_drain_hands_back_before_calls_are_cut_off(staged: Stage, router: ImageRouter) -> None:
    """The grace counts from where the drain began; what still runs then is handed back, and is carried on elsewhere:
    the attempt under way as unknown, the image to its end."""
    call, image_id = await staged.begin(router)
    loop = asyncio.get_running_loop()
    began = loop.time()
    staged.runs.begin_drain(0.2)
    await asyncio.wait_for(staged.runs.drain(asyncio.Event()), 2)
    took = loop.time() - began
    hold(staged.script).set()
    staged.runs.cut_off_at = None  # in place of another replica
    await staged.runs.sweep()
    image = await asyncio.wait_for(call, 5)

    assert took >= 0.19
    assert image.name == f"images/{image_id}"
    assert attempts(image) == [UNKNOWN, SUCCEEDED]


async def test_a_drain_does_not_wait_for_a_ledger_that_is_away(
    staged: Stage, router: ImageRouter, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that is repeated until it succeeds ends with the process: whoever takes over finds the attempt SENT."""
    tried = asyncio.Event()

    async def away(*_: Any) -> None:
        tried.set()
        raise Unavailable("the ledger did not answer")

    call, image_id = await staged.begin(router)
    with monkeypatch.context() as patch:
        patch.setattr(staged.ledger, "finish_attempt", away)
        hold(script).set()
        await asyncio.wait_for(tried.wait(), 5)
        staged.runs.begin_drain(0)
        await asyncio.wait_for(staged.runs.drain(asyncio.Event()), 2)
    held = (await staged.ledger.get_image("default", f"images/{image_id}")).receipt.attempts[0].state
    taken = await claimable(staged)
    await abandoned(call)

    assert held == attempt_pb2.ATTEMPT_STATE_SENT
    assert taken == [f"images/{image_id}"]


async def test_a_draining_replica_renews_and_takes_nothing_over(staged: Stage, router: ImageRouter) -> None:
    """What it has it keeps until the end; what others left is for others."""
    call, image_id = await staged.begin(router, "own")
    other_call, orphan = await staged.begin(router, "orphan")
    await staged.crash(orphan)
    staged.runs.begin_drain(60)
    clock = staged.runs.clock = Clock()
    clock.leap(10)
    await staged.runs.sweep()
    clock.leap(10)
    taken, active = await claimable(staged), list(staged.runs.active)
    for each in (call, other_call):
        await abandoned(each)

    assert active == [image_id]
    assert taken == [f"images/{orphan}"]
