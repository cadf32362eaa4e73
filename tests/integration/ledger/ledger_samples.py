"""Small true-to-life messages for the ledger's tests, and one call to get an image under way."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import Created, Ledger, PlannedAttempt

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
TENANT = "acme"
OWNER = "replica-1"
PROMPT = "a lighthouse at dusk, canary-5f3a"
RUNNING = images_service_pb2.IMAGE_STATE_RUNNING
SUCCEEDED = images_service_pb2.IMAGE_STATE_SUCCEEDED
FAILED = images_service_pb2.IMAGE_STATE_FAILED
CANCELLED = images_service_pb2.IMAGE_STATE_CANCELLED


def new_id() -> str:
    """Give a fresh id."""
    return str(uuid.uuid4())


def later(seconds: float) -> datetime:
    """Give a time after NOW."""
    return NOW + timedelta(seconds=seconds)


def task(**changes: Any) -> task_pb2.Task:
    """Give a task with a prompt that can be searched for."""
    return task_pb2.Task(**{"tenant": TENANT, "mode": task_pb2.MODE_GENERATE, "prompt": PROMPT, **changes})


async def create(ledger: Ledger, **changes: Any) -> Created:
    """Create an image, and insist that it is new."""
    made = await ledger.create_image(**arguments(**changes))
    assert isinstance(made, Created)
    return made


def arguments(**changes: Any) -> dict[str, Any]:
    """Give the arguments of `create_image`."""
    return {
        "image_id": new_id(),
        "tenant": TENANT,
        "request_id": "",
        "fingerprint": b"payload",
        "task": task(),
        "labels": {},
        "create_time": NOW,
        "deadline": later(900),
        "budget_micros": None,
        "trace_id": "",
        "parent": "",
        "owner": OWNER,
        "lease_until": later(30),
        **changes,
    }


def route(**changes: Any) -> route_pb2.Route:
    """Give a route."""
    return route_pb2.Route(**{"provider": "openai", "model": "gpt-image-2", "tier": 2, **changes})


def decision(**changes: Any) -> route_pb2.Decision:
    """Give a decision for one route."""
    given = {
        "decision_id": new_id(),
        "step": route_pb2.STEP_INITIAL,
        "routes": [route()],
        "policy_version": "2026-11-22.1",
        "propensity": 1.0,
    }
    return route_pb2.Decision(**{**given, **changes})


def planned(number: int = 1, reserved_micros: int = 50_000, **changes: Any) -> PlannedAttempt:
    """Give an attempt to plan."""
    given = {"attempt_id": new_id(), "step": route_pb2.STEP_INITIAL, "route": route()}
    return PlannedAttempt(**{**given, "number": number, "reserved_micros": reserved_micros, **changes})


async def plan(ledger: Ledger, image: Created, number: int = 1, reserved_micros: int = 50_000) -> str:
    """Record a decision with one attempt, and give the attempt's id."""
    attempt = planned(number, reserved_micros)
    await ledger.record_decision_and_attempts(image.image_id, decision(), [attempt], NOW, image.epoch)
    return attempt.attempt_id


async def send(ledger: Ledger, image: Created, number: int = 1, reserved_micros: int = 50_000) -> str:
    """Record a decision with one attempt, mark it sent, and give its id."""
    attempt_id = await plan(ledger, image, number, reserved_micros)
    await ledger.mark_sent(attempt_id, NOW, image.epoch)
    return attempt_id


def artifact(content: str = "a") -> artifact_pb2.ArtifactRef:
    """Give a ref."""
    return artifact_pb2.ArtifactRef(digest=content * 64, size_bytes=1000, media_type="image/png")


def succeeded(cost_micros: int = 42_000, **changes: Any) -> attempt_pb2.Outcome:
    """Give the outcome of a provider call that made an image."""
    given = {
        "kind": attempt_pb2.OUTCOME_KIND_SUCCEEDED,
        "phase": attempt_pb2.PHASE_CHARGED,
        "cost_micros": cost_micros,
        "artifacts": [artifact()],
    }
    return attempt_pb2.Outcome(**{**given, **changes})


def rejected() -> attempt_pb2.Outcome:
    """Give the outcome of a provider call that was turned away for free."""
    return attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_RATE_LIMITED, phase=attempt_pb2.PHASE_REJECTED)


def unknown() -> attempt_pb2.Outcome:
    """Give the outcome of a provider call that nobody heard back from."""
    return attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_TIMEOUT, phase=attempt_pb2.PHASE_SENT_UNKNOWN)


def evaluation(
    attempt_id: str, verdict: Any = evaluation_pb2.VERDICT_ACCEPT, p_accept: float = 0.9
) -> evaluation_pb2.Evaluation:
    """Give an evaluation."""
    return evaluation_pb2.Evaluation(attempt_id=attempt_id, verdict=verdict, p_accept=p_accept)
