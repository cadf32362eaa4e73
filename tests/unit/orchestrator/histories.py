"""Short words for histories, so that a test reads as a table."""

from __future__ import annotations

from dataclasses import replace

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.orchestrator.loop import History, Tried

FREE = attempt_pb2.PHASE_REJECTED
CHARGED = attempt_pb2.PHASE_CHARGED
UNKNOWN = attempt_pb2.PHASE_SENT_UNKNOWN
NOT_SENT = attempt_pb2.PHASE_NOT_SENT


def route(model: str = "gpt-image-2", provider: str = "openai", upper: int = 60_000, count: int = 1) -> route_pb2.Route:
    """A route with just what the loop reads."""
    return route_pb2.Route(
        provider=provider,
        model=model,
        parameters=route_pb2.RouteParameters(count=count),
        estimates=route_pb2.Estimates(cost_micros=upper // 2, upper_cost_micros=upper),
    )


def failed(
    kind: str, phase: int, *, step: str = "INITIAL", model: str = "gpt-image-2", retry_after_s: float = 0
) -> Tried:
    """An attempt that the provider did not answer with an image."""
    outcome = attempt_pb2.Outcome(kind=f"OUTCOME_KIND_{kind}", phase=phase, message="x")
    if retry_after_s:
        outcome.retry_after.FromMilliseconds(int(retry_after_s * 1000))
    return Tried("a", "", route_pb2.Step.Value(f"STEP_{step}"), route(model), outcome)


def judged(
    verdict: str,
    *,
    accepted: int = 0,
    of: int = 1,
    kind: str = "SUCCEEDED",
    step: str = "INITIAL",
    model: str = "gpt-image-2",
) -> Tried:
    """An attempt whose output was looked at: `accepted` of `of` outputs passed."""
    outcome = attempt_pb2.Outcome(kind=f"OUTCOME_KIND_{kind}", phase=CHARGED, cost_micros=50_000)
    evaluation = evaluation_pb2.Evaluation(verdict=f"VERDICT_{verdict}", reason="a check")
    for index in range(of):
        ref = artifact_pb2.ArtifactRef(digest=f"{index:064x}", size_bytes=1)
        evaluation.outputs.add(artifact=ref, accepted=index < accepted)
    return Tried("a", "", route_pb2.Step.Value(f"STEP_{step}"), route(model), outcome, evaluation)


def history(
    *tried: Tried, wanted: int = 1, side_by_side: int = 1, in_chain: bool = False, cancelled: bool = False
) -> History:
    """What happened to an image: each attempt by a decision of its own, the last `side_by_side` by one together."""
    first = len(tried) - side_by_side
    decided = tuple(replace(each, decision_id=f"d{min(index, first)}") for index, each in enumerate(tried))
    return History(wanted, decided, in_chain, cancelled)
