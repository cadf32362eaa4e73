"""An image whose orchestrator is gone, made ready to be carried on by this one.

What was sent may have been executed, so it ends as unknown and is never sent again; what was only planned is free.
"""

from __future__ import annotations

from datetime import UTC

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.ledger import Claim, Ledger
from imagerouter.orchestrator import loop
from imagerouter.orchestrator.run import Work
from imagerouter.runtime.clock import Clock

_INTERRUPTED = {
    attempt_pb2.ATTEMPT_STATE_PLANNED: attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED,
        phase=attempt_pb2.PHASE_NOT_SENT,
        message="its orchestrator ended before it was sent",
    ),
    attempt_pb2.ATTEMPT_STATE_SENT: attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED,
        phase=attempt_pb2.PHASE_SENT_UNKNOWN,
        message="its orchestrator ended while it was under way",
    ),
}


async def work_of(claim: Claim, ledger: Ledger, clock: Clock, default_budget_micros: int) -> Work:
    """The work that is left, after its interrupted attempts have been ended in the ledger."""
    image = claim.image
    image_id = image.name.removeprefix("images/")
    for attempt in image.receipt.attempts:
        outcome = _INTERRUPTED.get(attempt.state)
        if outcome is not None:
            await ledger.finish_attempt(attempt.attempt_id, outcome, clock(), claim.epoch)
            attempt.outcome.CopyFrom(outcome)
    history = history_of(image.receipt)
    return Work(
        image_id=image_id,
        tenant=claim.tenant,
        task=image.task,
        deadline=image.deadline.ToDatetime(tzinfo=UTC),
        budget_micros=default_budget_micros if claim.budget_micros is None else claim.budget_micros,
        epoch=claim.epoch,
        history=history,
    )


def history_of(receipt: images.Receipt) -> tuple[loop.Tried, ...]:
    """A receipt's attempts as the loop reads them."""
    evaluations = {evaluation.attempt_id: evaluation for evaluation in receipt.evaluations}
    return tuple(
        loop.Tried(
            attempt.attempt_id,
            attempt.decision_id,
            attempt.step,
            attempt.route,
            attempt.outcome,
            evaluations.get(attempt.attempt_id),
        )
        for attempt in receipt.attempts
    )
