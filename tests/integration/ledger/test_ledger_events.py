"""Events and watching, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from ledger_samples import (
    FAILED,
    NOW,
    PROMPT,
    SUCCEEDED,
    TENANT,
    artifact,
    create,
    evaluation,
    later,
    new_id,
    plan,
    send,
    succeeded,
    task,
)
from sqlalchemy import select

from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import Ledger, open_ledger
from imagerouter.ledger.database import Database, parse_url
from imagerouter.ledger.messages import timestamp
from imagerouter.ledger.schema import events
from imagerouter.runtime.errors import NotFound


def kinds(found: list[images_service_pb2.ImageEvent]) -> list[str | None]:
    """Give the names of events."""
    return [event.WhichOneof("event") for event in found]


async def test_events_tell_the_whole_story(ledger: Ledger) -> None:
    """Every step is an event with its message, its time and the next number; the last carries the whole image."""
    made = await create(ledger)
    attempt_id = await plan(ledger, made)
    await ledger.mark_sent(attempt_id, later(1), made.epoch)
    await ledger.finish_attempt(attempt_id, succeeded(), later(2), made.epoch)
    await ledger.record_evaluation(made.image_id, evaluation(attempt_id), later(3))
    image = await ledger.finish_image(made.image_id, SUCCEEDED, [artifact()], None, later(4), made.epoch)

    found = await ledger.events(made.image_id)

    assert kinds(found) == ["accepted", "decision", "attempt_sent", "attempt_ended", "evaluation", "ended"]
    assert [event.sequence for event in found] == [1, 2, 3, 4, 5, 6]
    assert [event.time for event in found] == [timestamp(later(second)) for second in (0, 0, 1, 2, 3, 4)]
    assert found[0].accepted == task()
    assert found[2].attempt_sent.attempt_id == attempt_id
    assert found[3].attempt_ended == image.receipt.attempts[0]
    assert found[5].ended == image
    assert found[4:] == await ledger.events(made.image_id, 4)
    assert await ledger.events(made.image_id, 6) == []


async def test_events_have_no_gaps_under_concurrency(ledger: Ledger, replica: Ledger) -> None:
    """60 events from two replicas at once get the numbers 1 to 62, and a reader in between sees a prefix only."""
    made = await create(ledger)
    attempt_id = await send(ledger, made)
    seen: list[list[int]] = []

    async def read() -> None:
        for _ in range(20):
            seen.append([event.sequence for event in await replica.events(made.image_id)])

    writes = (
        (ledger, replica)[number % 2].record_evaluation(
            made.image_id, evaluation(attempt_id, p_accept=number / 60), NOW
        )
        for number in range(60)
    )
    await asyncio.gather(*writes, read())

    seen.append([event.sequence for event in await ledger.events(made.image_id)])
    assert seen[-1] == list(range(1, 64))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)


async def test_prompt_is_kept_in_one_place(ledger: Ledger, ledger_url: str) -> None:
    """No stored event holds the prompt: it is in the image's own row, and filled in for the reader."""
    made = await create(ledger)
    await ledger.finish_image(made.image_id, FAILED, [], None, NOW, made.epoch)
    database = Database(parse_url(ledger_url))
    stored = await database.read(lambda connection: connection.scalars(select(events.c.event)).all())
    await database.close()

    assert len(stored) == 2
    assert not any(PROMPT.encode() in data for data in stored)
    found = await ledger.events(made.image_id)
    assert (found[0].accepted.prompt, found[1].ended.task.prompt) == (PROMPT, PROMPT)


async def test_watcher_sees_each_event_once_to_the_last(ledger: Ledger, replica: Ledger) -> None:
    """A watcher of the same process needs no poll, one on another replica polls; both see all events in order."""
    made = await create(ledger)

    async def watch(watched: Ledger, after: int, poll_s: float) -> list[images_service_pb2.ImageEvent]:
        return [event async for event in watched.watch(made.image_id, after, poll_s=poll_s)]

    near = asyncio.create_task(watch(ledger, 0, 60.0))
    far = asyncio.create_task(watch(replica, 1, 0.02))
    attempt_id = await send(ledger, made)
    await ledger.finish_attempt(attempt_id, succeeded(), NOW, made.epoch)
    await asyncio.sleep(0.05)
    await ledger.finish_image(made.image_id, SUCCEEDED, [artifact()], None, NOW, made.epoch)

    async with asyncio.timeout(10):
        story = await ledger.events(made.image_id)
        assert story == await near
        assert story[1:] == await far
        assert story[3:] == await watch(ledger, 3, 60.0)
        assert await watch(ledger, 99, 60.0) == []


async def test_watching_what_is_not_there(ledger: Ledger) -> None:
    """A watcher of nothing is told so, and does not wait for ever."""
    with pytest.raises(NotFound):
        async for _ in ledger.watch(new_id()):
            pass


async def test_changes_are_signalled_after_they_can_be_read(ledger: Ledger) -> None:
    """When a change is signalled, reading finds it; another image's change signals nothing."""
    made, other = await create(ledger), await create(ledger)
    with ledger.changed(made.image_id) as change:
        await plan(ledger, other)
        assert not change.is_set()
        writing = asyncio.create_task(plan(ledger, made))
        async with asyncio.timeout(10):
            await change.wait()
        assert len(await ledger.events(made.image_id)) == 2
        await writing


async def test_change_of_a_cancelled_caller_is_signalled_too(ledger: Ledger) -> None:
    """What is written although its caller went away wakes watchers all the same."""
    made = await create(ledger)
    with ledger.changed(made.image_id) as change:
        call = asyncio.create_task(plan(ledger, made))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        async with asyncio.timeout(10):
            await change.wait()
    assert len(await ledger.events(made.image_id)) == 2


async def test_ledger_survives_being_closed(ledger_url: str) -> None:
    """What was written is there for whoever opens the ledger next."""
    async with await open_ledger(ledger_url) as first:
        made = await create(first)
        image = await first.get_image(TENANT, made.image_id)
    async with await open_ledger(ledger_url) as second:
        assert image == await second.get_image(TENANT, made.image_id)


async def test_a_repeated_evaluation_is_one_finding(ledger: Ledger) -> None:
    """A caller that did not hear back may record the same evaluation again: there is one event and one finding."""
    made = await create(ledger)
    attempt_id = await send(ledger, made)
    for _ in range(2):
        await ledger.record_evaluation(made.image_id, evaluation(attempt_id), NOW)
    kinds = [event.WhichOneof("event") for event in await ledger.events(made.image_id)]

    assert kinds.count("evaluation") == 1
