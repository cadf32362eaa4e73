"""What the loop asks for after the first attempt: retry, fallback, escalation, reset, continue; and edit chains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from imagerouter.api.common.v1 import evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Catalogue
from imagerouter.router import Policy, route
from imagerouter.runtime.errors import PreconditionFailed
from tests.unit.router.router_cases import NOW, chain, edit, excluded, generate, models, on, request, stamp, tried

Decide = Callable[[router_service_pb2.RouteRequest], route_pb2.Decision]
MISSED = evaluation_pb2.VERDICT_ESCALATE
POSTER = {"text_heavy": True, "text_deliverable": "poster"}


def test_a_retry_repeats_the_route(decide: Decide) -> None:
    """The same model with the same parameters comes first, although another would lead a first attempt."""
    task = generate(features=POSTER)
    former = next(each for each in decide(request(task)).routes if each.model == "gpt-image-2.6-flare")
    decision = decide(request(task, route_pb2.STEP_RETRY, history=[tried(former, "RATE_LIMITED")]))
    assert decision.routes[0].model == "gpt-image-2.6-flare"
    assert decision.routes[0].parameters == former.parameters
    assert decision.reason == "the same route again"
    assert models(decision)[1] == "gpt-image-2"


def test_a_retry_keeps_a_lowered_quality(decide: Decide) -> None:
    """A draft that was taken for time stays a draft, and the route says so again."""
    task = generate(features=POSTER)
    low = on("gpt-image-2", "openai", "low")
    decision = decide(request(task, route_pb2.STEP_RETRY, history=[tried(low, "PROVIDER_ERROR")]))
    assert decision.routes[0].parameters.quality == "low"
    assert [(each.applied, each.reason) for each in decision.routes[0].negotiations] == [
        ("draft (low)", "as in the attempt before")
    ]


def test_a_retry_that_no_longer_fits_takes_the_best_other(decide: Decide) -> None:
    """With five seconds left, the repetition of a slow route is out and the fast one stands in."""
    history = [tried(on("gpt-image-2", "openai", "medium"), "PROVIDER_ERROR")]
    decision = decide(request(generate(), route_pb2.STEP_RETRY, history=history, time_left_ms=5000))
    assert models(decision) == ["gemini-3.1-flash-lite-image"]
    assert excluded(decision)["gpt-image-2"][0] == "LATENCY"


def test_a_fallback_leaves_what_failed(decide: Decide) -> None:
    """Every model that failed for this image is out, also the one before last."""
    history = [
        tried(on("gemini-3-pro-image", "google"), "NO_OUTPUT"),
        tried(on("gemini-nano-banana-2.1", "google"), "NO_OUTPUT"),
    ]
    decision = decide(request(edit(), route_pb2.STEP_FALLBACK, history=history))
    assert models(decision)[0] == "gemini-3.1-flash-lite-image"
    assert excluded(decision)["gemini-3-pro-image"] == ("HISTORY", "failed before: NO_OUTPUT")
    assert excluded(decision)["gemini-nano-banana-2.1"][0] == "HISTORY"


@pytest.mark.parametrize("outcome", ["PROVIDER_ERROR", "CONNECTION_FAILED", "TIMEOUT", "RATE_LIMITED"])
def test_a_fallback_from_a_failing_provider_prefers_another(decide: Decide, outcome: str) -> None:
    """Its other models stay possible, behind those of the others."""
    history = [tried(on("gemini-3-pro-image", "google"), outcome)]
    decision = decide(request(edit(), route_pb2.STEP_FALLBACK, history=history))
    providers = [each.provider for each in decision.routes]
    assert providers == sorted(providers, reverse=True)
    assert "google" in providers
    assert "google has just failed" in decision.reason


@pytest.mark.parametrize("outcome", ["QUOTA_EXHAUSTED", "UNAUTHORIZED"])
@pytest.mark.parametrize("step", [route_pb2.STEP_FALLBACK, route_pb2.STEP_ESCALATION])
def test_a_provider_without_money_or_key_is_out(decide: Decide, outcome: str, step: route_pb2.Step.ValueType) -> None:
    """None of its models is tried again for this image, at any later step."""
    history = [
        tried(on("gemini-3-pro-image", "google"), outcome),
        tried(on("gpt-image-2.5-flare", "openai", "medium"), "SUCCEEDED", MISSED),
    ]
    decision = decide(request(edit(), step, history=history))
    assert {each.provider for each in decision.routes} == {"openai"}
    assert excluded(decision)["gemini-nano-banana-2.1"] == ("HISTORY", f"its provider failed before: {outcome}")


def test_a_fallback_after_an_escalation_stays_above_the_tier_that_missed(decide: Decide) -> None:
    """Tier 2 missed, tier 3 failed: the next is above 2 if there is one."""
    history = [
        tried(on("gpt-image-2.5-sunburst", "openai", "medium"), "SUCCEEDED", MISSED),
        tried(on("gpt-image-2", "openai", "medium"), "NO_OUTPUT"),
    ]
    decision = decide(request(generate(), route_pb2.STEP_FALLBACK, history=history))
    assert decision.routes[0].tier > 2
    assert "missed the quality bar" in decision.reason


def test_an_escalation_goes_strictly_up(decide: Decide) -> None:
    """From tier 1 every route is higher, and the rules order those: the poster goes to gpt-image-2."""
    history = [tried(on("gpt-image-2.5-flare", "openai", "low"), "SUCCEEDED", MISSED)]
    decision = decide(request(generate(features=POSTER), route_pb2.STEP_ESCALATION, history=history))
    assert decision.routes[0].model == "gpt-image-2"
    assert all(each.tier > 1 for each in decision.routes)
    assert excluded(decision)["gemini-3.1-flash-lite-image"] == ("HISTORY", "tier 1, above 1 wanted")


def test_an_escalation_of_bulk_takes_the_next_rung(decide: Decide) -> None:
    """Where the rule asks for the lowest tier, an escalation takes the lowest above."""
    history = [tried(on("gpt-image-2.5-flare", "openai", "medium"), "SUCCEEDED", MISSED)]
    decision = decide(request(generate(features={"bulk": True}), route_pb2.STEP_ESCALATION, history=history))
    assert decision.routes[0].tier == 2


def test_the_policy_may_ask_for_the_next_tier_up(policy: Policy, catalogue: Catalogue) -> None:
    """`escalation_order = "cheapest"` puts the next tier before the rules' order."""
    steps = policy.steps.model_copy(update={"escalation_order": "cheapest"})
    cheapest = policy.model_copy(update={"steps": steps})
    history = [tried(on("gpt-image-2.5-flare", "openai", "low"), "SUCCEEDED", MISSED)]
    asked = request(generate(features=POSTER), route_pb2.STEP_ESCALATION, history=history)
    tiers = [each.tier for each in route(asked, cheapest, catalogue).routes]
    assert tiers == sorted(tiers)
    assert tiers[0] == 2


