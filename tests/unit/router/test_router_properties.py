"""Properties of every decision, over generated tasks, limits, steps and histories."""

from __future__ import annotations

import random

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Mode, Model, load_catalogue
from imagerouter.router import load_policy, route
from imagerouter.runtime.errors import InvalidField, PreconditionFailed
from tests.unit.router.router_cases import ANCHOR, NOW, on, references, stamp, tried

CATALOGUE = load_catalogue()
POLICY = load_policy(CATALOGUE).policy
RATIOS = ["1:1", "1:1", "4:5", "4:5", "16:9", "9:16", "21:9", "3:1", "1:3", "1:4", "8:1", "7:5", "1000:999"]
OUTCOMES = [
    "SUCCEEDED",
    "SUCCEEDED",
    "SUCCEEDED",
    "NO_OUTPUT",
    "PROVIDER_ERROR",
    "QUOTA_EXHAUSTED",
    "UNAUTHORIZED",
    "TIMEOUT",
]
STEPS = [*list(route_pb2.Step.values())[1:], route_pb2.STEP_INITIAL, route_pb2.STEP_INITIAL]


def mostly(usual: object, *others: object) -> st.SearchStrategy[object]:
    """Draw the usual value three times of four, so that tasks stay possible."""
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), st.sampled_from(others))


@st.composite
def requests(draw: st.DrawFn) -> router_service_pb2.RouteRequest:
    """Draw any request that the orchestrator could send."""
    mode = draw(st.sampled_from([task_pb2.MODE_GENERATE, task_pb2.MODE_EDIT]))
    number = draw(st.sampled_from([1, 2, 3, 15] if mode == task_pb2.MODE_EDIT else [0, 0, 0, 2]))
    flags = st.booleans()
    features = task_pb2.Features(
        text_heavy=draw(flags),
        preserve_subject=draw(flags),
        same_character=draw(flags),
        vague=draw(flags),
        bulk=draw(flags),
        has_references=number > 0,
        text_deliverable=draw(st.sampled_from(["", "poster", "ui_mockup"])),
    )
    output = task_pb2.OutputSpec(
        count=draw(st.integers(1, 32)),
        aspect_ratio=draw(st.sampled_from(RATIOS)),
        size_tier=draw(mostly(task_pb2.SIZE_TIER_1K, *task_pb2.SizeTier.values())),
        quality=draw(mostly(task_pb2.QUALITY_UNSPECIFIED, *task_pb2.Quality.values())),
        format=draw(mostly(task_pb2.OUTPUT_FORMAT_PNG, *task_pb2.OutputFormat.values())),
        background=draw(mostly(task_pb2.BACKGROUND_UNSPECIFIED, *task_pb2.Background.values())),
    )
    if draw(mostly(False, True)):
        output.width, output.height = draw(st.sampled_from([(1024, 1024), (1536, 864), (1000, 1000), (928, 1152)]))
    names = [model.id for model in CATALOGUE.models]
    task = task_pb2.Task(
        mode=mode,
        prompt=draw(st.text(max_size=60)),
        content_class=draw(st.sampled_from(task_pb2.ContentClass.values())),
        output=output,
        references=references(number, draw(mostly(1_000_000, 8_000_000))),
        features=features,
        constraints=task_pb2.Constraints(
            max_latency_ms=draw(mostly(0, 8000, 30_000, 120_000)),
            max_cost_micros=draw(mostly(0, 20_000, 200_000)),
            preference=draw(st.sampled_from(task_pb2.Preference.values())),
            models=draw(st.lists(st.sampled_from(names), min_size=1, max_size=6)) if draw(mostly(False, True)) else [],
        ),
        lineage=task_pb2.Lineage(
            depth=draw(st.integers(0, 8)), instructions=["x"] * draw(st.integers(0, 4)), anchor=ANCHOR
        ),
    )
    if draw(mostly(False, True)):
        task.mask.artifact.size_bytes = 1000
    made = router_service_pb2.RouteRequest(
        decision_id="d", task=task, step=draw(st.sampled_from(STEPS)), now=stamp(NOW)
    )
    for model in draw(st.lists(st.sampled_from(CATALOGUE.models), min_size=1, max_size=3)):
        verdict = draw(st.sampled_from([evaluation_pb2.VERDICT_ACCEPT, evaluation_pb2.VERDICT_ESCALATE]))
        quality = draw(st.sampled_from(model.qualities)).name
        made.history.append(tried(on(model.id, model.provider, quality), draw(st.sampled_from(OUTCOMES)), verdict))
    if draw(mostly(False, True)):
        made.time_left_ms = draw(st.integers(0, 300_000))
    if draw(mostly(False, True)):
        made.budget_micros = draw(st.integers(0, 2_000_000))
    if draw(mostly(False, True)):
        made.unavailable.add(provider="openai", model=draw(st.sampled_from(["", "gpt-image-2"])), reason="breaker")
    return made


