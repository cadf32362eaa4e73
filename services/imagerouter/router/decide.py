"""The decision: pure over request, policy and catalogue. The same inputs give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Catalogue
from imagerouter.router.candidates import Candidate, find_candidates
from imagerouter.router.conditions import Facts, matching
from imagerouter.router.history import read_past
from imagerouter.router.no_route import no_route
from imagerouter.router.policy import Policy, Rule
from imagerouter.router.ranking import (
    Criterion,
    deciding,
    next_tier_criterion,
    past_criteria,
    preference_criterion,
    ranked,
    rule_criterion,
    selects,
)
from imagerouter.router.request import check, read_limits


def route(request: router_service_pb2.RouteRequest, policy: Policy, catalogue: Catalogue) -> route_pb2.Decision:
    """Rank the models that can do `request.task`.

    Hard constraints first, then what former attempts mean for the step, then the policy's rules in their order, then
    the caller's preference. Raises InvalidField for a request that cannot be read, and PreconditionFailed (NO_ROUTE)
    with a line for each model if none passes.
    """
    check(request)
    past = read_past(request.step, request.history, policy.steps, catalogue)
    limits = read_limits(request, past, catalogue)
    candidates, exclusions = find_candidates(request.task, limits, policy, catalogue)
    if not candidates:
        raise no_route(exclusions)

    depth = 0 if request.step == route_pb2.STEP_RESET else request.task.lineage.depth
    rules = matching(policy.rules, Facts(request.task, limits.count, depth))
    chain_action = _chain_action(rules, request.task)
    ordering = [rule for rule in rules if rule.chain is None or chain_action == route_pb2.CHAIN_ACTION_ESCALATE]
    by_rule = [rule_criterion(rule, policy) for rule in ordering]
    criteria = [
        *past_criteria(past),
        *_step_criteria(request.step, policy),
        *by_rule,
        preference_criterion(request.task.constraints.preference),
    ]
    order = ranked(candidates, criteria)
    routes = [_route(order, index, criteria, by_rule) for index in range(len(order))]
    reason = routes[0].reasons[0] + _first_choice_out(order[0], ordering, exclusions)
    routes[0].reasons[0] = reason
    return route_pb2.Decision(
        decision_id=request.decision_id,
        step=request.step,
        routes=routes,
        exclusions=exclusions,
        reason=reason,
        rule_ids=[rule.id for rule in rules],
        policy_version=policy.version,
        catalogue_version=catalogue.version,
        confidence=_confidence(order, ordering, by_rule, policy),
        propensity=1.0,
        chain_action=chain_action,
    )


def _chain_action(rules: Sequence[Rule], task: task_pb2.Task) -> route_pb2.ChainAction.ValueType:
    for rule in rules:
        if rule.chain is not None:
            clean = bool(task.lineage.anchor.digest)
            enough = len(task.lineage.instructions) >= rule.chain.min_instructions
            return route_pb2.CHAIN_ACTION_RESET if clean and enough else route_pb2.CHAIN_ACTION_ESCALATE
    return route_pb2.CHAIN_ACTION_UNSPECIFIED


def _step_criteria(step: route_pb2.Step.ValueType, policy: Policy) -> list[Criterion]:
    next_tier = step == route_pb2.STEP_ESCALATION and policy.steps.escalation_order == "cheapest"
    return [next_tier_criterion()] if next_tier else []


def _route(
    order: Sequence[Candidate], index: int, criteria: Sequence[Criterion], by_rule: Sequence[Criterion]
) -> route_pb2.Route:
    candidate = order[index]
    first = deciding(order, index, criteria)
    others = [words for words in (rule.words(candidate) for rule in by_rule) if words != first]
    return route_pb2.Route(
        provider=candidate.model.provider,
        model=candidate.model.id,
        tier=candidate.model.tier,
        parameters=candidate.parameters,
        estimates=candidate.estimates,
        reasons=[first if index == 0 else f"after {order[index - 1].model.id}: {first}", *others],
        negotiations=candidate.negotiations,
    )


def _first_choice_out(chosen: Candidate, ordering: Sequence[Rule], exclusions: Sequence[route_pb2.Exclusion]) -> str:
    """Say why the leading rule's first choice is not there, if it is a model and it is not."""
    first = ordering[0].prefer[0] if ordering and ordering[0].prefer else None
    if first is None or selects(first, chosen):
        return ""
    for exclusion in exclusions:
        if exclusion.model == first.model:
            why = route_pb2.ExclusionReason.Name(exclusion.reason).removeprefix("EXCLUSION_REASON_")
            return f"; {exclusion.model} is out: {why}, {exclusion.detail}"
    return ""


def _confidence(
    order: Sequence[Candidate], ordering: Sequence[Rule], by_rule: Sequence[Criterion], policy: Policy
) -> float:
    if not ordering:
        return policy.confidence.no_rule
    leading, chosen = ordering[0], order[0]
    sure = leading.confidence
    if leading.prefer and not selects(leading.prefer[0], chosen):
        sure *= policy.confidence.not_first_choice
    if any(criterion.key(chosen) > min(criterion.key(each) for each in order) for criterion in by_rule[1:]):
        sure *= policy.confidence.contested
    return round(sure, 4)
