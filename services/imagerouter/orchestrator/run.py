"""Carries one image through the loop: decide, attempt, evaluate, until it is finished or given up.

The loop (loop.py) says what to do, the router says where, the ledger is told before and after. A run outlives the call
that began it, and a run that dies with its process is resumed from the ledger by another (resume.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, route_pb2, task_pb2
from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as evaluator
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as normalizer
from imagerouter.api.router.v1 import router_service_pb2 as router
from imagerouter.ledger import Ledger, LostLease, PlannedAttempt
from imagerouter.orchestrator import loop, spans
from imagerouter.orchestrator.attempt import Attempter
from imagerouter.orchestrator.calls import Calls
from imagerouter.orchestrator.limits import Limits
from imagerouter.orchestrator.outages import Outages
from imagerouter.orchestrator.persist import until_written
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.errors import ImageRouterError, Internal, Unavailable

# Outcomes that the provider gave an answer with: there is something to look at, if only a refusal.
ANSWERED = frozenset(
    {
        attempt_pb2.OUTCOME_KIND_SUCCEEDED,
        attempt_pb2.OUTCOME_KIND_NO_OUTPUT,
        attempt_pb2.OUTCOME_KIND_REFUSED,
    }
)


@dataclass(frozen=True)
class Work:
    """One image to be carried through. `decision` is its first; None if it is resumed with a history."""

    image_id: str
    tenant: str
    task: task_pb2.Task
    deadline: datetime
    budget_micros: int
    epoch: int
    decision: route_pb2.Decision | None = None
    history: tuple[loop.Tried, ...] = ()


@dataclass
class Run:
    """The run of one image. `execute` is called once; `cancel` may be called at any time. A LostLease from `execute`
    means that another replica goes on with the image."""

    work: Work
    ledger: Ledger
    calls: Calls
    limits: Limits
    outages: Outages
    clock: Clock
    new_id: Callable[[], str]
    on_preview: Callable[[str, adapter.Preview], None]
    hops: list[images.Hop]
    _cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """The task may change in a reset, the work does not."""
        self.task = self.work.task

    def cancel(self) -> None:
        """Begin no further attempt, and cut off those under way from their providers."""
        self._cancelled.set()

    async def execute(self) -> images.Image:
        """Carry the image to a terminal state, which is in the ledger when this returns."""
        history = loop.History(
            wanted=self.task.output.count,
            tried=self.work.history,
            in_chain=self.task.lineage.HasField("anchor"),
        )
        try:
            history = replace(history, tried=await self._looked_at(self.work.history))
        except (LostLease, Unavailable):  # whoever takes over next may be luckier
            raise
        except ImageRouterError as error:
            return await self._end(history, _no_way_on(error, history))
        decision = self.work.decision
        while True:
            history = replace(history, cancelled=self._cancelled.is_set())
            action = loop.next_action(history, self.limits, time_left_s=self._time_left())
            if not isinstance(action, loop.Decide):
                return await self._end(history, action)
            if action.delay_s and await self._cancelled_within(action.delay_s):
                continue
            try:
                decision = decision or await self._decide(action, history)
                planned = await self._commit(decision, action.step, history)
                spans.decided(decision, action, history)
            except LostLease:
                raise
            except ImageRouterError as error:
                return await self._end(history, _no_way_on(error, history))
            # Every attempt of a round is carried to its end, whatever becomes of its siblings: each may be paid for.
            ended = await asyncio.gather(*(self._try(attempt, decision) for attempt in planned), return_exceptions=True)
            tried = [end for end in ended if isinstance(end, loop.Tried)]
            history = replace(history, tried=(*history.tried, *tried))
            for end in ended:
                if isinstance(end, ImageRouterError) and not isinstance(end, LostLease):
                    return await self._end(history, _no_way_on(end, history))
                if isinstance(end, BaseException):
                    raise end
            decision = None
            await self._note_hops()

    async def give_up(self) -> images.Image:
        """End the image because of a defect of ours. InvalidState while an attempt is SENT: whoever takes over ends
        that first."""
        return await self._end(loop.History(wanted=0), _no_way_on(Internal("a run broke"), loop.History(wanted=0)))

    async def evaluate(self, tried: loop.Tried) -> loop.Tried:
        """Have an answered attempt looked at, and record what was found."""
        reply = await self.calls.evaluate(
            evaluator.EvaluateRequest(
                attempt_id=tried.attempt_id, task=self.task, route=tried.route, outcome=tried.outcome
            )
        )
        now = self.clock()
        await until_written(lambda: self.ledger.record_evaluation(self.work.image_id, reply.evaluation, now))
        return replace(tried, evaluation=reply.evaluation)

    async def _looked_at(self, history: tuple[loop.Tried, ...]) -> tuple[loop.Tried, ...]:
        """A resumed history, with what its former owner did not come to look at."""
        return tuple(
            [
                await self.evaluate(tried) if tried.outcome.kind in ANSWERED and tried.evaluation is None else tried
                for tried in history
            ]
        )

    def _time_left(self) -> float:
        return (self.work.deadline - self.clock()).total_seconds()

    def _money_left(self, history: loop.History) -> int:
        return max(0, self.work.budget_micros - sum(_committed(tried) for tried in history.tried))

    async def _cancelled_within(self, seconds: float) -> bool:
        try:
            return await asyncio.wait_for(self._cancelled.wait(), seconds)
        except TimeoutError:
            return False

    async def _decide(self, action: loop.Decide, history: loop.History) -> route_pb2.Decision:
        if action.step == route_pb2.STEP_RESET:
            self.task = await self._restarted()
        now = self.clock()
        question = router.RouteRequest(
            decision_id=self.new_id(),
            task=self.task,
            step=action.step,
            history=[
                router.AttemptSummary(route=tried.route, outcome=tried.outcome.kind, verdict=tried.verdict)
                for tried in history.tried
            ],
            budget_micros=self._money_left(history),
            time_left_ms=max(0, int(self._time_left() * 1000)),
            unavailable=self.outages.current(now),
            count=history.missing,
        )
        question.now.FromDatetime(now)
        return (await self.calls.route(question)).decision

    async def _restarted(self) -> task_pb2.Task:
        """The task from the anchor again, with the chain's instructions merged."""
        merged = await self.calls.merge(
            normalizer.MergeInstructionsRequest(instructions=[*self.task.lineage.instructions, self.task.prompt])
        )
        task = task_pb2.Task()
        task.CopyFrom(self.task)
        task.prompt = merged.prompt
        task.references[0].artifact.CopyFrom(task.lineage.anchor)
        task.lineage.depth = 0
        return task

    async def _commit(
        self, decision: route_pb2.Decision, step: route_pb2.Step.ValueType, history: loop.History
    ) -> list[PlannedAttempt]:
        """Write the decision and its attempts, with their reservations, before anything is sent."""
        # No more side by side than the money covers: the ledger refuses a round as a whole.
        affordable = self._money_left(history) // max(1, decision.routes[0].estimates.upper_cost_micros)
        at_once = max(1, min(self.limits.attempts.max_parallel, affordable))
        shares = split(decision.routes[0], history.missing, at_once)
        planned = [
            PlannedAttempt(
                attempt_id=self.new_id(),
                number=len(history.tried) + index,
                step=decision.step or step,
                route=share,
                reserved_micros=share.estimates.upper_cost_micros,
            )
            for index, share in enumerate(shares, start=1)
        ]
        await self.ledger.record_decision_and_attempts(
            self.work.image_id, decision, planned, self.clock(), self.work.epoch
        )
        return planned

    async def _try(self, planned: PlannedAttempt, decision: route_pb2.Decision) -> loop.Tried:
        with spans.attempt(planned, decision) as span:
            attempter = Attempter(
                self.ledger, self.calls, self.clock, self.work.epoch, self.on_preview, self.limits.adapter.silence_s
            )
            outcome = await attempter.execute(planned, self.task, self._cancelled)
            spans.attempt_ended(span, planned, outcome)
            self.outages.saw(planned.route, outcome, self.clock())
            tried = loop.Tried(planned.attempt_id, decision.decision_id, planned.step, planned.route, outcome)
            if outcome.kind in ANSWERED:
                tried = await self.evaluate(tried)
                spans.evaluated(tried)
        return tried

    async def _end(self, history: loop.History, action: loop.Finish | loop.Stop) -> images.Image:
        error = None
        state = images.IMAGE_STATE_SUCCEEDED
        if isinstance(action, loop.Stop):
            cancelled = action.reason == "IMAGE_CANCELLED"
            state = images.IMAGE_STATE_CANCELLED if cancelled else images.IMAGE_STATE_FAILED
            error = images.ImageError(
                reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{action.reason}"),
                message=action.message,
                metadata=action.metadata,
            )
        await self._note_hops()
        now = self.clock()
        reset = any(tried.step == route_pb2.STEP_RESET for tried in history.tried)
        return await until_written(
            lambda: self.ledger.finish_image(
                self.work.image_id, state, accepted(history), error, now, self.work.epoch, reset=reset
            )
        )

    async def _note_hops(self) -> None:
        """Put the hops made so far on the receipt. They explain and decide nothing: without them the image goes on."""
        made, self.hops[:] = list(self.hops), []
        if made:
            with contextlib.suppress(Unavailable):
                await self.ledger.record_hop(self.work.image_id, *made)


