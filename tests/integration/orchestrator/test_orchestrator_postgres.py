"""Two orchestrators that share one Postgres ledger, with scripted peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from imagerouter.api.common.v1 import attempt_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import ImageRouter
from imagerouter.ledger import Ledger
from imagerouter.runtime.errors import ImageRouterError
from tests.integration.orchestrator.scripted import PRICE, UPPER, Script, Stage, ended, stages
from tests.postgres import PostgresServer, postgres_server

__all__ = ["postgres_server"]

UNKNOWN = attempt_pb2.ATTEMPT_STATE_UNKNOWN
SUCCEEDED = attempt_pb2.ATTEMPT_STATE_SUCCEEDED


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated(postgres_server: PostgresServer) -> str:
    """A database with the schema, to copy."""
    name = await postgres_server.create_database()
    await Ledger.migrate(postgres_server.url(name))
    return name


@pytest.fixture
async def replicas(tmp_path: Path, postgres_server: PostgresServer, migrated: str) -> AsyncIterator[list[Stage]]:
    """Two orchestrators, "one" and "two", on an empty ledger."""
    name = await postgres_server.create_database(migrated)
    async with stages(tmp_path, Script(), ledger_url=postgres_server.url(name), owners=("one", "two")) as started:
        yield started
    await postgres_server.drop_database(name)


@pytest.fixture
async def clients(replicas: list[Stage]) -> AsyncIterator[list[ImageRouter]]:
    """A client of each."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ImageRouter(replica.target)) for replica in replicas]


@asynccontextmanager
async def kept(*replicas: Stage, every_s: float = 0.1) -> AsyncIterator[None]:
    """Have replicas look after their leases meanwhile, as their processes do."""
    keeping = [asyncio.create_task(replica.runs.keep(every_s)) for replica in replicas]
    try:
        yield
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


async def ended_image(router: ImageRouter, name: str) -> images.Image:
    async with asyncio.timeout(20):
        return [event async for event in router.watch(name)][-1].ended


async def generated(script: Script, count: int) -> None:
    """Wait until the adapter has been asked so often."""
    async with asyncio.timeout(10):
        while len(script.generated) < count:
            await asyncio.sleep(0.01)


async def test_an_image_is_made(clients: list[ImageRouter]) -> None:
    """The plain case on Postgres; the other replica knows the same image and the same story of it."""
    image = await clients[0].create("a fox", request_id="r1")
    told = [[event async for event in client.watch(image.name)] for client in clients]

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert image.receipt.cost_micros == PRICE
    assert image.receipt.reserved_micros == 0
    assert await clients[1].get(image.name) == image
    assert told[0] == told[1]
    assert [event.sequence for event in told[0]] == list(range(1, len(told[0]) + 1))


async def test_fifty_equal_calls_on_two_replicas_are_one_image(
    replicas: list[Stage], clients: list[ImageRouter]
) -> None:
    """The same request_id fifty times at once, at both replicas: one execution, fifty equal answers."""
    script = replicas[0].script
    script.hold = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, script.hold.set)
    answers = await asyncio.gather(*(clients[turn % 2].create("a fox", request_id="same") for turn in range(50)))

    assert len(script.generated) == 1
    assert answers[0].state == images.IMAGE_STATE_SUCCEEDED
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len((await clients[0].list()).images) == 1


