"""The loop: what follows from what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.orchestrator.limits import Limits, load_limits
from imagerouter.orchestrator.loop import Decide, Finish, History, Stop, Tried, next_action
from tests.unit.orchestrator.histories import CHARGED, FREE, NOT_SENT, UNKNOWN, failed, history, judged, route

LIMITS = load_limits()


def act(past: History, *, time_left_s: float = 60.0, limits: Limits = LIMITS) -> Decide | Finish | Stop:
    return next_action(past, limits, time_left_s=time_left_s)


def step_after(*tried: Tried, **rest: object) -> str:
    action = act(history(*tried, **rest))  # type: ignore[arg-type]
    assert isinstance(action, Decide), action
    return route_pb2.Step.Name(action.step).removeprefix("STEP_")


def test_begins_with_an_initial_decision() -> None:
    """An image with no history asks the router for its first route."""
    assert step_after() == "INITIAL"


def test_finishes_when_enough_outputs_are_accepted() -> None:
    """As many accepted outputs as were wanted end the image, over however many attempts they came."""
    assert act(history(judged("ACCEPT", accepted=1))) == Finish()
    assert act(history(judged("ACCEPT", accepted=2, of=2), judged("ACCEPT", accepted=2, of=2), wanted=4)) == Finish()


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        # Over in a moment, and nothing was spent: once more.
        (failed("PROVIDER_ERROR", FREE), "RETRY"),
        (failed("CONNECTION_FAILED", NOT_SENT), "RETRY"),
        (failed("RATE_LIMITED", FREE, retry_after_s=2), "RETRY"),
        # Longer than we wait: elsewhere.
        (failed("RATE_LIMITED", FREE, retry_after_s=30), "FALLBACK"),
        # May have been executed: never the same attempt again.
        (failed("PROVIDER_ERROR", UNKNOWN), "FALLBACK"),
        (failed("TIMEOUT", UNKNOWN), "FALLBACK"),
        (failed("CONNECTION_FAILED", UNKNOWN), "FALLBACK"),
        (failed("MALFORMED_REPLY", CHARGED), "FALLBACK"),
        # Retrying is of no use.
        (failed("QUOTA_EXHAUSTED", FREE), "FALLBACK"),
        (failed("UNAUTHORIZED", FREE), "FALLBACK"),
        (failed("MODEL_UNAVAILABLE", FREE), "FALLBACK"),
        (failed("INVALID_REQUEST", FREE), "FALLBACK"),
        # The output missed.
        (judged("RETRY"), "RETRY"),
        (judged("RETRY", kind="NO_OUTPUT", of=0), "RETRY"),
        (judged("ESCALATE"), "ESCALATION"),
        (judged("RESET"), "ESCALATION"),
        (judged("ACCEPT", accepted=1), "CONTINUE"),
    ],
)
def test_step_after_one_attempt(tried: Tried, expected: str) -> None:
    """Each outcome and verdict leads to its step."""
    assert step_after(tried, wanted=2) == expected


def test_retries_a_route_once_then_goes_elsewhere() -> None:
    """A second failure of the same route is a failure of the route."""
    again = failed("PROVIDER_ERROR", FREE, step="RETRY")

    assert step_after(failed("PROVIDER_ERROR", FREE), again) == "FALLBACK"
    assert step_after(judged("RETRY"), judged("RETRY", step="RETRY")) == "ESCALATION"


def test_waits_as_long_as_the_provider_asks() -> None:
    """Retry-After is the delay of the retry."""
    action = act(history(failed("RATE_LIMITED", FREE, retry_after_s=2.5)))

    assert isinstance(action, Decide)
    assert action.delay_s == 2.5


def test_does_not_wait_beyond_the_deadline() -> None:
    """A wait that the deadline does not allow is not begun."""
    action = act(history(failed("RATE_LIMITED", FREE, retry_after_s=5)), time_left_s=4)

    assert isinstance(action, Decide)
    assert action.step == route_pb2.STEP_FALLBACK


def test_resets_a_chain_once() -> None:
    """The evaluator's RESET is followed in a chain, and not twice."""
    assert step_after(judged("RESET"), in_chain=True) == "RESET"
    assert step_after(judged("RESET"), judged("RESET", step="RESET"), in_chain=True) == "ESCALATION"


def test_failed_sibling_decides_after_a_round() -> None:
    """Of attempts made side by side, the one that failed says what comes next."""
    good, bad = judged("ACCEPT", accepted=1), failed("PROVIDER_ERROR", FREE)

    assert step_after(bad, good, wanted=3, side_by_side=2) == "RETRY"
    assert step_after(bad, good, wanted=3, side_by_side=1) == "CONTINUE"


def test_an_unknown_sibling_outweighs_a_free_failure() -> None:
    """Whatever their order, what may have been executed decides after a round: the route is not tried again."""
    free, unknown = failed("PROVIDER_ERROR", FREE), failed("TIMEOUT", UNKNOWN)

    assert step_after(free, unknown, wanted=3, side_by_side=2) == "FALLBACK"
    assert step_after(unknown, free, wanted=3, side_by_side=2) == "FALLBACK"


