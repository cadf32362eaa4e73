"""What a GenerateRequest must be before anything is begun. Pure."""

from __future__ import annotations

from uuid import UUID

from imagerouter.api.adapter.v1 import adapter_service_pb2
from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.catalogue import Catalogue, Model
from imagerouter.runtime.context import DEFAULT_TENANT
from imagerouter.runtime.errors import InvalidField
from imagerouter.storage import is_tenant

MAX_PREVIEWS = 3


def check_request(
    request: adapter_service_pb2.GenerateRequest, *, provider: str, tenant: str, catalogue: Catalogue
) -> Model:
    """Return the route's model, or raise InvalidField for the first field that is wrong.

    `tenant` is whom the call's metadata speaks for: a task of another tenant is refused, unless it names none.
    """
    _check_attempt_id(request.attempt_id)
    _require(request.HasField("task"), "task", "is required")
    _check_task(request.task, tenant)
    _require(request.HasField("route"), "route", "is required")
    _require(0 <= request.previews <= MAX_PREVIEWS, "previews", f"must be 0 to {MAX_PREVIEWS}")
    return _check_route(request.route, provider, catalogue)


def _check_attempt_id(attempt_id: str) -> None:
    _require(bool(attempt_id), "attempt_id", "is required")
    try:
        canonical = str(UUID(attempt_id))
    except ValueError:
        canonical = ""
    _require(attempt_id == canonical, "attempt_id", "must be a UUID in lowercase with hyphens")


def _check_task(task: task_pb2.Task, tenant: str) -> None:
    _require(is_tenant(task.tenant), "task.tenant", "is required")
    _require(tenant in (task.tenant, DEFAULT_TENANT), "task.tenant", "is not the tenant that the call speaks for")
    modes = (task_pb2.MODE_GENERATE, task_pb2.MODE_EDIT)
    _require(task.mode in modes, "task.mode", "must be settled: GENERATE or EDIT")
    _require(bool(task.prompt), "task.prompt", "is required")
    _require(bool(task.references) or task.mode != task_pb2.MODE_EDIT, "task.references", "an edit needs one")


def _check_route(route: route_pb2.Route, provider: str, catalogue: Catalogue) -> Model:
    _require(bool(route.provider), "route.provider", "is required")
    _require(route.provider == provider, "route.provider", f"this adapter serves {provider}")
    _require(bool(route.model), "route.model", "is required")
    try:
        model = catalogue.get(route.model)
    except KeyError as error:
        raise InvalidField("route.model", "is not in the catalogue", reason="UNKNOWN_MODEL") from error
    if model.provider != provider:
        raise InvalidField("route.model", f"is not a model of {provider}", reason="UNKNOWN_MODEL")
    _require(route.HasField("parameters"), "route.parameters", "is required")
    _require(route.parameters.count >= 1, "route.parameters.count", "must be 1 or more")
    _require(
        route.estimates.upper_cost_micros > 0,
        "route.estimates.upper_cost_micros",
        "is required: it is what an answer without usage is taken to cost",
    )
    return model


def _require(holds: bool, field: str, description: str) -> None:
    if not holds:
        raise InvalidField(field, description)