def accepted(history: loop.History) -> list[artifact_pb2.ArtifactRef]:
    """The accepted outputs in order, no more than were wanted."""
    outputs = [
        output.artifact
        for tried in history.tried
        if tried.evaluation is not None
        for output in tried.evaluation.outputs
        if output.accepted
    ]
    return outputs[: history.wanted]


def split(route: route_pb2.Route, missing: int, at_once: int) -> list[route_pb2.Route]:
    """The routes of the attempts that make `missing` outputs side by side, `at_once` at most: one provider call makes
    `route.parameters.count`."""
    each = max(1, route.parameters.count)
    shares = []
    for begin in range(0, min(missing, each * at_once), each):
        share = route_pb2.Route()
        share.CopyFrom(route)
        share.parameters.count = min(each, missing - begin)
        if share.parameters.count < each:
            for figure in ("cost_micros", "upper_cost_micros"):
                whole = getattr(route.estimates, figure)
                setattr(share.estimates, figure, math.ceil(whole * share.parameters.count / each))
        shares.append(share)
    return shares


def _committed(tried: loop.Tried) -> int:
    """What an attempt has used of the budget: its cost, or all that was reserved if nobody knows."""
    return tried.route.estimates.upper_cost_micros if tried.unknown else tried.outcome.cost_micros


def _no_way_on(error: ImageRouterError, history: loop.History) -> loop.Stop:
    """What an error of a dependency means for the image."""
    if error.reason == "INTERNAL":
        return loop.Stop(error.reason, "a defect of ours; the log has it")
    if not history.tried or error.reason != "NO_ROUTE":
        return loop.Stop(error.reason, error.message, error.metadata)
    count = len(history.tried)
    return loop.Stop(
        "ATTEMPTS_EXHAUSTED",
        f"no other route is left after {count} attempts",
        {"attempts": str(count), **loop.last_of(history.tried[-1])},
    )
