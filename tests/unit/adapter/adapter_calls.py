"""Calls and requests as the tests need them; the routes' parameters are the caller's."""

from __future__ import annotations

import uuid
from typing import Any

from imagerouter.adapter.provider import Call, Picture
from imagerouter.api.adapter.v1 import adapter_service_pb2
from imagerouter.api.common.v1 import attempt_pb2, route_pb2, task_pb2
from imagerouter.catalogue import load_catalogue

CATALOGUE = load_catalogue()
UPPER = 987_654
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 24


def make_request(
    model: str = "gpt-image-2",
    *,
    prompt: str = "a cat",
    tenant: str = "acme",
    previews: int = 0,
    mode: task_pb2.Mode.ValueType = task_pb2.MODE_GENERATE,
    **parameters: Any,
) -> adapter_service_pb2.GenerateRequest:
    """A valid request for one image of `model`."""
    return adapter_service_pb2.GenerateRequest(
        attempt_id=str(uuid.uuid4()),
        task=task_pb2.Task(tenant=tenant, mode=mode, prompt=prompt),
        route=route_pb2.Route(
            provider=CATALOGUE.get(model).provider,
            model=model,
            parameters=route_pb2.RouteParameters(**{"count": 1, **parameters}),
            estimates=route_pb2.Estimates(upper_cost_micros=UPPER),
        ),
        previews=previews,
    )


def make_call(
    model: str = "gpt-image-2",
    *,
    references: tuple[Picture, ...] = (),
    mask: Picture | None = None,
    read_timeout_s: float = 5.0,
    **wish: Any,
) -> Call:
    """The call of such a request."""
    request = make_request(model, **wish)
    return Call(
        attempt_id=request.attempt_id,
        task=request.task,
        route=request.route,
        model=CATALOGUE.get(model),
        references=references,
        mask=mask,
        previews=request.previews,
        read_timeout_s=read_timeout_s,
    )


def words_of(outcome: attempt_pb2.Outcome) -> tuple[str, str]:
    """Kind and phase, short."""
    return (
        attempt_pb2.OutcomeKind.Name(outcome.kind).removeprefix("OUTCOME_KIND_"),
        attempt_pb2.Phase.Name(outcome.phase).removeprefix("PHASE_"),
    )
