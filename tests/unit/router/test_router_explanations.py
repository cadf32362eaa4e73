"""A decision says why, with figures: reasons, exclusions, negotiations, estimates, confidence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Catalogue
from imagerouter.router import Policy
from imagerouter.router.candidates import find_candidates
from imagerouter.router.history import Past
from imagerouter.router.ranking import ranked
from imagerouter.router.request import read_limits
from imagerouter.runtime.errors import PreconditionFailed
from imagerouter.runtime.status import to_status
from tests.unit.router.router_cases import edit, excluded, generate, models, request

Decide = Callable[[router_service_pb2.RouteRequest], route_pb2.Decision]


def test_the_demo_request_is_explained_with_figures(decide: Decide) -> None:
    """The poster in 8 s: what is fast enough, why gpt-image-2 is not, and the quality that was lowered for it."""
    task = generate(
        "Create a clean bilingual event poster for a Tokyo design meetup",
        features={"text_heavy": True, "text_deliverable": "poster"},
        output={"aspect_ratio": "4:5"},
        constraints={"max_latency_ms": 8000},
    )
    decision = decide(request(task, time_left_ms=7950))
    assert models(decision) == ["gpt-image-2.5-flare", "gemini-3.1-flash-lite-image"]
    chosen = decision.routes[0]
    assert (chosen.parameters.size, chosen.parameters.quality) == ("896x1120", "low")
    assert chosen.estimates.latency_p50_ms <= 7950
    assert not chosen.estimates.calibrated
    assert excluded(decision)["gpt-image-2"] == ("LATENCY", "p50 45000 ms (medium), 15000 ms (low) > 7950 ms left")
    assert excluded(decision)["gemini-3-pro-image"] == ("LATENCY", "p50 20000 ms > 7950 ms left")
    assert excluded(decision)["gpt-image-1.5"] == ("CAPABILITY", "ratio 4:5: closest is 1024x1536, 20.0 % off")
    lowered = [each for each in chosen.negotiations if each.field == "output.quality"]
    assert [(each.requested, each.applied, each.kind) for each in lowered] == [
        ("", "draft (low)", task_pb2.NEGOTIATION_KIND_DEFAULTED)
    ]
    assert "20000 ms > 7950 ms" in lowered[0].reason
    assert decision.reason == chosen.reasons[0]
    assert "text-in-image" in decision.reason
    assert "gpt-image-2 is out: LATENCY" in decision.reason


def test_every_model_is_a_route_or_an_exclusion(decide: Decide, catalogue: Catalogue) -> None:
    """Nothing disappears: each model of the catalogue is there exactly once."""
    decision = decide(request(edit()))
    assert sorted([*models(decision), *excluded(decision)]) == sorted(model.id for model in catalogue.models)


def test_the_conflict_of_two_rules_is_visible(decide: Decide) -> None:
    """Poster and kept subject: the order decides, both rules are named, and the policy is less sure."""
    poster = {"text_heavy": True, "text_deliverable": "poster"}
    both = decide(request(generate(features=poster | {"preserve_subject": True})))
    subject = decide(request(generate(features={"preserve_subject": True})))
    assert list(both.rule_ids) == ["keep-the-subject", "text-in-image"]
    assert both.routes[0].model == "gemini-3-pro-image"
    assert both.routes[0].reasons[0].startswith("keep-the-subject")
    assert any("text-in-image" in reason and "none of its choices" in reason for reason in both.routes[0].reasons[1:])
    assert both.confidence < subject.confidence
    # The second rule orders what the first leaves equal: GPT Image 2 before its siblings, behind Nano Banana.
    assert models(both).index("gpt-image-2") < models(both).index("gpt-image-2.5-flare")


def test_a_route_says_what_put_it_behind_the_one_above(decide: Decide) -> None:
    """Every route has a reason, and all but the first name the route above."""
    decision = decide(request(generate()))
    assert len(decision.routes) > 3
    for above, route in pairwise(decision.routes):
        assert route.reasons[0].startswith(f"after {above.model}: ")
    assert "quality per dollar" in decision.routes[0].reasons[0]


def test_a_single_route_says_that_it_is_the_only_one(decide: Decide) -> None:
    """With one model left there was no choice, and no other reason is made up."""
    decision = decide(request(generate(constraints={"models": ["gpt-image-2"]})))
    assert decision.reason == "the only model that passes the hard constraints"


def test_counts_beyond_a_call_are_said_to_take_more_calls(decide: Decide) -> None:
    """Eight images: GPT Image makes them in one call, Gemini in eight, and estimates are for one attempt."""
    decision = decide(request(generate(features={"bulk": True}, output={"count": 8})))
    by_model = {route.model: route for route in decision.routes}
    flare, lite = by_model["gpt-image-2.5-flare"], by_model["gemini-3.1-flash-lite-image"]
    assert (flare.parameters.count, lite.parameters.count) == (8, 1)
    emulated = [each for each in lite.negotiations if each.field == "output.count"]
    assert [(each.requested, each.applied, each.kind) for each in emulated] == [
        ("8", "1 a call", task_pb2.NEGOTIATION_KIND_EMULATED)
    ]
    single = decide(request(generate(features={"bulk": True})))
    alone = next(route for route in single.routes if route.model == flare.model)
    assert flare.estimates.cost_micros == pytest.approx(8 * alone.estimates.cost_micros, abs=8)
    assert lite.estimates.cost_micros < 2 * flare.estimates.cost_micros


def test_what_the_provider_decides_is_said(decide: Decide) -> None:
    """The Gemini API takes no format: asked PNG may come back as JPEG, and the route says so."""
    route = decide(request(edit())).routes[0]
    assert route.parameters.output_format == ""
    assert [(each.field, each.applied) for each in route.negotiations] == [("output.format", "png or jpeg")]


@pytest.mark.parametrize("quality", ["QUALITY_DRAFT", "QUALITY_HIGH"])
def test_an_asked_quality_of_a_model_without_one_is_said(decide: Decide, quality: str) -> None:
    """Nano Banana has one setting: draft and high are both mapped to it, with a word."""
    route = decide(request(edit(output={"quality": quality}))).routes[0]
    assert route.parameters.quality == ""
    assert any(
        each.field == "output.quality" and each.kind == task_pb2.NEGOTIATION_KIND_MAPPED for each in route.negotiations
    )


def test_no_route_lists_every_model_within_three_kilobytes(decide: Decide, catalogue: Catalogue) -> None:
    """One millisecond is enough for nobody: the error has a line with figures for each model, and fits a status."""
    with pytest.raises(PreconditionFailed) as caught:
        decide(request(generate(), time_left_ms=1))
    error = caught.value
    assert error.reason == "NO_ROUTE"
    assert set(error.metadata) == {model.id for model in catalogue.models}
    assert error.metadata["gpt-image-2"] == "LATENCY: p50 45000 ms (medium), 15000 ms (low) > 1 ms left"
    assert sum(len(key) + len(value) for key, value in error.metadata.items()) <= 3000
    assert to_status(error).ByteSize() <= 4096


def test_no_route_with_long_reasons_keeps_its_size(decide: Decide, catalogue: Catalogue) -> None:
    """Reasons given by others are cut, and what does not fit is counted."""
    broken = [
        router_service_pb2.UnavailableModel(provider=model.provider, model=model.id, reason="é" * 2000)
        for model in catalogue.models
    ]
    with pytest.raises(PreconditionFailed) as caught:
        decide(request(generate(), unavailable=broken))
    metadata = caught.value.metadata
    assert sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) <= 3100
    assert all(len(value.encode()) <= 240 for value in metadata.values())
    assert metadata["gpt-image-2"].startswith("UNAVAILABLE: é")


def test_what_no_criterion_tells_apart_goes_by_tier_and_name(policy: Policy, catalogue: Catalogue) -> None:
    """The last tie-break is the lower tier, then the id, whatever order the candidates come in."""
    asked = request(generate())
    limits = read_limits(asked, Past(), catalogue)
    candidates, _ = find_candidates(asked.task, limits, policy, catalogue)
    order = [(each.model.tier, each.model.id) for each in ranked(candidates[::-1], [])]
    assert order == sorted(order)


def test_no_prompt_is_quoted(decide: Decide) -> None:
    """Neither a decision nor an error has a word of the prompt."""
    secret = "xyzzy-plugh"
    decision = decide(request(generate(f"a {secret} on a hill", render_strings=[secret])))
    assert secret not in str(decision)
    with pytest.raises(PreconditionFailed) as caught:
        decide(request(generate(f"a {secret} on a hill"), budget_micros=0))
    assert secret not in str(caught.value) + str(caught.value.metadata)
