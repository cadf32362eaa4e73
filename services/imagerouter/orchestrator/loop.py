"""What to do next with an image: a pure function of its history.

The loop alone retries, falls back, escalates, resets and stops. It knows budget, time and history; it does no I/O and
has no clock. Providers' failures reach it as outcomes, the evaluator's opinion as verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.orchestrator.limits import Limits

Kind = attempt_pb2.OutcomeKind
_QUALITY_STEP = {
    evaluation_pb2.VERDICT_RETRY: route_pb2.STEP_RETRY,
    evaluation_pb2.VERDICT_ESCALATE: route_pb2.STEP_ESCALATION,
    evaluation_pb2.VERDICT_RESET: route_pb2.STEP_RESET,
}
# The failure may be over in a moment, and nothing was spent: the same route is worth one more try.
_TRANSIENT = frozenset(
    {
        attempt_pb2.OUTCOME_KIND_RATE_LIMITED,
        attempt_pb2.OUTCOME_KIND_PROVIDER_ERROR,
        attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED,
        attempt_pb2.OUTCOME_KIND_TIMEOUT,
    }
)
_FREE = frozenset({attempt_pb2.PHASE_NOT_SENT, attempt_pb2.PHASE_REJECTED})


@dataclass(frozen=True)
class Tried:
    """One attempt that has ended: who authorised it, where it went, how it ended, what was found about it."""

    attempt_id: str
    decision_id: str
    step: route_pb2.Step.ValueType
    route: route_pb2.Route
    outcome: attempt_pb2.Outcome
    evaluation: evaluation_pb2.Evaluation | None = None

    @property
    def accepted(self) -> int:
        """How many outputs were accepted."""
        return sum(output.accepted for output in self.evaluation.outputs) if self.evaluation else 0

    @property
    def verdict(self) -> evaluation_pb2.Verdict.ValueType:
        """The evaluator's recommendation, or unspecified if it was not asked."""
        return self.evaluation.verdict if self.evaluation else evaluation_pb2.VERDICT_UNSPECIFIED

    @property
    def unknown(self) -> bool:
        """Whether nobody knows if the provider executed it."""
        return self.outcome.phase not in (*_FREE, attempt_pb2.PHASE_CHARGED)


@dataclass(frozen=True)
class History:
    """All that has happened to an image, in order."""

    wanted: int
    tried: tuple[Tried, ...] = ()
    in_chain: bool = False
    cancelled: bool = False

    @property
    def accepted(self) -> int:
        """How many outputs were accepted so far."""
        return sum(tried.accepted for tried in self.tried)

    @property
    def last_round(self) -> tuple[Tried, ...]:
        """The attempts made side by side under the last decision."""
        return tuple(tried for tried in self.tried if tried.decision_id == self.tried[-1].decision_id)

    @property
    def missing(self) -> int:
        """How many outputs are still wanted."""
        return max(0, self.wanted - self.accepted)


@dataclass(frozen=True)
class Decide:
    """Ask the router for a route and attempt it, after `delay_s` seconds."""

    step: route_pb2.Step.ValueType
    delay_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Finish:
    """Enough outputs were accepted."""


@dataclass(frozen=True)
class Stop:
    """Give up: `reason` is an ErrorReason, `message` is public."""

    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)


Action = Decide | Finish | Stop


def next_action(history: History, limits: Limits, *, time_left_s: float) -> Action:
    """Say what to do next. `time_left_s` is the time until the image's deadline; negative if it is past."""
    if history.missing == 0:
        return Finish()
    if history.cancelled:
        return Stop("IMAGE_CANCELLED", "the image was cancelled")
    if not history.tried and time_left_s > 0:
        return Decide(route_pb2.STEP_INITIAL)
    if not history.tried:
        return _time_is_up(history)
    worst = min(history.last_round, key=_progress)
    if worst.outcome.kind == Kind.OUTCOME_KIND_REFUSED or worst.verdict == evaluation_pb2.VERDICT_STOP:
        return _refused(worst)
    if worst.unknown and not limits.unknown.fallback:
        return Stop(
            "OUTCOME_UNKNOWN",
            "a provider may or may not have executed an attempt",
            {"attempt_id": worst.attempt_id, "provider": worst.route.provider},
        )
    attempts = str(len(history.tried))
    if _spent_tries(history) >= limits.attempts.max:
        return Stop("ATTEMPTS_EXHAUSTED", f"{attempts} attempts failed", {"attempts": attempts, **last_of(worst)})
    if time_left_s <= 0:
        return _time_is_up(history)
    return _after(worst, history, limits, time_left_s)


