"""What the loop tells telemetry: decisions as data, escalations that happened, and nobody's text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, StatusCode

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.router.v1 import router_service_pb2 as router
from imagerouter.ledger import PlannedAttempt
from imagerouter.orchestrator import spans
from imagerouter.orchestrator.limits import load_limits
from imagerouter.orchestrator.loop import Decide
from imagerouter.orchestrator.outages import Outages
from imagerouter.orchestrator.run import Run, Work
from imagerouter.runtime import names
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.errors import ImageRouterError, PreconditionFailed, Unavailable
from tests.unit.orchestrator.histories import failed, history, judged, route

SECRET = "Sphinx of black quartz"
DECISION = route_pb2.Decision(
    decision_id="d1",
    step=route_pb2.STEP_ESCALATION,
    reason="the cheapest that will do",
    rule_ids=["text", "edit"],
    confidence=0.5,
    propensity=1,
    policy_version="p7",
    catalogue_version="c9",
    routes=[route("beta", "google", upper=80_000), route("alpha")],
    exclusions=[
        route_pb2.Exclusion(model="gamma", reason=route_pb2.EXCLUSION_REASON_UNAVAILABLE, detail=SECRET),
    ],
)
DECISION.routes[0].tier = 2
DECISION.routes[0].estimates.p_accept = 0.75
DECISION.routes[1].estimates.p_accept = 0.25
AS_DATA = {
    names.DECISION_ID: "d1",
    names.DECISION_STEP: "ESCALATION",
    names.DECISION_CANDIDATES: ("google/beta", "openai/alpha"),
    names.DECISION_P_ACCEPTS: (0.75, 0.25),
    names.DECISION_COSTS_MICROS: (40_000, 30_000),
    names.DECISION_EXCLUSIONS: ("gamma:UNAVAILABLE",),
    names.DECISION_PROVIDER: "google",
    names.DECISION_MODEL: "beta",
    names.DECISION_TIER: 2,
    names.DECISION_REASON: "the cheapest that will do",
    names.DECISION_RULES: ("text", "edit"),
    names.DECISION_CONFIDENCE: 0.5,
    names.DECISION_PROPENSITY: 1.0,
    names.POLICY_VERSION: "p7",
    names.CATALOGUE_VERSION: "c9",
}
PLANNED = PlannedAttempt(
    attempt_id="a2", number=2, step=route_pb2.STEP_ESCALATION, route=DECISION.routes[0], reserved_micros=80_000
)


class Counter:
    """Keeps what is counted."""

    def __init__(self) -> None:
        self.counted: list[tuple[int, dict[str, Any]]] = []

    def add(self, amount: int, attributes: dict[str, Any]) -> None:
        self.counted.append((amount, attributes))


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where the orchestrator's own spans go."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.fixture
def escalations(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(spans, "_escalations", counter)
    return counter


def only(exported: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = (span for span in exported.get_finished_spans() if span.name == name)
    return span


def has(told: Any, expected: dict[str, Any]) -> bool:
    return dict(told or {}).items() >= expected.items()


def test_an_attempt_s_span_has_its_decision(exported: InMemorySpanExporter) -> None:
    """Who authorised the attempt, among which candidates and why: from one span, as data. What was left out is told
    by a word of ours, without details."""
    with spans.attempt(PLANNED, DECISION):
        pass
    span = only(exported, names.SPAN_ATTEMPT)

    assert has(span.attributes, AS_DATA)
    assert has(span.attributes, {names.ATTEMPT_ID: "a2", names.ATTEMPT_NUMBER: 2, names.ATTEMPT_STEP: "ESCALATION"})
    assert has(span.attributes, {names.ATTEMPT_TIER: 2, names.ESCALATED: True})
    assert SECRET not in span.to_json()


def test_an_attempt_s_span_has_its_end(exported: InMemorySpanExporter) -> None:
    """How it ended, what it cost and what was found; the provider's own words stay out."""
    outcome = attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_SUCCEEDED,
        phase=attempt_pb2.PHASE_CHARGED,
        cost_micros=50_000,
        message=SECRET,
        provider_code=SECRET,
    )
    found = judged("ESCALATE")
    assert found.evaluation
    found.evaluation.p_accept = 0.25
    found.evaluation.checks.add(name="sharp", passed=False, detail=SECRET)
    found.evaluation.outputs[0].checks.add(name="size", passed=True)
    with spans.attempt(PLANNED, DECISION) as span:
        spans.attempt_ended(span, PLANNED, outcome)
        spans.evaluated(found)
    told = only(exported, names.SPAN_ATTEMPT)

    assert has(told.attributes, {names.ATTEMPT_OUTCOME: "SUCCEEDED", names.ATTEMPT_PHASE: "CHARGED"})
    assert has(told.attributes, {names.ATTEMPT_COST_MICROS: 50_000, names.ATTEMPT_COST_ESTIMATED: False})
    assert has(told.attributes, {names.EVALUATION_VERDICT: "ESCALATE", names.EVALUATION_P_ACCEPT: 0.25})
    assert has(told.attributes, {names.EVALUATION_FAILED_CHECKS: ("sharp",)})
    assert SECRET not in told.to_json()


