"""The life of an attempt: which outcome ends it in which state, and at what cost. Pure."""

from __future__ import annotations

from imagerouter.api.common.v1.attempt_pb2 import (
    ATTEMPT_STATE_FAILED_CHARGED,
    ATTEMPT_STATE_REJECTED,
    ATTEMPT_STATE_SUCCEEDED,
    ATTEMPT_STATE_UNKNOWN,
    OUTCOME_KIND_CANCELLED,
    OUTCOME_KIND_SUCCEEDED,
    PHASE_CHARGED,
    PHASE_NOT_SENT,
    PHASE_REJECTED,
    AttemptState,
    Outcome,
)

FREE_PHASES = frozenset({PHASE_NOT_SENT, PHASE_REJECTED})


def settle(outcome: Outcome) -> tuple[AttemptState.ValueType, int]:
    """Say in which state an outcome leaves its attempt, and what it cost, in micro-dollars.

    An outcome that contradicts itself (images for nothing, a price for what was not executed, a negative price) proves
    nothing, so it is UNKNOWN: the reservation stays and somebody looks at it.
    """
    free = outcome.phase in FREE_PHASES
    if free and outcome.kind != OUTCOME_KIND_SUCCEEDED and outcome.cost_micros == 0:
        return ATTEMPT_STATE_REJECTED, 0
    if outcome.phase == PHASE_CHARGED and outcome.cost_micros >= 0:
        succeeded = outcome.kind == OUTCOME_KIND_SUCCEEDED
        return (ATTEMPT_STATE_SUCCEEDED if succeeded else ATTEMPT_STATE_FAILED_CHARGED), outcome.cost_micros
    return ATTEMPT_STATE_UNKNOWN, 0


def never_sent() -> Outcome:
    """Give the outcome of an attempt whose image ended before it was sent."""
    return Outcome(
        kind=OUTCOME_KIND_CANCELLED, phase=PHASE_NOT_SENT, message="not sent: the image ended before its turn came"
    )
