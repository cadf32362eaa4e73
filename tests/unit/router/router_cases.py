"""Requests for the router's tests, short to write."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANCHOR = artifact_pb2.ArtifactRef(digest="a" * 64, size_bytes=1000, media_type="image/png")


def stamp(moment: datetime) -> Timestamp:
    """Turn a point in time into a message."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def references(count: int, size_bytes: int = 1_000_000) -> list[task_pb2.Reference]:
    """Make references of 1024 x 1024 pixels."""
    return [
        task_pb2.Reference(
            artifact=artifact_pb2.ArtifactRef(digest=f"{number:064x}", size_bytes=size_bytes, media_type="image/png"),
            dimensions=artifact_pb2.MediaDimensions(width=1024, height=1024),
        )
        for number in range(count)
    ]


def generate(prompt: str = "a lighthouse at dusk", **fields: object) -> task_pb2.Task:
    """Make a task from words. `fields` are the task's; `features`, `constraints` and `output` may be dicts."""
    return _task(task_pb2.MODE_GENERATE, prompt, fields)


def edit(prompt: str = "make the sky red", count: int = 1, **fields: object) -> task_pb2.Task:
    """Make an edit of `count` references."""
    fields.setdefault("references", references(count))
    task = _task(task_pb2.MODE_EDIT, prompt, fields)
    task.features.has_references = True
    return task


def chain(depth: int, instructions: int, *, anchored: bool = True) -> task_pb2.Task:
    """Make an edit at a depth of a chain."""
    lineage = task_pb2.Lineage(
        parent="images/p", depth=depth, instructions=["brighter"] * instructions, anchor=ANCHOR if anchored else None
    )
    return edit(lineage=lineage)


def request(
    task: task_pb2.Task, step: route_pb2.Step.ValueType = route_pb2.STEP_INITIAL, **fields: object
) -> router_service_pb2.RouteRequest:
    """Ask for a decision on 2026-11-22."""
    fields.setdefault("decision_id", "3b1f8a52-0000-4000-8000-000000000000")
    fields.setdefault("now", stamp(NOW))
    return router_service_pb2.RouteRequest(task=task, step=step, **fields)


def tried(
    route: route_pb2.Route,
    outcome: str = "SUCCEEDED",
    verdict: evaluation_pb2.Verdict.ValueType = evaluation_pb2.VERDICT_UNSPECIFIED,
) -> router_service_pb2.AttemptSummary:
    """Summarise an attempt."""
    kind = attempt_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{outcome}")
    return router_service_pb2.AttemptSummary(route=route, outcome=kind, verdict=verdict)


def on(model: str, provider: str, quality: str = "") -> route_pb2.Route:
    """Name a route that was tried."""
    return route_pb2.Route(
        model=model, provider=provider, parameters=route_pb2.RouteParameters(quality=quality, count=1)
    )


def models(decision: route_pb2.Decision) -> list[str]:
    """List the decision's models in order."""
    return [route.model for route in decision.routes]


def excluded(decision: route_pb2.Decision) -> dict[str, tuple[str, str]]:
    """Map the models left out to reason and detail."""
    return {
        each.model: (route_pb2.ExclusionReason.Name(each.reason).removeprefix("EXCLUSION_REASON_"), each.detail)
        for each in decision.exclusions
    }


def _task(mode: task_pb2.Mode.ValueType, prompt: str, fields: dict[str, object]) -> task_pb2.Task:
    output = {"count": 1, "aspect_ratio": "1:1", "size_tier": "SIZE_TIER_1K", "format": "OUTPUT_FORMAT_PNG"}
    given = fields.pop("output", {})
    assert isinstance(given, dict)
    return task_pb2.Task(mode=mode, prompt=prompt, output=task_pb2.OutputSpec(**(output | given)), **fields)