def test_there_is_nothing_above_the_top(decide: Decide) -> None:
    """An escalation from the highest tier is NO_ROUTE, and the reasons say that it is for the tier."""
    history = [tried(on("gpt-image-2.6-sunburst", "openai", "medium"), "SUCCEEDED", MISSED)]
    with pytest.raises(PreconditionFailed) as caught:
        decide(request(generate(), route_pb2.STEP_ESCALATION, history=history))
    assert caught.value.reason == "NO_ROUTE"
    assert caught.value.metadata["gemini-3-pro-image"] == "HISTORY: tier 4, above 5 wanted"


def test_an_edit_that_nano_banana_pro_misses_has_somewhere_to_go(decide: Decide) -> None:
    """The first choice of every edit is not the end of the cascade."""
    history = [tried(on("gemini-3-pro-image", "google"), "SUCCEEDED", MISSED)]
    decision = decide(request(edit(), route_pb2.STEP_ESCALATION, history=history))
    assert models(decision) == ["gpt-image-2.6-sunburst"]


def test_continuing_repeats_what_was_accepted_for_what_is_left(decide: Decide) -> None:
    """Three of eight are wanting: the accepted route, not the last tried, makes three."""
    task = generate(features={"bulk": True}, output={"count": 8})
    history = [
        tried(on("gpt-image-2.5-sunburst", "openai", "medium"), "SUCCEEDED", evaluation_pb2.VERDICT_ACCEPT),
        tried(on("gpt-image-2.5-flare", "openai", "medium"), "PROVIDER_ERROR"),
    ]
    decision = decide(request(task, route_pb2.STEP_CONTINUE, history=history, count=3))
    assert decision.routes[0].model == "gpt-image-2.5-sunburst"
    assert decision.routes[0].parameters.count == 3


def test_a_deep_chain_with_an_anchor_is_reset(decide: Decide) -> None:
    """From depth 5 on, with an anchor and two instructions, the action is RESET and the best editor leads."""
    decision = decide(request(chain(5, 4)))
    assert decision.chain_action == route_pb2.CHAIN_ACTION_RESET
    assert decision.routes[0].model == "gemini-3-pro-image"
    assert decision.rule_ids[0] == "deep-edit-chain"
    assert decide(request(chain(4, 3))).chain_action == route_pb2.CHAIN_ACTION_UNSPECIFIED


@pytest.mark.parametrize(("instructions", "anchored"), [(1, True), (4, False), (0, False)])
def test_a_deep_chain_that_cannot_be_reset_escalates(decide: Decide, instructions: int, anchored: bool) -> None:
    """Without an anchor, or with nothing to merge, the highest tier leads."""
    decision = decide(request(chain(7, instructions, anchored=anchored)))
    assert decision.chain_action == route_pb2.CHAIN_ACTION_ESCALATE
    tiers = [each.tier for each in decision.routes]
    assert tiers == sorted(tiers, reverse=True)