def decided(request: router_service_pb2.RouteRequest) -> route_pb2.Decision | None:
    """Decide, or None where no model passes."""
    try:
        return route(request, POLICY, CATALOGUE)
    except PreconditionFailed as error:
        refused = error
    assert refused.reason == "NO_ROUTE"
    assert sum(len(key.encode()) + len(value.encode()) for key, value in refused.metadata.items()) <= 3072
    return None


@given(requests())
def test_no_route_breaks_a_hard_constraint(request: router_service_pb2.RouteRequest) -> None:
    """Every route of every decision fits the model's abilities, the dates, the time, the money and the history."""
    decision = decided(request)
    for each in decision.routes if decision else ():
        model = CATALOGUE.get(each.model)
        _assert_offered_and_allowed(model, request)
        _assert_able(model, each, request.task)
        _assert_within_limits(each, request)
        _assert_history_respected(model, request)


@given(requests())
def test_a_decision_is_complete(request: router_service_pb2.RouteRequest) -> None:
    """Every model is a route or an exclusion, once; every route has reasons; the reserve covers the expectation."""
    decision = decided(request)
    if decision is None:
        return
    named = [each.model for each in decision.routes] + [each.model for each in decision.exclusions]
    assert sorted(named) == sorted(model.id for model in CATALOGUE.models)
    assert all(each.reason and each.detail for each in decision.exclusions)
    assert 0 < decision.confidence <= 1
    assert decision.propensity == 1
    assert decision.reason == decision.routes[0].reasons[0]
    for each in decision.routes:
        assert all(each.reasons)
        assert 0 < each.estimates.cost_micros <= each.estimates.upper_cost_micros
        assert 0 < each.estimates.latency_p50_ms < each.estimates.latency_p95_ms
        assert 0 < each.estimates.p_accept < 1
        assert each.parameters.expected_width > 0
        assert each.parameters.expected_height > 0


@given(requests(), st.randoms(use_true_random=False))
def test_the_order_of_the_catalogue_does_not_matter(
    request: router_service_pb2.RouteRequest, rng: random.Random
) -> None:
    """Shuffling the rows changes no byte of the decision; asking twice neither."""
    rows = list(CATALOGUE.models)
    rng.shuffle(rows)
    shuffled = CATALOGUE.model_copy(update={"models": tuple(rows)})
    first, again = decided(request), decided(request)
    try:
        other: route_pb2.Decision | None = route(request, POLICY, shuffled)
    except PreconditionFailed:
        other = None
    assert _bytes(first) == _bytes(again) == _bytes(other)


@given(requests())
def test_a_request_is_not_changed(request: router_service_pb2.RouteRequest) -> None:
    """Deciding leaves its input as it was."""
    before = request.SerializeToString(deterministic=True)
    decided(request)
    assert request.SerializeToString(deterministic=True) == before


