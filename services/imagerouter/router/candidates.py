"""Hard constraints: which models can do a task within time and money, and with which parameters.

Constraints are looked at in a fixed order, and a model is excluded for the first it fails: offered, allowed,
capabilities, time, money, history, availability. A model comes out as one Candidate (at one quality) or one Exclusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.catalogue import Catalogue, Model, Status, pricing
from imagerouter.catalogue.priors import PriorClass
from imagerouter.router.capabilities import Ability, Inability, ability
from imagerouter.router.policy import Level, Policy
from imagerouter.router.qualities import Setting, settings_for

_CLASSES: Mapping[task_pb2.ContentClass.ValueType, PriorClass] = {
    task_pb2.CONTENT_CLASS_STRUCTURED_TEXT: "structured_text",
    task_pb2.CONTENT_CLASS_PHOTOREAL: "photoreal",
    task_pb2.CONTENT_CLASS_CREATIVE: "creative",
}


@dataclass(frozen=True)
class Limits:
    """What a decision is bound by. `time_ms` and `money_micros` are None where there is no limit.

    `allowed` are the model ids that the caller named, empty for any; `history` and `unavailable` map a model id to the
    reason for which it is out; `quality` is a setting to keep to, by model id (a repetition of a former route).
    """

    day: date
    time_ms: int | None
    money_micros: int | None
    count: int
    allowed: frozenset[str]
    history: Mapping[str, str]
    unavailable: Mapping[str, str]
    quality: Mapping[str, str]


@dataclass(frozen=True)
class Candidate:
    """A model that passes, with what would be asked of it."""

    model: Model
    setting: Setting
    exact: bool
    parameters: route_pb2.RouteParameters
    estimates: route_pb2.Estimates
    negotiations: tuple[task_pb2.Negotiation, ...]

    @property
    def micros_per_image(self) -> float:
        """Expected micro-dollars of one image: attempts differ in how many they make."""
        return self.estimates.cost_micros / self.parameters.count


def find_candidates(
    task: task_pb2.Task, limits: Limits, policy: Policy, catalogue: Catalogue
) -> tuple[list[Candidate], list[route_pb2.Exclusion]]:
    """Sort the catalogue's models into candidates and exclusions, both by model id."""
    candidates: list[Candidate] = []
    exclusions: list[route_pb2.Exclusion] = []
    for model in sorted(catalogue.models, key=lambda row: row.id):
        found = _candidate(model, task, limits, policy, catalogue)
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            exclusions.append(found)
    if any(candidate.exact for candidate in candidates):
        for candidate in [each for each in candidates if not each.exact]:
            candidates.remove(candidate)
            drawn = f"{candidate.parameters.expected_width}x{candidate.parameters.expected_height}"
            asked = f"{task.output.width}x{task.output.height}"
            exclusions.append(_out(candidate.model, "CAPABILITY", f"draws {drawn} at the closest, {asked} asked"))
    for row in catalogue.retired:
        if row.id in limits.allowed:
            detail = f"retired {row.shutdown_at}, replaced by {row.replacement}"
            exclusions.append(
                route_pb2.Exclusion(model=row.id, reason=route_pb2.EXCLUSION_REASON_NOT_ACTIVE, detail=detail)
            )
    return candidates, sorted(exclusions, key=lambda exclusion: exclusion.model)


def prior_class(task: task_pb2.Task) -> PriorClass:
    """The class of leaderboard rows that says most about a task."""
    if task.mode == task_pb2.MODE_EDIT or task.references:
        return "compose" if len(task.references) > 1 else "edit"
    return _CLASSES.get(task.content_class, "general")


