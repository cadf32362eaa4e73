"""A receipt read as history, and what is made of an interrupted one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.ledger import Claim
from imagerouter.orchestrator.loop import History
from imagerouter.orchestrator.resume import history_of, work_of
from tests.unit.orchestrator.histories import CHARGED, NOT_SENT, UNKNOWN, route

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STATES = attempt_pb2.AttemptState


def attempt(attempt_id: str, state: str, *, decision: str = "d1", step: str = "INITIAL") -> attempt_pb2.Attempt:
    """An attempt as the ledger gives it; an ended one has an outcome."""
    made = attempt_pb2.Attempt(
        attempt_id=attempt_id,
        decision_id=decision,
        step=route_pb2.Step.Value(f"STEP_{step}"),
        route=route(),
        state=STATES.Value(f"ATTEMPT_STATE_{state}"),
    )
    if state == "SUCCEEDED":
        made.outcome.CopyFrom(
            attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_SUCCEEDED, phase=CHARGED, cost_micros=5)
        )
    return made


def evaluation(attempt_id: str, *, accepted: bool = True) -> evaluation_pb2.Evaluation:
    verdict = evaluation_pb2.VERDICT_ACCEPT if accepted else evaluation_pb2.VERDICT_ESCALATE
    found = evaluation_pb2.Evaluation(attempt_id=attempt_id, verdict=verdict)
    found.outputs.add(artifact=artifact_pb2.ArtifactRef(digest=attempt_id), accepted=accepted)
    return found


class Finished:
    """The part of a ledger that ends attempts; it writes down what it is told."""

    def __init__(self) -> None:
        self.outcomes: dict[str, attempt_pb2.Outcome] = {}
        self.epochs: set[int] = set()

    async def finish_attempt(self, attempt_id: str, outcome: attempt_pb2.Outcome, now: datetime, epoch: int) -> None:
        self.outcomes[attempt_id] = outcome
        self.epochs.add(epoch)


def claim_of(*attempts: attempt_pb2.Attempt, budget_micros: int | None = 9) -> Claim:
    image = images.Image(name="images/i", task=task_pb2.Task(prompt="p"), receipt=images.Receipt(attempts=attempts))
    image.deadline.FromDatetime(NOW)
    return Claim("t", 7, image, budget_micros, cancel_requested=False)


async def resumed(*attempts: attempt_pb2.Attempt, **rest: Any) -> tuple[Any, Finished]:
    ledger = Finished()
    work = await work_of(claim_of(*attempts, **rest), ledger, lambda: NOW, 1000)  # type: ignore[arg-type]
    return work, ledger


def test_history_pairs_attempts_with_their_evaluations() -> None:
    """Each attempt meets the evaluation of its own id, in whatever order they were written; some have none."""
    receipt = images.Receipt(
        attempts=[attempt("a", "SUCCEEDED"), attempt("b", "SUCCEEDED", step="RETRY"), attempt("c", "SUCCEEDED")],
        evaluations=[evaluation("c"), evaluation("a", accepted=False)],
    )
    history = history_of(receipt)

    assert [tried.attempt_id for tried in history] == ["a", "b", "c"]
    assert [tried.accepted for tried in history] == [0, 0, 1]
    assert history[1].evaluation is None
    assert history[1].step == route_pb2.STEP_RETRY
    assert history[0].verdict == evaluation_pb2.VERDICT_ESCALATE


def test_an_empty_receipt_is_no_history() -> None:
    """An image whose owner died before its first decision begins at the beginning."""
    assert history_of(images.Receipt()) == ()


@pytest.mark.parametrize(("state", "phase"), [("PLANNED", NOT_SENT), ("SENT", UNKNOWN)])
async def test_interrupted_attempts_are_ended(state: str, phase: int) -> None:
    """Invariant 1: what was planned is free, what was sent is unknown. Neither is sent again: both are on record as
    ended, under the new owner's epoch, and so the loop sees them."""
    work, ledger = await resumed(attempt("a", "SUCCEEDED"), attempt("b", state))

    assert {name: outcome.phase for name, outcome in ledger.outcomes.items()} == {"b": phase}
    assert ledger.epochs == {7}
    assert work.history[1].outcome.phase == phase
    assert work.history[1].unknown == (state == "SENT")
    assert work.history[0].outcome.cost_micros == 5


@pytest.mark.parametrize("state", ["SUCCEEDED", "REJECTED", "FAILED_CHARGED", "UNKNOWN"])
async def test_ended_attempts_are_left_alone(state: str) -> None:
    """What has ended has ended."""
    _, ledger = await resumed(attempt("a", state))

    assert not ledger.outcomes


async def test_the_last_round_is_the_last_decision_s() -> None:
    """The loop answers to the worst of the attempts made side by side, so their number is found again."""
    work, _ = await resumed(attempt("a", "SUCCEEDED"), attempt("b", "SENT", decision="d2"),
                            attempt("c", "SUCCEEDED", decision="d2"))  # fmt: skip

    assert [tried.attempt_id for tried in History(1, work.history).last_round] == ["b", "c"]


@pytest.mark.parametrize(("recorded", "held_to"), [(5, 5), (0, 0), (None, 1000)])
async def test_the_budget_is_the_recorded_one(recorded: int | None, held_to: int) -> None:
    """The image's own budget, 0 included; the default only where the ledger has none."""
    work, _ = await resumed(budget_micros=recorded)

    assert work.budget_micros == held_to
    assert (work.image_id, work.tenant, work.epoch, work.deadline) == ("i", "t", 7, NOW)
    assert work.decision is None
