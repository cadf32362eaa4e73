"""The order of routes that pass: criteria, applied one after the other, and the words for each.

Lexicographic on purpose: the first criterion that tells two routes apart decides, later ones only break its ties.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagerouter.api.common.v1 import task_pb2
from imagerouter.router.candidates import Candidate
from imagerouter.router.history import Past
from imagerouter.router.policy import Policy, Rule, Selector

Key = tuple[float, ...]


@dataclass(frozen=True)
class Criterion:
    """One criterion: smaller keys stand first; `words` says where a candidate stands by it."""

    key: Callable[[Candidate], Key]
    words: Callable[[Candidate], str]


def ranked(candidates: Sequence[Candidate], criteria: Sequence[Criterion]) -> list[Candidate]:
    """Sort by the criteria; what they leave equal by tier and model id, so that no accident of order shows."""
    return sorted(
        candidates,
        key=lambda each: (*(criterion.key(each) for criterion in criteria), (each.model.tier,), each.model.id),
    )


def deciding(order: Sequence[Candidate], index: int, criteria: Sequence[Criterion]) -> str:
    """Say why a route stands where it stands: what puts the first before others, or another after the one above it."""
    candidate = order[index]
    others = order[1:] if index == 0 else order[index - 1 : index]
    for criterion in criteria:
        if any(criterion.key(candidate) != criterion.key(other) for other in others):
            return criterion.words(candidate)
    return "the only model that passes the hard constraints" if not others else "equal but for tier and name"


def rule_criterion(rule: Rule, policy: Policy) -> Criterion:
    """The criterion that a rule comes to."""
    if rule.prefer is not None:
        selectors = rule.prefer
        return Criterion(
            key=lambda each: (_choice(selectors, each),),
            words=lambda each: f"{rule.id}: {rule.reason} ({_choice_words(selectors, each)})",
        )
    if rule.order == "lowest_tier":
        bar = policy.adequacy.min_p_accept
        return Criterion(
            key=lambda each: (float(each.estimates.p_accept < bar), each.model.tier),
            words=lambda each: f"{rule.id}: {rule.reason} ({_tier_words(each, bar)})",
        )
    return Criterion(
        key=lambda each: (-each.model.tier,), words=lambda each: f"{rule.id}: {rule.reason} (tier {each.model.tier})"
    )


def past_criteria(past: Past) -> list[Criterion]:
    """The criteria that former attempts come to; they stand before the rules'."""
    criteria: list[Criterion] = []
    if past.repeat is not None:
        repeated = past.repeat.model
        criteria.append(
            Criterion(
                key=lambda each: (float(each.model.id != repeated),),
                words=lambda each: (
                    "the same route again" if each.model.id == repeated else f"in place of {repeated}, tried before"
                ),
            )
        )
    if past.avoid_provider:
        avoided = past.avoid_provider
        criteria.append(
            Criterion(
                key=lambda each: (float(each.model.provider == avoided),),
                words=lambda each: (
                    f"{avoided} has just failed"
                    if each.model.provider == avoided
                    else f"{avoided} has just failed: other"
                ),
            )
        )
    if past.above_tier:
        missed = past.above_tier
        criteria.append(
            Criterion(
                key=lambda each: (float(each.model.tier <= missed),),
                words=lambda each: f"tier {each.model.tier}, where tier {missed} missed the quality bar",
            )
        )
    return criteria


def next_tier_criterion() -> Criterion:
    """Give an escalation that takes the next tier up."""
    return Criterion(key=lambda each: (each.model.tier,), words=lambda each: f"the next tier up ({each.model.tier})")


def preference_criterion(preference: task_pb2.Preference.ValueType) -> Criterion:
    """The caller's preference; balanced is estimated quality per dollar, ties by median latency."""
    if preference == task_pb2.PREFERENCE_COST:
        return Criterion(
            key=lambda each: (each.micros_per_image, each.estimates.latency_p50_ms),
            words=lambda each: f"cheapest first: {_dollars(each)} an image",
        )
    if preference == task_pb2.PREFERENCE_LATENCY:
        return Criterion(
            key=lambda each: (each.estimates.latency_p50_ms, each.micros_per_image),
            words=lambda each: f"fastest first: p50 {each.estimates.latency_p50_ms} ms",
        )
    if preference == task_pb2.PREFERENCE_QUALITY:
        return Criterion(
            key=lambda each: (-each.estimates.p_accept, each.micros_per_image),
            words=lambda each: f"likeliest to be accepted first: {each.estimates.p_accept:.2f} by leaderboards",
        )
    return Criterion(
        key=lambda each: (-_per_dollar(each), each.estimates.latency_p50_ms),
        words=lambda each: f"quality per dollar: p_accept {each.estimates.p_accept:.2f} at {_dollars(each)} an image",
    )


def selects(selector: Selector, candidate: Candidate) -> bool:
    """Say whether a selector means this candidate's model."""
    model = candidate.model
    return (
        selector.model in (None, model.id)
        and selector.family in (None, model.family)
        and selector.provider in (None, model.provider)
        and selector.tier in (None, model.tier)
    )


def _choice(selectors: Sequence[Selector], candidate: Candidate) -> int:
    for index, selector in enumerate(selectors):
        if selects(selector, candidate):
            return index
    return len(selectors)


def _choice_words(selectors: Sequence[Selector], candidate: Candidate) -> str:
    index = _choice(selectors, candidate)
    if index == len(selectors):
        return "none of its choices"
    return f"choice {index + 1}: {selectors[index].label()}"


def _tier_words(candidate: Candidate, bar: float) -> str:
    short = f", not adequate: p_accept below {bar}" if candidate.estimates.p_accept < bar else ""
    return f"tier {candidate.model.tier}{short}"


def _per_dollar(candidate: Candidate) -> float:
    return candidate.estimates.p_accept / max(candidate.micros_per_image, 1.0)


def _dollars(candidate: Candidate) -> str:
    return f"${candidate.micros_per_image / 1_000_000:.4f}"
