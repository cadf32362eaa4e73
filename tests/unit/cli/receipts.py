"""A receipt built by hand: its decisions, attempts and hops, so that a test says only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images

BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def empty(state: str = "SUCCEEDED") -> images.Image:
    """An image to which nothing has happened; its row was written 0.2 s after its call came in."""
    image = images.Image(
        name="images/i",
        state=images.ImageState.Value(f"IMAGE_STATE_{state}"),
        task=task_pb2.Task(mode=task_pb2.MODE_GENERATE, output=task_pb2.OutputSpec(count=1, aspect_ratio="4:5")),
    )
    image.create_time.FromDatetime(BEGAN + timedelta(seconds=0.2))
    return image


def hop(image: images.Image, at_s: float, call: str, *, attempt: str = "", code: str = "OK", ms: int = 5) -> None:
    """Add a call: `call` is "service.Method"."""
    service, _, method = call.rpartition(".")
    made = image.receipt.hops.add(service=service, method=method, attempt_id=attempt, code=code)
    made.start_time.FromDatetime(BEGAN + timedelta(seconds=at_s))
    made.duration.FromMilliseconds(ms)


def decision(image: images.Image, name: str, step: str, *models: str, reason: str = "") -> route_pb2.Decision:
    """Add a decision for these models, the first chosen."""
    made = image.receipt.decisions.add(
        decision_id=name,
        step=route_pb2.Step.Value(f"STEP_{step}"),
        reason=reason or f"why {name}",
        policy_version="p1",
        rule_ids=["text-heavy"],
        confidence=0.75,
    )
    for model in models:
        made.routes.add(
            provider="openai",
            model=model,
            parameters=route_pb2.RouteParameters(size="1024x1280", quality="medium", count=1),
            estimates=route_pb2.Estimates(
                cost_micros=41_000, latency_p50_ms=9_000, latency_p95_ms=20_000, p_accept=0.6
            ),
            reasons=[f"why {model}"],
        )
    return made


def attempt(
    image: images.Image,
    name: str,
    of: str,
    model: str,
    at_s: float,
    *,
    kind: str = "SUCCEEDED",
    phase: str = "CHARGED",
    cost: int = 39_000,
    step: str = "INITIAL",
) -> attempt_pb2.Attempt:
    """Add an attempt of the decision `of`, with its call to the adapter."""
    made = image.receipt.attempts.add(
        attempt_id=name,
        decision_id=of,
        number=len(image.receipt.attempts) + 1,
        step=route_pb2.Step.Value(f"STEP_{step}"),
        route=route_pb2.Route(provider="openai", model=model),
        outcome=attempt_pb2.Outcome(
            kind=attempt_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{kind}"),
            phase=attempt_pb2.Phase.Value(f"PHASE_{phase}"),
            cost_micros=cost,
        ),
    )
    made.create_time.FromDatetime(BEGAN + timedelta(seconds=at_s))
    made.outcome.timing.provider_duration.FromMilliseconds(900)
    hop(image, at_s + 0.01, "adapter-openai.Generate", attempt=name, ms=1000)
    image.receipt.cost_micros += cost
    return made


def verdict(image: images.Image, of: str, word: str, at_s: float, **checks: tuple[bool, str]) -> None:
    """Add what was found about an attempt, with its call; checks are by name: whether passed, and the detail."""
    made = image.receipt.evaluations.add(
        attempt_id=of, verdict=evaluation_pb2.Verdict.Value(f"VERDICT_{word}"), reason=f"because of {of}", p_accept=0.5
    )
    output = made.outputs.add(accepted=word == "ACCEPT")
    for name, (passed, detail) in checks.items():
        output.checks.add(name=name, passed=passed, detail=detail)
    hop(image, at_s, "evaluator.Evaluate", attempt=of)


def escalated() -> images.Image:
    """Two decisions: the first one's picture was blank, the second one's was good."""
    image = empty()
    hop(image, 0.0, "normalizer.Normalize")
    hop(image, 0.1, "router.Route", ms=11)
    decision(image, "d1", "INITIAL", "mini", "large").exclusions.add(
        model="slow", reason=route_pb2.EXCLUSION_REASON_LATENCY, detail="45 s > 8 s"
    )
    attempt(image, "a1", "d1", "mini", 0.3, cost=5_000)
    verdict(image, "a1", "ESCALATE", 1.4, blank=(False, "one colour"), format=(True, "png"))
    hop(image, 1.5, "router.Route", ms=22)
    decision(image, "d2", "ESCALATION", "large")
    attempt(image, "a2", "d2", "large", 1.6, step="ESCALATION")
    verdict(image, "a2", "ACCEPT", 2.7, blank=(True, "many colours"))
    image.artifacts.add(digest="ab" * 32)
    image.end_time.FromDatetime(BEGAN + timedelta(seconds=3))
    return image
