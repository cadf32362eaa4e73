"""The image's own row, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ledger_samples import (
    CANCELLED,
    FAILED,
    NOW,
    OWNER,
    RUNNING,
    SUCCEEDED,
    TENANT,
    arguments,
    artifact,
    create,
    later,
    new_id,
    plan,
    send,
    succeeded,
    task,
    unknown,
)

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import Created, Existing, InvalidState, Ledger
from imagerouter.ledger.messages import timestamp
from imagerouter.runtime.errors import Cancelled, ImageRouterError, Internal, NotFound


async def test_image_is_read_back_as_given(ledger: Ledger) -> None:
    """Everything a caller gave comes back, to the microsecond, whatever characters it holds."""
    labels = {"b": "zwei", "a": "nul \0 und 東京"}
    made = await create(
        ledger, request_id="req-1", labels=labels, trace_id="0af7651916cd43dd8448eb211c80319c", task=task(prompt="x\0y")
    )

    image = await ledger.get_image(TENANT, f"images/{made.image_id}")

    expected = images_service_pb2.Image(
        name=f"images/{made.image_id}",
        request_id="req-1",
        state=RUNNING,
        labels=labels,
        task=task(prompt="x\0y"),
        create_time=timestamp(NOW),
        deadline=timestamp(later(900)),
        receipt=images_service_pb2.Receipt(trace_id="0af7651916cd43dd8448eb211c80319c"),
    )
    assert expected == image
    assert image == await ledger.get_image(TENANT, made.image_id)


@pytest.mark.parametrize("name", ["", "images/", "images/none", "images/a/b", "nul\0", "images/" + "x" * 5000])
async def test_missing_image_is_not_found(ledger: Ledger, name: str) -> None:
    """A name that names nothing is NOT_FOUND with the field, and never a failing query."""
    with pytest.raises(NotFound) as caught:
        await ledger.get_image(TENANT, name)
    assert (caught.value.reason, caught.value.metadata["field"]) == ("IMAGE_NOT_FOUND", "name")


async def test_other_tenants_image_is_not_found(ledger: Ledger) -> None:
    """An image exists for its own tenant only."""
    made = await create(ledger)
    with pytest.raises(NotFound):
        await ledger.get_image("other", made.image_id)


async def test_same_request_id_at_once_makes_one_image(ledger: Ledger, replica: Ledger) -> None:
    """50 calls with one request_id, over two replicas: one creates, 49 are told of it, one row and one event exist."""
    answers = await asyncio.gather(
        *(
            (ledger, replica)[number % 2].create_image(**arguments(request_id="once", fingerprint=b"%d" % number))
            for number in range(50)
        )
    )

    created = [answer for answer in answers if isinstance(answer, Created)]
    existing = {answer for answer in answers if isinstance(answer, Existing)}
    assert len(created) == 1
    assert len(existing) == 1
    assert await ledger.find_request(TENANT, "once") == (created[0].image_id, existing.pop().fingerprint)
    assert len((await ledger.list_images(TENANT)).images) == 1
    assert len(await ledger.events(created[0].image_id)) == 1


async def test_request_ids_are_a_tenants_own_and_empty_is_none(ledger: Ledger) -> None:
    """The same request_id of another tenant, and no request_id at all, never meet another image."""
    await create(ledger, request_id="r")
    await create(ledger, request_id="r", tenant="other")
    await create(ledger)
    await create(ledger)

    assert await ledger.find_request(TENANT, "") is None
    assert await ledger.find_request(TENANT, "s") is None


async def test_image_id_used_twice_is_a_defect_that_changes_nothing(ledger: Ledger) -> None:
    """An id that is taken fails as INTERNAL by the constraint's name, and leaves the first image as it was."""
    made = await create(ledger, request_id="first")
    with pytest.raises(Internal, match="images"):
        await ledger.create_image(**arguments(image_id=made.image_id))
    assert (await ledger.get_image(TENANT, made.image_id)).request_id == "first"


async def test_image_ends_once(ledger: Ledger) -> None:
    """The same ending again changes nothing, another is refused, and the image keeps the first."""
    made = await create(ledger)
    attempt_id = await send(ledger, made)
    await ledger.finish_attempt(attempt_id, succeeded(), NOW, made.epoch)
    ending: Any = (made.image_id, SUCCEEDED, [artifact()], None)

    image = await ledger.finish_image(*ending, later(5), made.epoch)
    again = await ledger.finish_image(*ending, later(9), made.epoch)

    assert (image.state, image.artifacts[0], image.end_time) == (SUCCEEDED, artifact(), timestamp(later(5)))
    assert image == again == await ledger.get_image(TENANT, made.image_id)
    for other in ((SUCCEEDED, []), (CANCELLED, [artifact()])):
        with pytest.raises(InvalidState):
            await ledger.finish_image(made.image_id, *other, None, later(9), made.epoch)
    assert image == await ledger.get_image(TENANT, made.image_id)


