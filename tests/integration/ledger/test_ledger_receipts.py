"""What else a receipt shows, on both databases."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from ledger_samples import (
    FAILED,
    NOW,
    SUCCEEDED,
    TENANT,
    artifact,
    create,
    decision,
    evaluation,
    later,
    planned,
    route,
    send,
    succeeded,
    task,
)

from imagerouter.api.common.v1 import evaluation_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import InvalidState, Ledger
from imagerouter.ledger.messages import timestamp


def negotiation(field: str, service: str) -> task_pb2.Negotiation:
    """Give a difference."""
    return task_pb2.Negotiation(field=field, service=service, kind=task_pb2.NEGOTIATION_KIND_MAPPED)


async def test_negotiations_are_the_tasks_and_the_accepted_attempts(ledger: Ledger) -> None:
    """The receipt lists what the normalizer changed, then what router and adapter changed on attempts that counted."""
    of_task = negotiation("output.count", "normalizer")
    made = await create(
        ledger, task=task(negotiations=[of_task], warnings=[task_pb2.Warning(code="LANGUAGE_UNCERTAIN")])
    )
    changed = route(negotiations=[negotiation("output.quality", "router")])
    attempts = [planned(number, route=changed) for number in (1, 2, 3)]
    await ledger.record_decision_and_attempts(made.image_id, decision(), attempts, NOW, made.epoch)
    for number, attempt in enumerate(attempts):
        await ledger.mark_sent(attempt.attempt_id, NOW, made.epoch)
        outcome = succeeded(
            artifacts=[artifact(str(number))], negotiations=[negotiation(f"adapter{number}", "adapter")]
        )
        await ledger.finish_attempt(attempt.attempt_id, outcome, NOW, made.epoch)
    verdicts = (evaluation_pb2.VERDICT_ESCALATE, evaluation_pb2.VERDICT_ACCEPT, evaluation_pb2.VERDICT_RETRY)
    for attempt, verdict in zip(attempts, verdicts, strict=True):
        await ledger.record_evaluation(made.image_id, evaluation(attempt.attempt_id, verdict), NOW)

    accepted = await ledger.get_image(TENANT, made.image_id)
    returned = await ledger.finish_image(made.image_id, SUCCEEDED, [artifact("2")], None, NOW, made.epoch)

    fields = [entry.field for entry in accepted.receipt.negotiations]
    assert fields == ["output.count", "output.quality", "adapter1"]
    # The third was not accepted as a whole, yet one of its outputs is in the image.
    assert [entry.field for entry in returned.receipt.negotiations] == [*fields, "adapter2"]
    assert [entry.code for entry in returned.receipt.warnings] == ["LANGUAGE_UNCERTAIN"]


async def test_evaluations_come_back_in_order(ledger: Ledger) -> None:
    """Each evaluation is kept and stamped; a second look at one attempt follows the first."""
    made = await create(ledger)
    attempt_id = await send(ledger, made)
    await ledger.record_evaluation(made.image_id, evaluation(attempt_id, evaluation_pb2.VERDICT_RETRY), later(2))
    await ledger.record_evaluation(made.image_id, evaluation(attempt_id), later(1))

    found = (await ledger.get_image(TENANT, made.image_id)).receipt.evaluations
    assert [entry.verdict for entry in found] == [evaluation_pb2.VERDICT_RETRY, evaluation_pb2.VERDICT_ACCEPT]
    assert [entry.create_time for entry in found] == [timestamp(later(2)), timestamp(later(1))]


async def test_evaluation_needs_a_running_image_and_its_own_attempt(ledger: Ledger) -> None:
    """No evaluation follows the last event, and none is booked on another image's attempt."""
    made, other = await create(ledger), await create(ledger)
    attempt_id = await send(ledger, made)
    with pytest.raises(InvalidState):
        await ledger.record_evaluation(other.image_id, evaluation(attempt_id), NOW)
    await ledger.finish_attempt(attempt_id, succeeded(), NOW, made.epoch)
    await ledger.finish_image(made.image_id, FAILED, [], None, NOW, made.epoch)
    with pytest.raises(InvalidState):
        await ledger.record_evaluation(made.image_id, evaluation(attempt_id), NOW)
    assert [event.WhichOneof("event") for event in await ledger.events(made.image_id)][-1] == "ended"


async def test_hops_are_listed_by_their_start_even_if_they_come_late(ledger: Ledger) -> None:
    """Hops can be noted singly or together, before and after the end, and are no events."""
    made = await create(ledger)

    def hop(service: str, second: int) -> images_service_pb2.Hop:
        return images_service_pb2.Hop(
            service=service, method="Route", start_time=timestamp(later(second)), duration=Duration(nanos=7), code="OK"
        )

    await ledger.record_hop(made.image_id, hop("evaluator", 3), hop("router", 2))
    await ledger.record_hop(made.image_id)
    await ledger.finish_image(made.image_id, FAILED, [], None, NOW, made.epoch)
    await ledger.record_hop(made.image_id, hop("normalizer", 1))

    image = await ledger.get_image(TENANT, made.image_id)
    assert [hop("normalizer", 1), hop("router", 2), hop("evaluator", 3)] == list(image.receipt.hops)
    assert len(await ledger.events(made.image_id)) == 2
