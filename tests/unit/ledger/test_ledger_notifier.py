"""Waking watchers."""

from __future__ import annotations

import asyncio

from imagerouter.ledger.notifier import Notifier, wait


async def test_all_listeners_of_an_image_wake_and_no_others() -> None:
    """A change reaches everyone who listens to that image, and nobody else."""
    notifier = Notifier()
    with notifier.listen("a") as first, notifier.listen("a") as second, notifier.listen("b") as other:
        waiting = asyncio.gather(wait(first, 10), wait(second, 10), wait(other, 0.01))
        await asyncio.sleep(0)
        notifier.notify("a")
        assert await waiting == [True, True, False]


async def test_change_before_the_wait_is_not_missed() -> None:
    """A change that comes between reading and waiting ends the wait at once."""
    notifier = Notifier()
    with notifier.listen("a") as change:
        change.clear()
        notifier.notify("a")
        assert await wait(change, 10)


async def test_nobody_who_left_is_remembered() -> None:
    """Listeners that are gone leave nothing behind, however they left."""
    notifier = Notifier()
    for _ in range(3):
        with notifier.listen("a"), notifier.listen("a"):
            pass
    task = asyncio.create_task(_listen_for_ever(notifier))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    notifier.notify("a")
    assert notifier._listeners == {}


async def _listen_for_ever(notifier: Notifier) -> None:
    with notifier.listen("a") as change:
        await wait(change, 1000)