def test_a_round_is_one_try() -> None:
    """Shares that fail side by side use up one try of the image, not one each."""
    shares = [failed("PROVIDER_ERROR", FREE)] * LIMITS.attempts.max_parallel

    assert step_after(*shares, wanted=8, side_by_side=len(shares)) == "RETRY"


def test_accepting_nothing_is_no_progress() -> None:
    """An evaluator that accepts an attempt without accepting an output does not keep the image going for ever."""
    assert isinstance(act(history(*[judged("ACCEPT", accepted=0)] * LIMITS.attempts.max)), Stop)


def test_an_image_resumed_too_late_says_so() -> None:
    """Without a first attempt and without time, the reason is time."""
    action = act(history(), time_left_s=0)

    assert isinstance(action, Stop)
    assert action.reason == "TIME_EXHAUSTED"


def test_unknown_outcome_stops_where_policy_says_so() -> None:
    """Without leave to fall back, an unknown outcome ends the image with the attempt's id."""
    strict = LIMITS.model_copy(update={"unknown": LIMITS.unknown.model_copy(update={"fallback": False})})
    action = act(history(failed("TIMEOUT", UNKNOWN)), limits=strict)

    assert isinstance(action, Stop)
    assert action.reason == "OUTCOME_UNKNOWN"
    assert action.metadata["attempt_id"] == "a"


OUTCOMES = st.sampled_from(
    [
        name
        for name in attempt_pb2.OutcomeKind.keys()
        if name not in ("OUTCOME_KIND_UNSPECIFIED", "OUTCOME_KIND_REFUSED")
    ]
)


@st.composite
def tries(draw: st.DrawFn) -> Tried:
    """Any attempt that ended, refusals aside."""
    outcome = attempt_pb2.Outcome(kind=draw(OUTCOMES), phase=draw(st.sampled_from([FREE, CHARGED, UNKNOWN, NOT_SENT])))
    step = draw(st.sampled_from([number for number in route_pb2.Step.values() if number]))
    evaluation = None
    if outcome.kind == attempt_pb2.OUTCOME_KIND_SUCCEEDED:
        verdicts = [
            number for number in evaluation_pb2.Verdict.values() if number not in (0, evaluation_pb2.VERDICT_STOP)
        ]
        evaluation = evaluation_pb2.Evaluation(verdict=draw(st.sampled_from(verdicts)))
        for accepted in draw(st.lists(st.booleans(), max_size=3)):
            evaluation.outputs.add(accepted=accepted and evaluation.verdict == evaluation_pb2.VERDICT_ACCEPT)
    return Tried("a", "", step, route(draw(st.sampled_from("pqr"))), outcome, evaluation)


@given(st.lists(tries(), max_size=8), st.integers(1, 4), st.floats(-10, 1000))
def test_a_refusal_is_terminal_whatever_came_before(past: list[Tried], wanted: int, time_left_s: float) -> None:
    """Invariant 3: after a refusal there is no retry, fallback or escalation. Only enough outputs already accepted
    could end the image otherwise."""
    refused = Tried(
        "a",
        "",
        route_pb2.STEP_INITIAL,
        route(),
        attempt_pb2.Outcome(
            kind=attempt_pb2.OUTCOME_KIND_REFUSED, phase=FREE, refusal=attempt_pb2.Refusal(stage="input")
        ),
    )
    action = act(history(*past, refused, wanted=wanted + 20), time_left_s=time_left_s)

    assert isinstance(action, Stop)
    assert action.reason == "REFUSED"


@given(st.lists(tries(), min_size=4, max_size=10), st.integers(1, 4), st.floats(-10, 1000))
def test_attempts_are_bounded(past: list[Tried], wanted: int, time_left_s: float) -> None:
    """However an image fares, unsuccessful attempts never exceed the limit."""
    misses = sum(tried.verdict != evaluation_pb2.VERDICT_ACCEPT for tried in past)
    action = act(history(*past, wanted=wanted + 30), time_left_s=time_left_s)

    assert misses < LIMITS.attempts.max or isinstance(action, Stop)


@given(st.lists(tries(), min_size=1, max_size=6), st.floats(max_value=0))
def test_nothing_is_begun_after_the_deadline(past: list[Tried], time_left_s: float) -> None:
    """With no time left the loop stops."""
    assert isinstance(act(history(*past, wanted=50), time_left_s=time_left_s), Stop)


@given(st.lists(tries(), min_size=1, max_size=6))
def test_cancelled_images_begin_nothing(past: list[Tried]) -> None:
    """Cancellation stops whatever the history."""
    action = act(history(*past, wanted=50, cancelled=True))

    assert isinstance(action, Stop)
    assert action.reason == "IMAGE_CANCELLED"


@given(tries(), st.floats(1, 1000))
def test_what_may_have_been_executed_is_never_retried(last: Tried, time_left_s: float) -> None:
    """Invariants 1 and 2: a transport retry follows only what is known to be free."""
    action = act(history(last, wanted=50), time_left_s=time_left_s)

    if isinstance(action, Decide) and action.step == route_pb2.STEP_RETRY and last.evaluation is None:
        assert last.outcome.phase in (FREE, NOT_SENT)