@given(requests())
def test_a_feasible_retry_is_the_same_route(request: router_service_pb2.RouteRequest) -> None:
    """Whatever the rules say, a retry repeats model and setting if they are among the candidates."""
    request.step = route_pb2.STEP_RETRY
    decision = decided(request)
    if decision is None:
        return
    last = request.history[-1].route
    if last.model in [each.model for each in decision.routes]:
        assert decision.routes[0].model == last.model


@given(st.binary(max_size=400))
def test_any_bytes_that_parse_are_decided_or_refused(noise: bytes) -> None:
    """Nothing but the two typed errors comes out, whatever is sent."""
    try:
        request = router_service_pb2.RouteRequest.FromString(noise)
    except DecodeError:
        return
    try:
        route(request, POLICY, CATALOGUE)
    except (InvalidField, PreconditionFailed):
        return


def _assert_offered_and_allowed(model: Model, request: router_service_pb2.RouteRequest) -> None:
    allowed = request.task.constraints.models
    assert model.status == "active" or (model.status == "deprecated" and model.id in allowed)
    assert model.released <= NOW.date()
    assert model.shutdown_at is None or model.shutdown_at > NOW.date()
    assert not allowed or model.id in allowed
    for entry in request.unavailable:
        assert not (entry.provider == model.provider and entry.model in ("", model.id))


def _assert_able(model: Model, each: route_pb2.Route, task: task_pb2.Task) -> None:
    assert len(task.references) <= model.limits.references
    assert all(reference.artifact.size_bytes <= model.limits.reference_bytes for reference in task.references)
    assert not task.HasField("mask") or Mode.MASK in model.modes
    if task.output.background == task_pb2.BACKGROUND_TRANSPARENT:
        assert model.output.transparency != "no"
        assert each.parameters.background == "transparent"
    if task.output.format == task_pb2.OUTPUT_FORMAT_WEBP:
        assert each.parameters.output_format == "webp"
    assert each.parameters.count <= model.limits.count
    level = {1: "draft", 2: "standard", 3: "high"}.get(task.output.quality)
    setting = model.quality(each.parameters.quality)
    assert level in setting.levels if level else setting.levels
    width, height = each.parameters.expected_width, each.parameters.expected_height
    wide, high = (
        (task.output.width, task.output.height) if task.output.width else map(int, task.output.aspect_ratio.split(":"))
    )
    drawn, asked = width / height, wide / high
    assert max(drawn / asked, asked / drawn) <= 1.13
    changed = (width, height) != (wide, high) if task.output.width else False
    assert changed == any(note.field == "output.width" for note in each.negotiations)


def _assert_within_limits(each: route_pb2.Route, request: router_service_pb2.RouteRequest) -> None:
    constraints = request.task.constraints
    if constraints.max_latency_ms:
        assert each.estimates.latency_p50_ms <= constraints.max_latency_ms
    if request.HasField("time_left_ms"):
        assert each.estimates.latency_p50_ms <= request.time_left_ms
    if constraints.max_cost_micros:
        assert each.estimates.upper_cost_micros <= constraints.max_cost_micros
    if request.HasField("budget_micros"):
        assert each.estimates.upper_cost_micros <= request.budget_micros


def _assert_history_respected(model: Model, request: router_service_pb2.RouteRequest) -> None:
    broke = {"OUTCOME_KIND_QUOTA_EXHAUSTED", "OUTCOME_KIND_UNAUTHORIZED"}
    names = {each.route.provider for each in request.history if _outcome(each) in broke}
    assert model.provider not in names
    if request.step == route_pb2.STEP_ESCALATION:
        assert model.tier > CATALOGUE.get(request.history[-1].route.model).tier
    if request.step == route_pb2.STEP_FALLBACK:
        failed = [each.route.model for each in request.history if _outcome(each) != "OUTCOME_KIND_SUCCEEDED"]
        assert model.id not in failed


def _outcome(summary: router_service_pb2.AttemptSummary) -> str:
    return attempt_pb2.OutcomeKind.Name(summary.outcome)


def _bytes(decision: route_pb2.Decision | None) -> bytes:
    return decision.SerializeToString(deterministic=True) if decision else b""
