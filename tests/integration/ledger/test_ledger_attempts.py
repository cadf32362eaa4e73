"""Decisions, attempts and money, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from ledger_samples import (
    FAILED,
    NOW,
    TENANT,
    create,
    decision,
    later,
    new_id,
    plan,
    planned,
    rejected,
    route,
    send,
    succeeded,
    unknown,
)

from imagerouter.api.common.v1 import attempt_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import Created, InvalidState, Ledger
from imagerouter.ledger.messages import timestamp
from imagerouter.runtime.errors import Internal, NotFound, PreconditionFailed


async def receipt_of(ledger: Ledger, image: Created) -> images_service_pb2.Receipt:
    """Give an image's receipt."""
    return (await ledger.get_image(TENANT, image.image_id)).receipt


async def test_decision_and_attempts_are_recorded_together(ledger: Ledger) -> None:
    """The decision comes back whole, stamped with the time it was taken, with several attempts open under it."""
    made = await create(ledger)
    chosen = decision(routes=[route(), route(provider="google")], confidence=0.7, propensity=0.25, reason="lettering")
    wanted = [planned(1, 10), planned(2, 20, route=route(provider="google"), step=route_pb2.STEP_CONTINUE)]

    attempts = await ledger.record_decision_and_attempts(made.image_id, chosen, wanted, later(1), made.epoch)

    receipt = await receipt_of(ledger, made)
    chosen.create_time.CopyFrom(timestamp(later(1)))
    assert [chosen] == list(receipt.decisions)
    assert attempts == list(receipt.attempts)
    expected = attempt_pb2.Attempt(
        attempt_id=wanted[1].attempt_id,
        decision_id=chosen.decision_id,
        number=2,
        step=route_pb2.STEP_CONTINUE,
        route=route(provider="google"),
        state=attempt_pb2.ATTEMPT_STATE_PLANNED,
        reserved_micros=20,
        create_time=timestamp(later(1)),
    )
    assert expected == attempts[1]
    assert receipt.reserved_micros == 30


async def test_attempt_lives_through_its_states(ledger: Ledger) -> None:
    """PLANNED, SENT, ended: each with its time; the reservation gives way to the cost."""
    made = await create(ledger)
    attempt_id = await plan(ledger, made, reserved_micros=50_000)
    sent = await ledger.mark_sent(attempt_id, later(1), made.epoch)
    assert (sent.state, sent.send_time) == (attempt_pb2.ATTEMPT_STATE_SENT, timestamp(later(1)))

    ended = await ledger.finish_attempt(attempt_id, succeeded(42_001), later(2), made.epoch)

    receipt = await receipt_of(ledger, made)
    assert [ended] == list(receipt.attempts)
    assert (ended.state, ended.end_time) == (attempt_pb2.ATTEMPT_STATE_SUCCEEDED, timestamp(later(2)))
    assert ended.outcome == succeeded(42_001)
    assert (receipt.cost_micros, receipt.reserved_micros) == (42_001, 0)
    assert await ledger.sums() == await ledger.sums(TENANT) == 42_001
    assert await ledger.sums("other") == 0


async def test_budget_is_kept_and_a_refusal_writes_nothing(ledger: Ledger) -> None:
    """A reservation over what is left is BUDGET_EXHAUSTED, and leaves neither decision nor event behind."""
    made = await create(ledger, budget_micros=100)
    await plan(ledger, made, 1, 60)
    before = await ledger.get_image(TENANT, made.image_id), await ledger.events(made.image_id)

    with pytest.raises(PreconditionFailed) as caught:
        await ledger.record_decision_and_attempts(
            made.image_id, decision(), [planned(2, 20), planned(3, 21)], NOW, made.epoch
        )

    assert caught.value.reason == "BUDGET_EXHAUSTED"
    assert caught.value.metadata == {
        "spent_micros": "0",
        "reserved_micros": "60",
        "needed_micros": "41",
        "budget_micros": "100",
    }
    assert before == (await ledger.get_image(TENANT, made.image_id), await ledger.events(made.image_id))
    await ledger.record_decision_and_attempts(
        made.image_id, decision(), [planned(2, 20), planned(3, 20)], NOW, made.epoch
    )


async def test_outcomes_settle_the_budget(ledger: Ledger) -> None:
    """What was free gives its reservation back, what was charged costs its price, what is unknown stays reserved."""
    made = await create(ledger, budget_micros=100)
    free, charged, lost = [await send(ledger, made, number, 30) for number in (1, 2, 3)]
    await ledger.finish_attempt(free, rejected(), NOW, made.epoch)
    await ledger.finish_attempt(charged, succeeded(25), NOW, made.epoch)
    await ledger.finish_attempt(lost, unknown(), NOW, made.epoch)

    receipt = await receipt_of(ledger, made)
    assert (receipt.cost_micros, receipt.reserved_micros) == (25, 30)
    with pytest.raises(PreconditionFailed):
        await plan(ledger, made, 4, 46)
    await plan(ledger, made, 4, 45)


async def test_concurrent_reservations_never_overspend(ledger: Ledger, replica: Ledger) -> None:
    """40 reservations of 7 race for a budget of 100, over two replicas: 14 get through, the others are told why."""
    made = await create(ledger, budget_micros=100)

    async def reserve(number: int) -> str:
        try:
            await plan((ledger, replica)[number % 2], made, number, 7)
        except PreconditionFailed as error:
            return error.reason
        return "planned"

    answers = Counter(await asyncio.gather(*(reserve(number) for number in range(1, 41))))

    assert answers == {"planned": 14, "BUDGET_EXHAUSTED": 26}
    receipt = await receipt_of(ledger, made)
    assert (receipt.reserved_micros, len(receipt.attempts), len(receipt.decisions)) == (98, 14, 14)