def _progress(tried: Tried) -> tuple[int, int]:
    """Sort key: what a round's next step must answer to comes first: a refusal, then a failure, then a miss."""
    if tried.outcome.kind == Kind.OUTCOME_KIND_REFUSED or tried.verdict == evaluation_pb2.VERDICT_STOP:
        return (0, 0)
    if tried.outcome.kind != Kind.OUTCOME_KIND_SUCCEEDED and tried.evaluation is None:
        return (1, 0) if tried.unknown else (1, 1)
    return (2, 0) if tried.verdict != evaluation_pb2.VERDICT_ACCEPT else (3, 0)


def _time_is_up(history: History) -> Stop:
    attempts = str(len(history.tried))
    return Stop("TIME_EXHAUSTED", "the time allowed for the image is used up", {"attempts": attempts})


def _refused(tried: Tried) -> Stop:
    refusal = tried.outcome.refusal
    metadata = {"provider": tried.route.provider, "model": tried.route.model, "stage": refusal.stage or "unknown"}
    if refusal.categories:
        metadata["categories"] = ",".join(refusal.categories)[:200]
    return Stop("REFUSED", "the provider's content policy blocked the request", metadata)


def last_of(tried: Tried) -> dict[str, str]:
    """What an error's metadata says of the last attempt."""
    kind = attempt_pb2.OutcomeKind.Name(tried.outcome.kind).removeprefix("OUTCOME_KIND_")
    return {"last_model": tried.route.model, "last_outcome": kind}


def _spent_tries(history: History) -> int:
    """Decisions that count against the limit. One whose attempts all ended well is progress, not a try."""
    missed = (tried for tried in history.tried if tried.verdict != evaluation_pb2.VERDICT_ACCEPT or not tried.accepted)
    return len({tried.decision_id for tried in missed})


def _retries_of(route: route_pb2.Route, history: History) -> int:
    """How often this model was tried again without success."""
    retries = [tried for tried in history.tried if tried.step == route_pb2.STEP_RETRY and not tried.accepted]
    return sum(tried.route.model == route.model for tried in retries)


def _after(worst: Tried, history: History, limits: Limits, time_left_s: float) -> Action:
    may_retry = _retries_of(worst.route, history) < limits.attempts.max_retries_of_a_route
    if worst.verdict == evaluation_pb2.VERDICT_ACCEPT:
        return Decide(route_pb2.STEP_CONTINUE, reason="fewer outputs than wanted")
    if worst.evaluation is not None:
        return _after_miss(worst.evaluation, history, may_retry=may_retry)
    outcome = worst.outcome
    kind = Kind.Name(outcome.kind).removeprefix("OUTCOME_KIND_")
    if outcome.kind in _TRANSIENT and outcome.phase in _FREE and may_retry:
        wait = max(_seconds(outcome), limits.waits.retry_backoff_s)
        if wait <= limits.waits.max_rate_limit_wait_s and wait < time_left_s:
            return Decide(route_pb2.STEP_RETRY, delay_s=wait, reason=kind)
    return Decide(route_pb2.STEP_FALLBACK, reason=kind)


def _after_miss(evaluation: evaluation_pb2.Evaluation, history: History, *, may_retry: bool) -> Decide:
    step = _QUALITY_STEP.get(evaluation.verdict, route_pb2.STEP_ESCALATION)
    if step == route_pb2.STEP_RETRY and not may_retry:
        step = route_pb2.STEP_ESCALATION
    was_reset = any(tried.step == route_pb2.STEP_RESET for tried in history.tried)
    if step == route_pb2.STEP_RESET and (was_reset or not history.in_chain):
        step = route_pb2.STEP_ESCALATION
    return Decide(step, reason=evaluation.reason)


def _seconds(outcome: attempt_pb2.Outcome) -> float:
    return outcome.retry_after.ToTimedelta().total_seconds() if outcome.HasField("retry_after") else 0.0