async def test_failed_image_says_why(ledger: Ledger) -> None:
    """The error of a failed image is returned whole."""
    made = await create(ledger)
    error = images_service_pb2.ImageError(
        reason=error_reason_pb2.ERROR_REASON_ATTEMPTS_EXHAUSTED, message="4 attempts failed", metadata={"attempts": "4"}
    )
    image = await ledger.finish_image(made.image_id, FAILED, [], error, NOW, made.epoch)
    assert error == image.error


async def test_only_one_of_many_endings_wins(ledger: Ledger, replica: Ledger) -> None:
    """Different endings at once: one is recorded, the others are refused."""
    made = await create(ledger)
    answers = await asyncio.gather(
        *(
            (ledger, replica)[number % 2].finish_image(
                made.image_id, FAILED, [artifact(str(number))], None, NOW, made.epoch
            )
            for number in range(10)
        ),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Image"] + ["InvalidState"] * 9
    assert [event.WhichOneof("event") for event in await ledger.events(made.image_id)] == ["accepted", "ended"]


async def test_image_cannot_end_as_running(ledger: Ledger) -> None:
    """Only a terminal state ends an image."""
    made = await create(ledger)
    with pytest.raises(ValueError, match="RUNNING"):
        await ledger.finish_image(made.image_id, RUNNING, [], None, NOW, made.epoch)


async def test_image_does_not_end_over_an_attempt_under_way(ledger: Ledger) -> None:
    """While an attempt is SENT the image cannot end; what is still PLANNED ends with it, for free."""
    made = await create(ledger)
    sent = await send(ledger, made, 1, 10)
    waiting = await plan(ledger, made, 2, 20)
    with pytest.raises(InvalidState) as caught:
        await ledger.finish_image(made.image_id, CANCELLED, [], None, NOW, made.epoch)
    assert caught.value.metadata["attempt_id"] == sent
    assert (await ledger.get_image(TENANT, made.image_id)).receipt.reserved_micros == 30

    await ledger.finish_attempt(sent, unknown(), NOW, made.epoch)
    image = await ledger.finish_image(made.image_id, CANCELLED, [], None, NOW, made.epoch)

    states = {attempt.attempt_id: attempt.state for attempt in image.receipt.attempts}
    assert states == {sent: attempt_pb2.ATTEMPT_STATE_UNKNOWN, waiting: attempt_pb2.ATTEMPT_STATE_REJECTED}
    assert image.receipt.attempts[1].outcome.phase == attempt_pb2.PHASE_NOT_SENT
    assert (image.receipt.reserved_micros, image.receipt.cost_micros) == (10, 0)
    last = [event.WhichOneof("event") for event in await ledger.events(made.image_id)][-2:]
    assert last == ["attempt_ended", "ended"]


async def test_cancellation_is_seen_by_every_replica_and_stops_sending(ledger: Ledger, replica: Ledger) -> None:
    """Once asked for anywhere, the owner sees it and nothing more gets out; it is the owner who ends the image."""
    made = await create(ledger)
    attempt_id = await plan(ledger, made)
    assert not await ledger.cancel_requested(made.image_id)

    assert await replica.request_cancel(made.image_id, NOW)

    assert await ledger.cancel_requested(made.image_id)
    assert await ledger.renew_lease(made.image_id, OWNER, made.epoch, later(60))
    with pytest.raises(Cancelled):
        await ledger.mark_sent(attempt_id, NOW, made.epoch)
    assert (await ledger.get_image(TENANT, made.image_id)).state == RUNNING
    await ledger.finish_image(made.image_id, CANCELLED, [], None, NOW, made.epoch)
    assert not await replica.request_cancel(made.image_id, NOW)


async def test_what_names_no_image_is_not_found(ledger: Ledger) -> None:
    """Every method that takes an image says NOT_FOUND if there is none."""
    missing = new_id()
    calls = [
        ledger.finish_image(missing, FAILED, [], None, NOW, 1),
        ledger.request_cancel(missing, NOW),
        ledger.cancel_requested(missing),
        ledger.events(missing),
        ledger.renew_lease(missing, OWNER, 1, NOW),
        ledger.release_lease(missing, OWNER, 1, NOW),
        ledger.acquire_lease(missing, OWNER, NOW, NOW),
        ledger.record_hop(missing, images_service_pb2.Hop()),
    ]
    answers: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert [NotFound] * len(calls) == [type(answer) for answer in answers]
    assert all(isinstance(answer, ImageRouterError) for answer in answers)