async def test_attempt_is_let_out_once(ledger: Ledger, replica: Ledger) -> None:
    """20 callers want to send one attempt: one may."""
    made = await create(ledger)
    attempt_id = await plan(ledger, made)
    answers = await asyncio.gather(
        *((ledger, replica)[number % 2].mark_sent(attempt_id, NOW, made.epoch) for number in range(20)),
        return_exceptions=True,
    )
    assert Counter(type(answer) for answer in answers) == {attempt_pb2.Attempt: 1, InvalidState: 19}
    assert [event.WhichOneof("event") for event in await ledger.events(made.image_id)].count("attempt_sent") == 1


@pytest.mark.parametrize("outcome", [succeeded(), rejected(), unknown()], ids=["succeeded", "rejected", "unknown"])
async def test_ended_attempt_is_never_sent(ledger: Ledger, outcome: attempt_pb2.Outcome) -> None:
    """However an attempt ended, the gate is shut."""
    made = await create(ledger)
    attempt_id = await send(ledger, made)
    await ledger.finish_attempt(attempt_id, outcome, NOW, made.epoch)
    with pytest.raises(InvalidState):
        await ledger.mark_sent(attempt_id, NOW, made.epoch)


async def test_nothing_is_planned_or_sent_for_an_image_that_has_ended(ledger: Ledger) -> None:
    """After the end no attempt begins, and none that was waiting goes out."""
    made = await create(ledger)
    attempt_id = await plan(ledger, made)
    await ledger.finish_image(made.image_id, FAILED, [], None, NOW, made.epoch)
    with pytest.raises(InvalidState):
        await ledger.mark_sent(attempt_id, NOW, made.epoch)
    with pytest.raises(InvalidState):
        await plan(ledger, made, 2)


async def test_attempt_ends_once(ledger: Ledger) -> None:
    """The same outcome again changes nothing, another is refused, and the books keep the first."""
    made = await create(ledger)
    attempt_id = await send(ledger, made)
    first = await ledger.finish_attempt(attempt_id, succeeded(7), later(1), made.epoch)

    assert first == await ledger.finish_attempt(attempt_id, succeeded(7), later(2), made.epoch)
    for other in (succeeded(8), rejected(), unknown()):
        with pytest.raises(InvalidState):
            await ledger.finish_attempt(attempt_id, other, later(2), made.epoch)
    assert await ledger.sums(TENANT) == 7
    assert [event.WhichOneof("event") for event in await ledger.events(made.image_id)].count("attempt_ended") == 1


async def test_unsent_attempt_ends_for_free(ledger: Ledger) -> None:
    """An attempt that was never sent can be ended, and frees its money."""
    made = await create(ledger, budget_micros=50)
    attempt_id = await plan(ledger, made, 1, 50)
    not_sent = attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED, phase=attempt_pb2.PHASE_NOT_SENT)
    ended = await ledger.finish_attempt(attempt_id, not_sent, NOW, made.epoch)
    assert ended.state == attempt_pb2.ATTEMPT_STATE_REJECTED
    assert not ended.HasField("send_time")
    await plan(ledger, made, 2, 50)


async def test_decision_recorded_twice_is_one(ledger: Ledger) -> None:
    """Repeating a decision with its attempts reserves nothing more; with other attempts it is refused."""
    made = await create(ledger, budget_micros=100)
    chosen, wanted = decision(), [planned(1, 60)]
    first = await ledger.record_decision_and_attempts(made.image_id, chosen, wanted, NOW, made.epoch)

    assert first == await ledger.record_decision_and_attempts(made.image_id, chosen, wanted, later(1), made.epoch)
    with pytest.raises(InvalidState):
        await ledger.record_decision_and_attempts(made.image_id, chosen, [planned(2, 1)], NOW, made.epoch)
    other = await create(ledger)
    with pytest.raises(InvalidState):
        await ledger.record_decision_and_attempts(other.image_id, chosen, wanted, NOW, other.epoch)
    assert len((await receipt_of(ledger, made)).attempts) == 1


async def test_number_used_twice_is_a_defect_that_changes_nothing(ledger: Ledger) -> None:
    """Two attempts of an image never share a number; the decision that tried is not recorded either."""
    made = await create(ledger)
    await plan(ledger, made, 1)
    before = await receipt_of(ledger, made)
    with pytest.raises(Internal, match="attempts"):
        await plan(ledger, made, 1)
    assert before == await receipt_of(ledger, made)


async def test_no_such_attempt_is_never_sent(ledger: Ledger) -> None:
    """The gate is shut for ids that nobody planned, and for images that nobody made."""
    with pytest.raises(InvalidState):
        await ledger.mark_sent(new_id(), NOW, 1)
    with pytest.raises(InvalidState):
        await ledger.finish_attempt(new_id(), rejected(), NOW, 1)
    with pytest.raises(NotFound):
        await ledger.record_decision_and_attempts(new_id(), decision(), [planned()], NOW, 1)


async def test_unknown_attempts_are_found_by_age(ledger: Ledger) -> None:
    """Attempts nobody heard back from are listed, oldest first, once they are old enough."""
    made = await create(ledger)
    for number, seconds in ((1, 20), (2, 10), (3, 30)):
        attempt_id = await send(ledger, made, number)
        await ledger.finish_attempt(attempt_id, unknown(), later(seconds), made.epoch)

    found = await ledger.unknown_attempts(later(30))

    assert [entry.attempt.number for entry in found] == [2, 1]
    assert {(entry.tenant, entry.image_id) for entry in found} == {(TENANT, made.image_id)}
