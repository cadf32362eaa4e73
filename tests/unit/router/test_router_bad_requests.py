"""Requests that cannot be decided on are refused with the field named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.runtime.errors import InvalidField
from tests.unit.router.router_cases import edit, generate, on, request, tried

Decide = Callable[[router_service_pb2.RouteRequest], route_pb2.Decision]
Request = router_service_pb2.RouteRequest

BAD: dict[str, tuple[Request, str]] = {
    "nothing": (Request(), "decision_id"),
    "no task": (Request(decision_id="x"), "task"),
    "no time": (Request(decision_id="x", task=generate()), "now"),
    "no step": (request(generate(), route_pb2.STEP_UNSPECIFIED), "step"),
    "no mode": (request(task_pb2.Task(prompt="x")), "task.mode"),
    "unknown mode": (request(task_pb2.Task(mode=9)), "task.mode"),
    "unknown step": (request(generate(), 99), "step"),
    "unknown quality": (request(generate(output={"quality": 42})), "task.output.quality"),
    "unknown format": (request(generate(output={"format": 42})), "task.output.format"),
    "unknown outcome": (
        request(generate(), history=[router_service_pb2.AttemptSummary(outcome=77)]),
        "history[0].outcome",
    ),
    "retry of nothing": (request(generate(), route_pb2.STEP_RETRY), "history"),
    "escalation of nothing": (request(generate(), route_pb2.STEP_ESCALATION), "history"),
    "edit of nothing": (request(edit(references=[])), "task.references"),
    "ratio 0:0": (request(generate(output={"aspect_ratio": "0:0"})), "task.output.aspect_ratio"),
    "ratio 9:1": (request(generate(output={"aspect_ratio": "9:1"})), "task.output.aspect_ratio"),
    "one edge": (request(generate(output={"width": 640})), "task.output.aspect_ratio"),
    "negative count": (request(generate(output={"count": -1})), "task.output.count"),
    "count 10,000": (request(generate(), count=10_000), "count"),
    "negative budget": (request(generate(), budget_micros=-1), "budget_micros"),
    "negative latency": (request(generate(constraints={"max_latency_ms": -5})), "task.constraints.max_latency_ms"),
    "nothing out of order": (
        request(generate(), unavailable=[router_service_pb2.UnavailableModel(reason="?")]),
        "unavailable[0]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_names_the_field(decide: Decide, name: str) -> None:
    """The first field to blame is in the error, and nothing is decided."""
    asked, field = BAD[name]
    with pytest.raises(InvalidField) as caught:
        decide(asked)
    assert caught.value.fields[0].field == field


def test_an_unknown_model_is_named_by_its_place(decide: Decide) -> None:
    """A misspelt id is UNKNOWN_MODEL with its index, even beside known ones."""
    with pytest.raises(InvalidField) as caught:
        decide(request(generate(constraints={"models": ["gpt-image-2", "gpt-imagine"]})))
    assert caught.value.reason == "UNKNOWN_MODEL"
    assert caught.value.fields[0].field == "constraints.models[1]"


def test_history_may_name_models_that_are_gone(decide: Decide) -> None:
    """A row taken out of the catalogue does not break images that used it."""
    history = [tried(on("gone-model", "gone"), "PROVIDER_ERROR")]
    assert decide(request(generate(), route_pb2.STEP_FALLBACK, history=history)).routes
    assert decide(request(generate(), route_pb2.STEP_RETRY, history=history)).routes
    assert decide(request(generate(), route_pb2.STEP_ESCALATION, history=history)).routes