def test_an_image_s_span_has_its_decisions(exported: InMemorySpanExporter, escalations: Counter) -> None:
    """Each decision is an event, a change of course is another; an escalation marks the trace to be kept, and is
    counted."""
    with spans.image("i") as span:
        spans.decided(DECISION, Decide(route_pb2.STEP_ESCALATION, reason="sharp"), history(judged("ESCALATE")))
        spans.image_ended(span, images.Image(state=images.IMAGE_STATE_SUCCEEDED))
    told = only(exported, names.SPAN_IMAGE)
    decision, change = told.events
    course = {names.ESCALATION_FROM: "gpt-image-2", names.ESCALATION_TO: "beta"}

    assert (decision.name, dict(decision.attributes or {})) == (names.EVENT_DECISION, AS_DATA)
    assert (change.name, dict(change.attributes or {})) == (
        names.EVENT_ESCALATION,
        {**course, names.ESCALATION_REASON: "sharp"},
    )
    assert has(told.attributes, {names.IMAGE_NAME: "images/i", names.IMAGE_STATE: "SUCCEEDED", names.ESCALATED: True})
    assert escalations.counted == [(1, course)]


@pytest.mark.parametrize(
    ("step", "event"),
    [
        ("FALLBACK", names.EVENT_FALLBACK),
        ("RESET", names.EVENT_RESET),
        ("RETRY", ""),
        ("CONTINUE", ""),
        ("INITIAL", ""),
    ],
)
def test_other_steps_are_no_escalations(
    exported: InMemorySpanExporter, escalations: Counter, step: str, event: str
) -> None:
    """Only an escalation marks a trace to be kept; another change of course is an event of its own name, or none."""
    past = () if step == "INITIAL" else (failed("PROVIDER_ERROR", attempt_pb2.PHASE_REJECTED),)
    with spans.image("i"):
        spans.decided(DECISION, Decide(route_pb2.Step.Value(f"STEP_{step}")), history(*past))
    told = only(exported, names.SPAN_IMAGE)

    assert [each.name for each in told.events] == [names.EVENT_DECISION, *([event] if event else [])]
    assert names.ESCALATED not in (told.attributes or {})
    assert not escalations.counted


SPANS = pytest.mark.parametrize(
    ("opened", "name"),
    [(lambda: spans.image("i"), names.SPAN_IMAGE), (lambda: spans.attempt(PLANNED, DECISION), names.SPAN_ATTEMPT)],
    ids=["image", "attempt"],
)
Opened = Callable[[], AbstractContextManager[Span]]