def _candidate(
    model: Model, task: task_pb2.Task, limits: Limits, policy: Policy, catalogue: Catalogue
) -> Candidate | route_pb2.Exclusion:
    named = model.id in limits.allowed
    if limits.allowed and not named:
        idle = _not_active(model, limits.day, policy.eligibility.statuses)
        return _out(model, "NOT_ACTIVE", idle) if idle else _out(model, "NOT_ALLOWED", "not in constraints.models")
    statuses = policy.eligibility.named_statuses if named else policy.eligibility.statuses
    idle = _not_active(model, limits.day, statuses)
    if idle:
        return _out(model, "NOT_ACTIVE", idle)
    able = ability(model, task, policy.eligibility.ratio_tolerance)
    if isinstance(able, Inability):
        return _out(model, "CAPABILITY", able.detail)
    able_at = settings_for(model, task, limits.quality.get(model.id), policy.quality.when_open)
    if not able_at:
        return _out(model, "CAPABILITY", "has no setting for the quality asked")
    priced = [_priced(model, setting, task, able, limits.count, catalogue) for setting in able_at]
    in_time = [each for each in priced if _fits(each.estimates.latency_p50_ms, limits.time_ms)]
    if not in_time:
        figures = ", ".join(_figure(each, f"{each.estimates.latency_p50_ms} ms") for each in priced)
        return _out(model, "LATENCY", f"p50 {figures} > {limits.time_ms} ms left")
    in_money = [each for each in in_time if _fits(each.estimates.upper_cost_micros, limits.money_micros)]
    if not in_money:
        figures = ", ".join(_figure(each, f"{each.estimates.upper_cost_micros} micros") for each in in_time)
        return _out(model, "BUDGET", f"upper cost {figures} > {limits.money_micros} micros left")
    if model.id in limits.history:
        return _out(model, "HISTORY", limits.history[model.id])
    if model.id in limits.unavailable:
        return _out(model, "UNAVAILABLE", limits.unavailable[model.id])
    if task.output.quality == task_pb2.QUALITY_UNSPECIFIED:
        return _with_lowering_noted(in_money[0], priced, limits, policy.quality.when_open[0])
    return in_money[0]


def _not_active(model: Model, day: date, statuses: tuple[Status, ...]) -> str:
    dated = model.not_offered(day)
    if dated or model.status in statuses:
        return dated
    successor = f", replaced by {model.replacement}" if model.replacement else ""
    return f"{model.status} as of {model.evidence.as_of}{successor}"


def _priced(
    model: Model, setting: Setting, task: task_pb2.Task, able: Ability, count: int, catalogue: Catalogue
) -> Candidate:
    drawn = able.fit
    parameters = route_pb2.RouteParameters(
        size=drawn.size,
        aspect_ratio=drawn.aspect_ratio,
        image_size=drawn.image_size,
        quality=setting.quality.name,
        output_format=able.output_format,
        background=able.background,
        count=min(count, model.limits.count),
        expected_width=drawn.width,
        expected_height=drawn.height,
    )
    money = pricing.estimate(model, parameters, task)
    latency = setting.quality.latency[drawn.tier]
    # Without a knob there is one setting, whatever it is called for.
    rated = setting.level if setting.quality.name else "standard"
    estimates = route_pb2.Estimates(
        cost_micros=money.expected,
        upper_cost_micros=money.upper,
        latency_p50_ms=latency.p50_ms,
        latency_p95_ms=latency.p95_ms,
        p_accept=catalogue.priors.p_accept(model.id, prior_class(task), rated),
        calibrated=False,
    )
    negotiations = [*able.negotiations, *setting.negotiations]
    if count > parameters.count:
        negotiations.append(
            task_pb2.Negotiation(
                field="output.count",
                requested=str(count),
                applied=f"{parameters.count} a call",
                kind=task_pb2.NEGOTIATION_KIND_EMULATED,
                reason="the model makes no more in one call: the rest takes further calls",
                service="router",
            )
        )
    return Candidate(model, setting, drawn.exact, parameters, estimates, tuple(negotiations))


def _with_lowering_noted(chosen: Candidate, priced: Sequence[Candidate], limits: Limits, usual: Level) -> Candidate:
    """Say on a candidate that it is not at the usual level, and why: by how much that did not fit."""
    at_usual = next((each for each in priced if each.setting.level == usual), chosen)
    if chosen.setting.level == usual or at_usual is chosen:
        return chosen
    figures = at_usual.estimates
    if not _fits(figures.latency_p50_ms, limits.time_ms):
        why = f"{at_usual.setting.label} has p50 {figures.latency_p50_ms} ms > {limits.time_ms} ms left"
    elif not _fits(figures.upper_cost_micros, limits.money_micros):
        why = f"{at_usual.setting.label} costs up to {figures.upper_cost_micros} micros > {limits.money_micros} left"
    else:
        why = "as in the attempt before"
    lowered = task_pb2.Negotiation(
        field="output.quality",
        applied=chosen.setting.label,
        kind=task_pb2.NEGOTIATION_KIND_DEFAULTED,
        reason=why,
        service="router",
    )
    return replace(chosen, negotiations=(*chosen.negotiations, lowered))


def _figure(candidate: Candidate, figure: str) -> str:
    name = candidate.setting.quality.name
    return f"{figure} ({name})" if name else figure


def _fits(value: int, limit: int | None) -> bool:
    return limit is None or value <= limit


def _out(model: Model, reason: str, detail: str) -> route_pb2.Exclusion:
    value = route_pb2.ExclusionReason.Value(f"EXCLUSION_REASON_{reason}")
    return route_pb2.Exclusion(model=model.id, reason=value, detail=detail)
