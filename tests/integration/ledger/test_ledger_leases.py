"""Ownership of images, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from ledger_samples import (
    FAILED,
    NOW,
    OWNER,
    TENANT,
    create,
    decision,
    later,
    plan,
    planned,
    rejected,
    send,
)

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.ledger import Claim, Ledger, LostLease


async def claim(ledger: Ledger, second: float, owner: str = "replica-2", limit: int = 100) -> list[Claim]:
    """Claim what has expired at a second after NOW."""
    return await ledger.claim_expired(owner, later(second), later(second + 30), limit)


async def test_claim_shows_what_has_to_be_resumed(ledger: Ledger) -> None:
    """A claimed image comes with its attempts' states, its budget and a pending cancellation."""
    made = await create(ledger, budget_micros=500_000, lease_until=later(30))
    await plan(ledger, made, 1, 10)
    await send(ledger, made, 2, 10)
    await ledger.request_cancel(made.image_id, NOW)

    (taken,) = await claim(ledger, 30)

    assert (taken.tenant, taken.epoch, taken.budget_micros) == (TENANT, made.epoch + 1, 500_000)
    assert taken.cancel_requested
    assert taken.image == await ledger.get_image(TENANT, made.image_id)
    states = [attempt.state for attempt in taken.image.receipt.attempts]
    assert states == [attempt_pb2.ATTEMPT_STATE_PLANNED, attempt_pb2.ATTEMPT_STATE_SENT]


async def test_only_what_has_expired_and_not_ended_is_claimed(ledger: Ledger) -> None:
    """A lease protects its image to the end; an ended image is nobody's; the oldest lease goes first."""
    first = await create(ledger, lease_until=later(20))
    second = await create(ledger, lease_until=later(10))
    ended = await create(ledger, lease_until=later(5))
    await ledger.finish_image(ended.image_id, FAILED, [], None, NOW, ended.epoch)

    assert await claim(ledger, 9.999999) == []
    assert [taken.image.name for taken in await claim(ledger, 20, limit=1)] == [f"images/{second.image_id}"]
    assert [taken.image.name for taken in await claim(ledger, 20)] == [f"images/{first.image_id}"]
    assert await claim(ledger, 20) == []


async def test_no_image_is_claimed_by_two(ledger: Ledger, replica: Ledger) -> None:
    """Replicas that scan at once share the images out: each is claimed by exactly one."""
    made = {f"images/{(await create(ledger)).image_id}" for _ in range(30)}
    answers = await asyncio.gather(
        *(claim((ledger, replica)[number % 2], 30, owner=f"r{number}", limit=7) for number in range(10))
    )
    names = [taken.image.name for answer in answers for taken in answer]
    names += [taken.image.name for taken in await claim(ledger, 30)]
    assert len(names) == len(set(names))
    assert set(names) == made


async def test_former_owner_is_fenced_out(ledger: Ledger, replica: Ledger) -> None:
    """After a takeover every change by the former owner is LostLease, and nothing of it is written."""
    made = await create(ledger)
    waiting = await plan(ledger, made, 1)
    sent = await send(ledger, made, 2)
    (taken,) = await claim(replica, 30)
    before = await ledger.get_image(TENANT, made.image_id), await ledger.events(made.image_id)

    for change in (
        ledger.mark_sent(waiting, NOW, made.epoch),
        ledger.finish_attempt(sent, rejected(), NOW, made.epoch),
        ledger.record_decision_and_attempts(made.image_id, decision(), [planned(3)], NOW, made.epoch),
        ledger.finish_image(made.image_id, FAILED, [], None, NOW, made.epoch),
        ledger.renew_lease(made.image_id, OWNER, made.epoch, later(99)),
        ledger.release_lease(made.image_id, OWNER, made.epoch, NOW),
    ):
        with pytest.raises(LostLease):
            await change

    assert before == (await ledger.get_image(TENANT, made.image_id), await ledger.events(made.image_id))
    await replica.mark_sent(waiting, NOW, taken.epoch)


async def test_takeover_and_sending_exclude_each_other(ledger: Ledger, replica: Ledger) -> None:
    """When a claim races a send, either the new owner sees SENT or the former owner may not send."""
    for _ in range(10):
        made = await create(ledger)
        attempt_id = await plan(ledger, made)
        sent, taken = await asyncio.gather(
            ledger.mark_sent(attempt_id, NOW, made.epoch), claim(replica, 30), return_exceptions=True
        )
        if isinstance(taken, BaseException):
            raise taken
        taken = taken or await claim(replica, 30)  # Postgres skips a row that is being sent at this moment
        (attempt,) = taken[0].image.receipt.attempts
        if isinstance(sent, LostLease):
            assert attempt.state == attempt_pb2.ATTEMPT_STATE_PLANNED
        else:
            assert isinstance(sent, attempt_pb2.Attempt)
            assert attempt.state == attempt_pb2.ATTEMPT_STATE_SENT


async def test_renewed_lease_holds(ledger: Ledger) -> None:
    """A renewed lease keeps the image; renewing says nothing of a cancellation until there is one."""
    made = await create(ledger, lease_until=later(30))
    assert not await ledger.renew_lease(made.image_id, OWNER, made.epoch, later(60))
    assert await claim(ledger, 59) == []

    with pytest.raises(LostLease):
        await ledger.renew_lease(made.image_id, "somebody", made.epoch, later(90))
    await ledger.finish_image(made.image_id, FAILED, [], None, NOW, made.epoch)
    with pytest.raises(LostLease):
        await ledger.renew_lease(made.image_id, OWNER, made.epoch, later(90))


async def test_released_image_is_free_at_once(ledger: Ledger) -> None:
    """A draining replica hands its image over without waiting for the lease to run out."""
    made = await create(ledger, lease_until=later(30))
    assert await ledger.acquire_lease(made.image_id, "replica-2", later(1), later(31)) is None

    await ledger.release_lease(made.image_id, OWNER, made.epoch, later(1))
    taken = await ledger.acquire_lease(made.image_id, "replica-2", later(1), later(31))

    assert taken is not None
    assert taken.epoch == made.epoch + 1
    assert await ledger.acquire_lease(made.image_id, OWNER, later(2), later(32)) is None
    await ledger.finish_image(made.image_id, FAILED, [], None, NOW, taken.epoch)
    assert await ledger.acquire_lease(made.image_id, OWNER, later(99), later(129)) is None


async def test_what_the_claimer_holds_is_left_to_it(ledger: Ledger) -> None:
    """A replica that is late with its renewals does not take its own images over, which would make their attempts
    unknown."""
    made = await create(ledger)
    held = await ledger.claim_expired("me", later(3600), later(3630), 10, held=[made.image_id])
    free = await ledger.claim_expired("me", later(3600), later(3630), 10)

    assert held == []
    assert [claim.image.name for claim in free] == [f"images/{made.image_id}"]