async def test_a_request_id_holds_at_the_other_replica(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """What one replica has made, the other gives back, and refuses to make otherwise."""
    first = await clients[0].create("a fox", request_id="r")
    again = await clients[1].create("a fox", request_id="r")
    with pytest.raises(ImageRouterError) as caught:
        await clients[1].create("a wolf", request_id="r")

    assert again == first
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert len(replicas[0].script.generated) == 1


async def test_the_other_replica_cancels(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """Invariant 6: CancelImage at a replica that does not run the image reaches the provider all the same."""
    script = replicas[0].script
    script.hold = asyncio.Event()
    async with kept(*replicas):
        running = await clients[0].create("a fox", timeout_s=1)
        assert not replicas[1].runs.active
        image = await asyncio.wait_for(clients[1].cancel(running.name), 10)
        await asyncio.wait_for(script.cancelled.wait(), 5)

    assert running.state == images.IMAGE_STATE_RUNNING
    assert image.state == images.IMAGE_STATE_CANCELLED
    assert [attempt.state for attempt in image.receipt.attempts] == [UNKNOWN]
    assert not replicas[0].runs.active


async def test_a_dead_owner_s_image_is_resumed_by_the_other(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """What was SENT when its orchestrator died becomes unknown, keeps its reservation and is never resent; the other
    replica carries the image on as soon as the lease has run out, and not before."""
    one, two = replicas
    one.runs.lease_s = 1.5
    one.script.hold = asyncio.Event()
    running = await clients[0].create("a fox", timeout_s=1)
    dead = one.runs.active[running.name.removeprefix("images/")].task
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)
    await two.runs.sweep()
    early = dict(two.runs.active)
    one.script.hold.set()
    await asyncio.sleep(1)
    await two.runs.sweep()
    image = await ended_image(clients[1], running.name)

    assert not early
    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert [attempt.state for attempt in image.receipt.attempts] == [UNKNOWN, SUCCEEDED]
    assert image.receipt.reserved_micros == UPPER
    assert image.receipt.cost_micros == PRICE
    assert [request.attempt_id for request in one.script.generated] == [
        attempt.attempt_id for attempt in image.receipt.attempts
    ]


async def test_an_owner_that_only_slept_changes_nothing(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """A replica that lost its lease without knowing it is fenced out: what it hears from its provider afterwards does
    not touch the image, which is the other's now."""
    one, two = replicas
    one.runs.lease_s = 0.0
    one.script.hold = asyncio.Event()
    running = await clients[0].create("a fox", timeout_s=1)
    asleep = one.runs.active[running.name.removeprefix("images/")].task
    await two.runs.sweep()
    await generated(one.script, 2)
    one.script.hold.set()
    image = await ended_image(clients[1], running.name)
    lost = await asyncio.gather(asleep, return_exceptions=True)

    assert "another replica" in str(lost[0])
    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert [attempt.state for attempt in image.receipt.attempts] == [UNKNOWN, SUCCEEDED]
    assert await clients[0].get(running.name) == image


async def test_two_replicas_do_not_take_over_the_same_image(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """However many sweep at once, each abandoned image gets one new owner, and one further attempt."""
    one, two = replicas
    one.script.hold = asyncio.Event()
    running = [await clients[0].create(f"fox {turn}", timeout_s=0.6) for turn in range(4)]
    for image in running:
        image_id = image.name.removeprefix("images/")
        active = one.runs.active[image_id]
        active.task.cancel()
        await asyncio.gather(active.task, return_exceptions=True)
        await one.ledger.release_lease(image_id, "one", active.run.work.epoch, one.runs.clock())
    one.script.hold.set()
    await asyncio.gather(*(replica.runs.sweep() for replica in (one, two, one, two)))
    for image in running:
        finished = await ended_image(clients[0], image.name)
        assert [attempt.state for attempt in finished.receipt.attempts] == [UNKNOWN, SUCCEEDED]

    assert len(one.script.generated) == 8


async def test_a_slow_replica_does_not_take_its_own_images_over(
    replicas: list[Stage], clients: list[ImageRouter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many images and a ledger that takes its time: what a replica runs itself is not abandoned, however late it comes
    to renew it. Taking it over would make its attempts unknown, and pay for others."""
    one = replicas[0]
    one.script.hold = asyncio.Event()
    one.runs.lease_s = 0.5
    running = [await clients[0].create(f"fox {turn}", timeout_s=0.5) for turn in range(5)]
    renew = one.ledger.renew_lease

    async def slow_renew(*lease: Any) -> bool:
        await asyncio.sleep(0.2)
        return await renew(*lease)

    monkeypatch.setattr(one.ledger, "renew_lease", slow_renew)
    await one.runs.sweep()
    one.script.hold.set()
    finished = [await ended_image(clients[0], image.name) for image in running]

    assert len(one.script.generated) == len(running)
    assert {attempt.state for image in finished for attempt in image.receipt.attempts} == {SUCCEEDED}


async def test_hanging_up_while_the_image_is_recorded(
    replicas: list[Stage], clients: list[ImageRouter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that is gone before its image has begun is no caller: the row that is written all the same is cancelled,
    and not taken up and paid for by a sweep later."""
    one, two = replicas
    one.runs.lease_s = 0.3
    create = one.ledger.create_image
    recorded = asyncio.Event()

    async def slow_create(**row: Any) -> Any:
        made = await create(**row)
        recorded.set()
        await asyncio.sleep(0.3)
        return made

    monkeypatch.setattr(one.ledger, "create_image", slow_create)
    call = asyncio.create_task(clients[0].create("a fox", request_id="gone"))
    await recorded.wait()
    call.cancel()
    await asyncio.sleep(0.6)
    await two.runs.sweep()
    found = await two.ledger.find_request("default", "gone")
    assert found
    image = await ended_image(clients[1], f"images/{found[0]}")

    assert image.state == images.IMAGE_STATE_CANCELLED
    assert image.receipt.cost_micros == 0


async def test_the_budget_holds_over_a_takeover(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """Invariant 4: what an unknown attempt has set aside counts against the budget of the replica that takes over."""
    one, two = replicas
    one.script.hold = asyncio.Event()
    budget = task_pb2.Constraints(max_cost_micros=2 * UPPER - 1)
    running = await clients[0].create("a fox", constraints=budget, timeout_s=1)
    image_id = running.name.removeprefix("images/")
    active = one.runs.active[image_id]
    active.task.cancel()
    await asyncio.gather(active.task, return_exceptions=True)
    await one.ledger.release_lease(image_id, "one", active.run.work.epoch, one.runs.clock())
    await two.runs.sweep()
    image = await ended_image(clients[1], running.name)

    assert image.state == images.IMAGE_STATE_FAILED
    assert len(one.script.generated) == 1
    assert image.receipt.reserved_micros == UPPER


async def test_budget_stops_the_image_before_it_is_exceeded(replicas: list[Stage], clients: list[ImageRouter]) -> None:
    """Invariant 4 on Postgres: an attempt that the budget does not cover is not sent; one that it just covers is."""
    script = replicas[0].script
    script.verdicts = ["ESCALATE", "ESCALATE"]
    short = await clients[0].create("a fox", constraints=task_pb2.Constraints(max_cost_micros=PRICE + UPPER - 1))
    before = len(script.generated)
    script.outcomes = [ended("PROVIDER_ERROR", "CHARGED", PRICE)]
    script.verdicts = []
    enough = await clients[1].create("a fox", constraints=task_pb2.Constraints(max_cost_micros=PRICE + UPPER))

    assert (short.state, before) == (images.IMAGE_STATE_FAILED, 1)
    assert short.receipt.cost_micros == PRICE
    assert enough.state == images.IMAGE_STATE_SUCCEEDED
    assert enough.receipt.cost_micros == 2 * PRICE
