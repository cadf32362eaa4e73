"""Which outcome ends an attempt in which state."""

from __future__ import annotations

import itertools

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.common.v1.attempt_pb2 import (
    ATTEMPT_STATE_FAILED_CHARGED,
    ATTEMPT_STATE_REJECTED,
    ATTEMPT_STATE_SUCCEEDED,
    ATTEMPT_STATE_UNKNOWN,
    OUTCOME_KIND_NO_OUTPUT,
    OUTCOME_KIND_PROVIDER_ERROR,
    OUTCOME_KIND_REFUSED,
    OUTCOME_KIND_SUCCEEDED,
    OUTCOME_KIND_TIMEOUT,
    PHASE_CHARGED,
    PHASE_NOT_SENT,
    PHASE_REJECTED,
    PHASE_SENT_UNKNOWN,
    PHASE_UNSPECIFIED,
    Outcome,
    OutcomeKind,
    Phase,
)
from imagerouter.ledger.life import never_sent, settle

CASES = [
    (OUTCOME_KIND_SUCCEEDED, PHASE_CHARGED, 42, ATTEMPT_STATE_SUCCEEDED, 42),
    (OUTCOME_KIND_SUCCEEDED, PHASE_CHARGED, 0, ATTEMPT_STATE_SUCCEEDED, 0),
    (OUTCOME_KIND_NO_OUTPUT, PHASE_CHARGED, 42, ATTEMPT_STATE_FAILED_CHARGED, 42),
    (OUTCOME_KIND_REFUSED, PHASE_CHARGED, 1, ATTEMPT_STATE_FAILED_CHARGED, 1),
    (OUTCOME_KIND_REFUSED, PHASE_REJECTED, 0, ATTEMPT_STATE_REJECTED, 0),
    (OUTCOME_KIND_PROVIDER_ERROR, PHASE_NOT_SENT, 0, ATTEMPT_STATE_REJECTED, 0),
    (OUTCOME_KIND_TIMEOUT, PHASE_SENT_UNKNOWN, 0, ATTEMPT_STATE_UNKNOWN, 0),
    (OUTCOME_KIND_TIMEOUT, PHASE_UNSPECIFIED, 0, ATTEMPT_STATE_UNKNOWN, 0),
]

CONTRADICTIONS = [
    (OUTCOME_KIND_SUCCEEDED, PHASE_NOT_SENT, 0),
    (OUTCOME_KIND_SUCCEEDED, PHASE_REJECTED, 0),
    (OUTCOME_KIND_PROVIDER_ERROR, PHASE_REJECTED, 5),
    (OUTCOME_KIND_SUCCEEDED, PHASE_CHARGED, -1),
    (OUTCOME_KIND_TIMEOUT, PHASE_SENT_UNKNOWN, 5),
]


@pytest.mark.parametrize(("kind", "phase", "cost", "state", "booked"), CASES)
def test_phase_decides_and_kind_tells_success(kind: int, phase: int, cost: int, state: int, booked: int) -> None:
    """What was charged is booked, what was free is rejected, what nobody knows is unknown."""
    assert settle(Outcome(kind=kind, phase=phase, cost_micros=cost)) == (state, booked)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "phase", "cost"), CONTRADICTIONS)
def test_contradictions_are_unknown(kind: int, phase: int, cost: int) -> None:
    """An outcome that cannot be true frees no money and books none."""
    outcome = Outcome(kind=kind, phase=phase, cost_micros=cost)  # type: ignore[arg-type]
    assert settle(outcome) == (ATTEMPT_STATE_UNKNOWN, 0)


@pytest.mark.parametrize("cost", [-1, 0, 1])
def test_every_outcome_ends_its_attempt(cost: int) -> None:
    """Any kind with any phase, also of a newer adapter, gives a final state, and money only with what was charged."""
    final = {value for value in attempt_pb2.AttemptState.values() if value >= ATTEMPT_STATE_SUCCEEDED}
    for kind, phase in itertools.product([*OutcomeKind.values(), 99], [*Phase.values(), 99]):
        state, booked = settle(Outcome(kind=kind, phase=phase, cost_micros=cost))
        assert state in final
        assert booked >= 0
        assert not booked or phase == PHASE_CHARGED


def test_unsent_attempt_was_free() -> None:
    """The outcome of an attempt whose image ended before its turn says that nothing left us."""
    assert settle(never_sent()) == (ATTEMPT_STATE_REJECTED, 0)