@SPANS
@pytest.mark.parametrize("error", [RuntimeError(SECRET), Unavailable(SECRET)], ids=["defect", "typed"])
def test_no_exception_is_told(exported: InMemorySpanExporter, opened: Opened, name: str, error: Exception) -> None:
    """Invariant 8: an exception may quote a prompt or a peer's text. It is no event of a span that it passes."""
    with pytest.raises(type(error)), opened():
        raise error
    told = only(exported, name)

    assert not told.events
    assert told.status.status_code is StatusCode.ERROR


@SPANS
@pytest.mark.parametrize("error", [RuntimeError(SECRET), Unavailable(SECRET)], ids=["defect", "typed"])
def test_no_exception_is_the_status(
    exported: InMemorySpanExporter, opened: Opened, name: str, error: Exception
) -> None:
    """That it failed is told; with what words is not, anywhere in the span."""
    with pytest.raises(type(error)), opened():
        raise error

    assert SECRET not in only(exported, name).to_json()


class Books:
    """A ledger that refuses attempts, or not."""

    def __init__(self, refusal: ImageRouterError | None) -> None:
        self.refusal = refusal

    async def record_decision_and_attempts(self, *_: Any) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def mark_sent(self, *_: Any) -> None:
        raise Unavailable("not here")

    async def finish_attempt(self, *_: Any) -> None: ...

    async def record_hop(self, *_: Any) -> None: ...

    async def finish_image(self, image_id: str, state: Any, *_: Any, **__: Any) -> images.Image:
        return images.Image(name=f"images/{image_id}", state=state)


class Routes:
    """Calls of which the router answers, once."""

    def __init__(self) -> None:
        self.asked = 0

    async def route(self, _: router.RouteRequest) -> router.RouteResponse:
        self.asked += 1
        if self.asked > 1:
            raise PreconditionFailed("no model is left", reason="NO_ROUTE")
        return router.RouteResponse(decision=DECISION)

    async def reach(self, _: str) -> None: ...


def resumed(books: Books) -> Run:
    """The run of an image whose first attempt missed."""
    task = task_pb2.Task(tenant="default", prompt="x", output=task_pb2.OutputSpec(count=1))
    missed = judged("ESCALATE")
    assert missed.verdict == evaluation_pb2.VERDICT_ESCALATE
    work = Work("i", "default", task, utc_now() + timedelta(hours=1), 500_000, 2, history=(missed,))
    ids = iter("abcdefgh")
    return Run(
        work,
        books,  # type: ignore[arg-type]
        Routes(),  # type: ignore[arg-type]
        load_limits(),
        Outages(60),
        utc_now,
        lambda: next(ids),
        lambda *_: None,
        [],
    )


async def test_an_escalation_is_counted_when_it_is_on_record(
    exported: InMemorySpanExporter, escalations: Counter
) -> None:
    """Committed, it is counted and told once, whatever becomes of the attempt."""
    with spans.image("i"):
        await resumed(Books(None)).execute()

    assert len(escalations.counted) == 1
    assert [event.name for event in only(exported, names.SPAN_IMAGE).events] == [
        names.EVENT_DECISION,
        names.EVENT_ESCALATION,
    ]


@pytest.mark.parametrize(
    "refusal",
    [PreconditionFailed("too dear", reason="BUDGET_EXHAUSTED"), Unavailable("the ledger did not answer")],
    ids=["refused", "away"],
)
async def test_an_escalation_that_is_not_on_record_is_not_counted(
    exported: InMemorySpanExporter, escalations: Counter, refusal: ImageRouterError
) -> None:
    """One that the ledger did not take never happened: there is nothing to keep the trace for."""
    with spans.image("i"):
        image = await resumed(Books(refusal)).execute()
    told = only(exported, names.SPAN_IMAGE)

    assert image.state == images.IMAGE_STATE_FAILED
    assert not escalations.counted
    assert not told.events
    assert names.ESCALATED not in (told.attributes or {})
