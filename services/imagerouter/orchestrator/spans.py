"""What the loop tells telemetry: the decision as data on a span, escalations as events, counts and costs as metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, StatusCode
from opentelemetry.util.types import AttributeValue

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.ledger import PlannedAttempt
from imagerouter.orchestrator import loop
from imagerouter.runtime import names

_tracer = trace.get_tracer(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)
_meter = metrics.get_meter(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)
_attempts = _meter.create_counter(names.METRIC_ATTEMPTS, unit="{attempt}")
_escalations = _meter.create_counter(names.METRIC_ESCALATIONS, unit="{escalation}")
_costs = _meter.create_counter(names.METRIC_COST_MICROS, unit="{micro_usd}")
_unknown = _meter.create_counter(names.METRIC_UNKNOWN_OUTCOMES, unit="{attempt}")
_images = _meter.create_counter(names.METRIC_IMAGES, unit="{image}")

_EVENTS: dict[int, str] = {
    route_pb2.STEP_ESCALATION: names.EVENT_ESCALATION,
    route_pb2.STEP_FALLBACK: names.EVENT_FALLBACK,
    route_pb2.STEP_RESET: names.EVENT_RESET,
}


@contextmanager
def _told(name: str, attributes: dict[str, AttributeValue]) -> Iterator[Span]:
    """A span that says that it failed, and with which class; an exception's text may be a peer's or a caller's."""
    with _tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute(names.ERROR_TYPE, type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


@contextmanager
def image(image_id: str) -> Iterator[Span]:
    """The span of one image's loop."""
    with _told(names.SPAN_IMAGE, {names.IMAGE_NAME: f"images/{image_id}"}) as span:
        yield span


def image_ended(span: Span, ended: images.Image) -> None:
    """How it came out."""
    state = images.ImageState.Name(ended.state).removeprefix("IMAGE_STATE_")
    span.set_attribute(names.IMAGE_STATE, state)
    _images.add(1, {names.IMAGE_STATE: state})


def decision_attributes(decision: route_pb2.Decision) -> dict[str, AttributeValue]:
    """A decision as span attributes: candidates with their figures, what was left out, why the first was chosen."""
    chosen = decision.routes[0]
    return {
        names.DECISION_ID: decision.decision_id,
        names.DECISION_STEP: step_name(decision.step),
        names.DECISION_CANDIDATES: [f"{route.provider}/{route.model}" for route in decision.routes],
        names.DECISION_P_ACCEPTS: [route.estimates.p_accept for route in decision.routes],
        names.DECISION_COSTS_MICROS: [route.estimates.cost_micros for route in decision.routes],
        names.DECISION_EXCLUSIONS: [_exclusion(exclusion) for exclusion in decision.exclusions],
        names.DECISION_PROVIDER: chosen.provider,
        names.DECISION_MODEL: chosen.model,
        names.DECISION_TIER: chosen.tier,
        names.DECISION_REASON: decision.reason,
        names.DECISION_RULES: list(decision.rule_ids),
        names.DECISION_CONFIDENCE: decision.confidence,
        names.DECISION_PROPENSITY: decision.propensity,
        names.POLICY_VERSION: decision.policy_version,
        names.CATALOGUE_VERSION: decision.catalogue_version,
    }


def decided(decision: route_pb2.Decision, action: loop.Decide, history: loop.History) -> None:
    """A decision was taken: an event on the image's span, and another if it changes course."""
    span = trace.get_current_span()
    span.add_event(names.EVENT_DECISION, decision_attributes(decision))
    event = _EVENTS.get(action.step)
    if event is None:
        return
    change: dict[str, AttributeValue] = {
        names.ESCALATION_FROM: history.tried[-1].route.model if history.tried else "",
        names.ESCALATION_TO: decision.routes[0].model,
        names.ESCALATION_REASON: action.reason,
    }
    span.add_event(event, change)
    if action.step == route_pb2.STEP_ESCALATION:
        span.set_attribute(names.ESCALATED, True)
        span.set_attributes(change)
        _escalations.add(1, {key: change[key] for key in (names.ESCALATION_FROM, names.ESCALATION_TO)})


@contextmanager
def attempt(planned: PlannedAttempt, decision: route_pb2.Decision) -> Iterator[Span]:
    """The span of one attempt, with the decision that authorised it."""
    attributes = {
        **decision_attributes(decision),
        names.ATTEMPT_ID: planned.attempt_id,
        names.ATTEMPT_NUMBER: planned.number,
        names.ATTEMPT_STEP: step_name(planned.step),
        names.ATTEMPT_TIER: planned.route.tier,
        names.ESCALATED: planned.step == route_pb2.STEP_ESCALATION,
    }
    with _told(names.SPAN_ATTEMPT, attributes) as span:
        yield span


def attempt_ended(span: Span, planned: PlannedAttempt, outcome: attempt_pb2.Outcome) -> None:
    """How an attempt ended, and what it cost."""
    kind = attempt_pb2.OutcomeKind.Name(outcome.kind).removeprefix("OUTCOME_KIND_")
    phase = attempt_pb2.Phase.Name(outcome.phase).removeprefix("PHASE_")
    span.set_attributes(
        {
            names.ATTEMPT_OUTCOME: kind,
            names.ATTEMPT_PHASE: phase,
            names.ATTEMPT_COST_MICROS: outcome.cost_micros,
            names.ATTEMPT_COST_ESTIMATED: outcome.cost_estimated,
        }
    )
    route = {names.GEN_AI_PROVIDER_NAME: planned.route.provider, names.GEN_AI_REQUEST_MODEL: planned.route.model}
    _attempts.add(1, {**route, names.ATTEMPT_OUTCOME: kind, names.ATTEMPT_PHASE: phase})
    _costs.add(outcome.cost_micros, route)
    if phase == "SENT_UNKNOWN":
        _unknown.add(1, route)


def evaluated(tried: loop.Tried) -> None:
    """What the evaluator said, on the attempt's span."""
    if tried.evaluation is None:
        return
    checks = [*tried.evaluation.checks, *(check for output in tried.evaluation.outputs for check in output.checks)]
    trace.get_current_span().set_attributes(
        {
            names.EVALUATION_VERDICT: evaluation_pb2.Verdict.Name(tried.verdict).removeprefix("VERDICT_"),
            names.EVALUATION_P_ACCEPT: tried.evaluation.p_accept,
            names.EVALUATION_FAILED_CHECKS: sorted({check.name for check in checks if not check.passed}),
        }
    )


def step_name(step: route_pb2.Step.ValueType) -> str:
    """A step without its prefix."""
    return route_pb2.Step.Name(step).removeprefix("STEP_")


def _exclusion(exclusion: route_pb2.Exclusion) -> str:
    reason = route_pb2.ExclusionReason.Name(exclusion.reason).removeprefix("EXCLUSION_REASON_")
    return f"{exclusion.model}:{reason}"
