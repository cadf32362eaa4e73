"""The life of an image's attempts as a state machine: the ledger against a model of ten lines."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_samples import (
    CANCELLED,
    NOW,
    TENANT,
    create,
    decision,
    evaluation,
    later,
    planned,
    rejected,
    succeeded,
    unknown,
)

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.ledger import InvalidState, Ledger, LostLease, open_ledger
from imagerouter.runtime.errors import Cancelled, PreconditionFailed

T = TypeVar("T")

BUDGET = 100
_OPEN = ("PLANNED", "SENT", "UNKNOWN")
_OUTCOMES = {
    "SUCCEEDED": succeeded(9),
    "FAILED_CHARGED": succeeded(7, kind=attempt_pb2.OUTCOME_KIND_NO_OUTPUT, artifacts=[]),
    "REJECTED": rejected(),
    "UNKNOWN": unknown(),
}


class AttemptLife(RuleBasedStateMachine):
    """Random calls on one image, by its owner and by a former owner; the model says what must come of each."""

    def __init__(self, ledger: Ledger, run: Callable[[Awaitable[Any]], Any]) -> None:
        super().__init__()
        self.ledger, self.run = ledger, run

    @initialize()
    def begin(self) -> None:
        """Every history has an image of its own."""
        made = self.run(create(self.ledger, budget_micros=BUDGET))
        self.image_id, self.epoch = made.image_id, made.epoch
        self.states: dict[str, str] = {}
        self.reserved: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        self.events = ["accepted"]
        self.cancelled = self.ended = False
        self.hours = 0

    def refused(self, call: Awaitable[Any], *errors: type[Exception]) -> None:
        """Insist that a call is refused."""
        with pytest.raises(errors):
            self.run(call)

    def open_micros(self) -> int:
        """Say what the model has set aside."""
        return sum(self.reserved[key] for key, state in self.states.items() if state in _OPEN)

    @rule(amounts=st.lists(st.integers(0, 40), min_size=1, max_size=3))
    def plan(self, amounts: list[int]) -> None:
        """Plan one to three attempts under one decision."""
        first = len(self.states) + 1
        wanted = [planned(number, amount) for number, amount in enumerate(amounts, first)]
        call = self.ledger.record_decision_and_attempts(self.image_id, decision(), wanted, NOW, self.epoch)
        if self.ended:
            self.refused(call, InvalidState)
        elif sum(self.cost.values()) + self.open_micros() + sum(amounts) > BUDGET:
            self.refused(call, PreconditionFailed)
        else:
            self.run(call)
            self.events.append("decision")
            for attempt in wanted:
                self.states[attempt.attempt_id] = "PLANNED"
                self.reserved[attempt.attempt_id] = attempt.reserved_micros

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """Send any attempt, whatever its state."""
        attempt_id = data.draw(st.sampled_from(sorted(self.states, key=self.number)))
        call = self.ledger.mark_sent(attempt_id, NOW, self.epoch)
        if self.ended or self.cancelled or self.states[attempt_id] != "PLANNED":
            self.refused(call, InvalidState, Cancelled)
        else:
            self.run(call)
            self.states[attempt_id] = "SENT"
            self.events.append("attempt_sent")

    @precondition(lambda self: self.states)
    @rule(data=st.data(), end=st.sampled_from(sorted(_OUTCOMES)))
    def finish(self, data: st.DataObject, end: str) -> None:
        """End any attempt in any way, also a second time."""
        attempt_id = data.draw(st.sampled_from(sorted(self.states, key=self.number)))
        outcome, state = _OUTCOMES[end], self.states[attempt_id]
        call = self.ledger.finish_attempt(attempt_id, outcome, NOW, self.epoch)
        if state in ("PLANNED", "SENT"):
            self.run(call)
            self.states[attempt_id] = end
            self.cost[attempt_id] = outcome.cost_micros
            self.events.append("attempt_ended")
        elif state == end:
            self.run(call)
        else:
            self.refused(call, InvalidState)

    @precondition(lambda self: self.states)
    @rule()
    def evaluate(self) -> None:
        """Evaluate the first attempt."""
        call = self.ledger.record_evaluation(self.image_id, evaluation(next(iter(self.states))), NOW)
        if self.ended:
            self.refused(call, InvalidState)
        else:
            self.run(call)
            if "evaluation" not in self.events:  # a repeated finding is none
                self.events.append("evaluation")

    @rule(rare=st.integers(0, 4))
    def cancel(self, rare: int) -> None:
        """Ask for cancellation now and then."""
        if not rare:
            assert self.run(self.ledger.request_cancel(self.image_id, NOW)) is not self.ended
            self.cancelled = self.cancelled or not self.ended

    @rule()
    def take_over(self) -> None:
        """Another replica takes the image: from then on the former epoch is good for nothing."""
        self.hours += 1
        now, until = later(3600 * self.hours), later(3600 * self.hours + 60)
        taken = self.run(self.ledger.acquire_lease(self.image_id, "other", now, until))
        assert (taken is None) is self.ended
        if taken is None:
            return
        former, self.epoch = self.epoch, taken.epoch
        for attempt_id in self.states:
            self.refused(self.ledger.mark_sent(attempt_id, NOW, former), LostLease)
        self.refused(self.ledger.finish_image(self.image_id, CANCELLED, [], None, NOW, former), LostLease)

    @rule(rare=st.integers(0, 3))
    def end(self, rare: int) -> None:
        """End the image now and then."""
        if rare:
            return
        call = self.ledger.finish_image(self.image_id, CANCELLED, [], None, NOW, self.epoch)
        if "SENT" in self.states.values():
            self.refused(call, InvalidState)
            return
        self.run(call)
        if not self.ended:
            waiting = [key for key, state in self.states.items() if state == "PLANNED"]
            # Not REJECTED: the image's end gives them an outcome of its own, which no other repeats.
            self.states |= dict.fromkeys(waiting, "NEVER_SENT")
            self.events += ["attempt_ended"] * len(waiting) + ["ended"]
        self.ended = True

    def number(self, attempt_id: str) -> int:
        """Give the place of an attempt: ids are random, and choices must not be."""
        return list(self.states).index(attempt_id)

    @invariant()
    def ledger_is_as_the_model(self) -> None:
        """States, money and events agree."""
        image = self.run(self.ledger.get_image(TENANT, self.image_id))
        found = {
            attempt.attempt_id: attempt_pb2.AttemptState.Name(attempt.state).removeprefix("ATTEMPT_STATE_")
            for attempt in image.receipt.attempts
        }
        assert {key: state.replace("NEVER_SENT", "REJECTED") for key, state in self.states.items()} == found
        assert image.receipt.cost_micros == sum(self.cost.values())
        assert image.receipt.reserved_micros == self.open_micros()
        assert image.HasField("end_time") is self.ended
        events = self.run(self.ledger.events(self.image_id))
        assert [event.WhichOneof("event") for event in events] == self.events
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))


@pytest.fixture
def sqlite_file(sqlite_template: Path, tmp_path: Path) -> Path:
    """A migrated file."""
    return Path(shutil.copy(sqlite_template, tmp_path / "machine.db"))


def test_every_history_follows_the_model(sqlite_file: Path) -> None:
    """After any sequence of calls the ledger's states, sums and events are the model's, and so is every refusal."""
    with asyncio.Runner() as runner:

        def run(call: Awaitable[T]) -> T:
            async def awaited() -> T:
                return await call

            return runner.run(awaited())

        ledger = run(open_ledger(f"sqlite+aiosqlite:///{sqlite_file}"))
        try:
            run_state_machine_as_test(
                lambda: AttemptLife(ledger, run),
                settings=settings(
                    max_examples=8,
                    stateful_step_count=20,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            run(ledger.close())