def test_a_reset_is_decided_as_if_the_chain_were_new(decide: Decide) -> None:
    """The step RESET asks for no further reset and takes the best editor, whatever came before."""
    history = [tried(on("gemini-3-pro-image", "google"), "SUCCEEDED", evaluation_pb2.VERDICT_RESET)]
    decision = decide(request(chain(7, 6), route_pb2.STEP_RESET, history=history))
    assert decision.chain_action == route_pb2.CHAIN_ACTION_UNSPECIFIED
    assert list(decision.rule_ids) == ["keep-the-subject"]
    assert decision.routes[0].model == "gemini-3-pro-image"


def test_what_is_out_of_order_is_left_out(decide: Decide) -> None:
    """One model, or all of a provider, with the reason given."""
    broken = [
        router_service_pb2.UnavailableModel(provider="google", reason="breaker open"),
        router_service_pb2.UnavailableModel(provider="openai", model="gpt-image-2-2026-04-21"),
    ]
    decision = decide(request(edit(), unavailable=broken))
    assert {each.provider for each in decision.routes} == {"openai"}
    assert excluded(decision)["gemini-3-pro-image"] == ("UNAVAILABLE", "breaker open")
    assert excluded(decision)["gpt-image-2"] == ("UNAVAILABLE", "out of order")


def test_the_tightest_limit_holds(decide: Decide) -> None:
    """Of latency, time left and deadline the least; of the caller's money and what is left the least."""
    soon = stamp(NOW + timedelta(seconds=7))
    task = generate(constraints={"max_latency_ms": 60_000, "deadline": soon, "max_cost_micros": 500_000})
    decision = decide(request(task, time_left_ms=30_000, budget_micros=9000))
    assert models(decision) == ["gpt-image-2.5-flare"]
    assert excluded(decision)["gpt-image-2.6-flare"][1].endswith("> 7000 ms left")
    assert excluded(decision)["gemini-3.1-flash-lite-image"] == (
        "BUDGET",
        excluded(decision)["gemini-3.1-flash-lite-image"][1],
    )
    assert excluded(decision)["gemini-3.1-flash-lite-image"][1].endswith("> 9000 micros left")


def test_no_money_left_is_no_route(decide: Decide) -> None:
    """A budget of 0 is not the same as none."""
    assert decide(request(generate()))
    with pytest.raises(PreconditionFailed):
        decide(request(generate(), budget_micros=0))
    with pytest.raises(PreconditionFailed):
        decide(request(generate(), time_left_ms=0))


def test_dates_are_read_at_the_time_given(decide: Decide) -> None:
    """A model is not routed to before its release: in October there was no 2.6."""
    october = request(generate())
    october.now.CopyFrom(stamp(datetime(2026, 10, 20, tzinfo=UTC)))
    decision = decide(october)
    assert excluded(decision)["gpt-image-2.6-flare"] == ("NOT_ACTIVE", "available from 2026-11-04")
    assert "gpt-image-2.6-flare" in models(decide(request(generate())))


def test_a_retired_model_by_name_names_its_successor(decide: Decide) -> None:
    """Asking for what is gone is no misspelling: NO_ROUTE, with what replaced it."""
    with pytest.raises(PreconditionFailed) as caught:
        decide(request(generate(constraints={"models": ["dall-e-3"]})))
    assert caught.value.metadata["dall-e-3"] == "NOT_ACTIVE: retired 2026-05-12, replaced by gpt-image-2"
    assert caught.value.metadata["gpt-image-2"] == "NOT_ALLOWED: not in constraints.models"


def test_exact_pixels_win_over_close_ones(decide: Decide) -> None:
    """Who draws the asked pixels leaves the others out; if nobody does, the closest are taken with a word."""
    exact = decide(request(edit(output={"width": 1536, "height": 864})))
    assert {each.provider for each in exact.routes} == {"openai"}
    assert excluded(exact)["gemini-3-pro-image"] == ("CAPABILITY", "draws 1376x768 at the closest, 1536x864 asked")
    nobody = decide(request(edit(output={"width": 1000, "height": 1000})))
    assert models(nobody)[0] == "gemini-3-pro-image"
    assert any(each.field == "output.width" for each in nobody.routes[0].negotiations)


def test_asked_high_is_never_lowered(decide: Decide) -> None:
    """High quality that does not fit the time leaves a model out; left open, a draft would do."""
    limits = {"max_latency_ms": 16_000}
    open_quality = decide(request(generate(constraints=limits)))
    assert "gpt-image-2" in models(open_quality)
    high = decide(request(generate(constraints=limits, output={"quality": task_pb2.QUALITY_HIGH})))
    assert excluded(high)["gpt-image-2"] == ("LATENCY", "p50 100000 ms (high) > 16000 ms left")
    assert all(each.parameters.quality in ("", "high") for each in high.routes)
