"""What former attempts of an image mean for the next decision, by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Catalogue, Model
from imagerouter.router.policy import Steps

_REPEATS = (route_pb2.STEP_RETRY, route_pb2.STEP_CONTINUE)
_NOT_FAILED = (attempt_pb2.OUTCOME_KIND_SUCCEEDED, attempt_pb2.OUTCOME_KIND_CANCELLED)


@dataclass(frozen=True)
class Past:
    """What follows from the history.

    `out` maps model ids to why they are out. `repeat` is the route to repeat, if any. `above_tier` is the tier that a
    fallback should stay above because it missed the quality bar, 0 for none. `avoid_provider` failed just now and is
    used only if no other can do it.
    """

    out: Mapping[str, str] = field(default_factory=dict)
    repeat: route_pb2.Route | None = None
    above_tier: int = 0
    avoid_provider: str = ""


def read_past(
    step: route_pb2.Step.ValueType,
    history: Sequence[router_service_pb2.AttemptSummary],
    steps: Steps,
    catalogue: Catalogue,
) -> Past:
    """Draw the conclusions for `step`; `history` is oldest first and not empty for every step but INITIAL and RESET."""
    out = _out_for_good(history, steps, catalogue)
    if step in _REPEATS and history:
        return Past(out=out, repeat=_to_repeat(step, history).route)
    if step == route_pb2.STEP_FALLBACK:
        for summary in history:
            if summary.outcome not in _NOT_FAILED:
                out.setdefault(summary.route.model, f"failed before: {_outcome(summary)}")
            elif summary.verdict == evaluation_pb2.VERDICT_ESCALATE:
                out.setdefault(summary.route.model, "missed the quality bar before")
        missed = [_tier(each, catalogue) for each in history if each.verdict == evaluation_pb2.VERDICT_ESCALATE]
        last = history[-1]
        avoid = last.route.provider if _outcome(last) in steps.other_provider_after else ""
        return Past(out=out, above_tier=max(missed, default=0), avoid_provider=avoid)
    if step == route_pb2.STEP_ESCALATION:
        for summary in history:
            out.setdefault(summary.route.model, "tried before")
        tier = _tier(history[-1], catalogue)
        for model in catalogue.models:
            if model.tier <= tier:
                out.setdefault(model.id, f"tier {model.tier}, above {tier} wanted")
    return Past(out=out)


def _out_for_good(
    history: Sequence[router_service_pb2.AttemptSummary], steps: Steps, catalogue: Catalogue
) -> dict[str, str]:
    out: dict[str, str] = {}
    for summary in history:
        outcome = _outcome(summary)
        if outcome in steps.model_out_after:
            out.setdefault(summary.route.model, f"failed before: {outcome}")
        if outcome in steps.provider_out_after:
            for model in catalogue.of_provider(summary.route.provider):
                out.setdefault(model.id, f"its provider failed before: {outcome}")
    return out


def _to_repeat(
    step: route_pb2.Step.ValueType, history: Sequence[router_service_pb2.AttemptSummary]
) -> router_service_pb2.AttemptSummary:
    """Pick the attempt to repeat: the last, but to continue the last whose output was accepted."""
    accepted = [each for each in history if each.verdict == evaluation_pb2.VERDICT_ACCEPT]
    return accepted[-1] if step == route_pb2.STEP_CONTINUE and accepted else history[-1]


def _tier(summary: router_service_pb2.AttemptSummary, catalogue: Catalogue) -> int:
    row = catalogue.find(summary.route.model)
    return row.tier if isinstance(row, Model) else summary.route.tier


def _outcome(summary: router_service_pb2.AttemptSummary) -> str:
    return attempt_pb2.OutcomeKind.Name(summary.outcome).removeprefix("OUTCOME_KIND_")
