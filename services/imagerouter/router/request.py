"""What a request must have for a decision to be possible, and what it binds the decision to."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.descriptor import EnumDescriptor

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Catalogue
from imagerouter.catalogue.sizes import read_wish
from imagerouter.router.candidates import Limits
from imagerouter.router.history import Past
from imagerouter.runtime.errors import InvalidField

_MAX_COUNT = 32
_MAX_RATIO = 8
_NEED_HISTORY = (
    route_pb2.STEP_RETRY,
    route_pb2.STEP_FALLBACK,
    route_pb2.STEP_ESCALATION,
    route_pb2.STEP_CONTINUE,
)


def check(request: router_service_pb2.RouteRequest) -> None:
    """Raise InvalidField for the first field that is missing, unknown or out of range."""
    task = request.task
    if not request.decision_id:
        raise InvalidField("decision_id", "is required")
    if not request.HasField("task"):
        raise InvalidField("task", "is required")
    if not request.HasField("now"):
        raise InvalidField("now", "is required: the router has no clock")
    _known(request.step, route_pb2.Step.DESCRIPTOR, "step", required=True)
    _known(task.mode, task_pb2.Mode.DESCRIPTOR, "task.mode", required=True)
    _known(task.edit_action, task_pb2.EditAction.DESCRIPTOR, "task.edit_action")
    _known(task.content_class, task_pb2.ContentClass.DESCRIPTOR, "task.content_class")
    _known(task.output.size_tier, task_pb2.SizeTier.DESCRIPTOR, "task.output.size_tier")
    _known(task.output.quality, task_pb2.Quality.DESCRIPTOR, "task.output.quality")
    _known(task.output.format, task_pb2.OutputFormat.DESCRIPTOR, "task.output.format")
    _known(task.output.background, task_pb2.Background.DESCRIPTOR, "task.output.background")
    _known(task.constraints.preference, task_pb2.Preference.DESCRIPTOR, "task.constraints.preference")
    for number, summary in enumerate(request.history):
        _known(summary.outcome, attempt_pb2.OutcomeKind.DESCRIPTOR, f"history[{number}].outcome")
        _known(summary.verdict, evaluation_pb2.Verdict.DESCRIPTOR, f"history[{number}].verdict")
    if request.step in _NEED_HISTORY and not request.history:
        raise InvalidField("history", f"{route_pb2.Step.Name(request.step)} needs the attempts so far")
    if task.mode == task_pb2.MODE_EDIT and not task.references:
        raise InvalidField("task.references", "an edit needs the image that it changes")
    _check_numbers(request)
    _check_size(task.output)


def read_limits(request: router_service_pb2.RouteRequest, past: Past, catalogue: Catalogue) -> Limits:
    """Work out what binds the decision: the tightest of every limit given. InvalidField for an unknown model."""
    task = request.task
    constraints = task.constraints
    now = request.now.ToDatetime(tzinfo=UTC)
    times = [constraints.max_latency_ms] if constraints.max_latency_ms else []
    if request.HasField("time_left_ms"):
        times.append(request.time_left_ms)
    if constraints.HasField("deadline"):
        times.append(_milliseconds(constraints.deadline.ToDatetime(tzinfo=UTC), now))
    money = [constraints.max_cost_micros] if constraints.max_cost_micros else []
    if request.HasField("budget_micros"):
        money.append(request.budget_micros)
    return Limits(
        day=now.date(),
        time_ms=min(times, default=None),
        money_micros=min(money, default=None),
        count=request.count or task.output.count or 1,
        allowed=_allowed(constraints, catalogue),
        history=past.out,
        unavailable=_unavailable(request, catalogue),
        quality={past.repeat.model: past.repeat.parameters.quality} if past.repeat else {},
    )


def _allowed(constraints: task_pb2.Constraints, catalogue: Catalogue) -> frozenset[str]:
    ids: set[str] = set()
    for number, name in enumerate(constraints.models):
        row = catalogue.find(name)
        if row is None:
            raise InvalidField(f"constraints.models[{number}]", "is not in the catalogue", reason="UNKNOWN_MODEL")
        ids.add(row.id)
    return frozenset(ids)


def _unavailable(request: router_service_pb2.RouteRequest, catalogue: Catalogue) -> dict[str, str]:
    """Map the models that are out of order to why; an entry without a model is for all of its provider's."""
    out: dict[str, str] = {}
    for number, entry in enumerate(request.unavailable):
        if not entry.provider and not entry.model:
            raise InvalidField(f"unavailable[{number}]", "names neither a provider nor a model")
        for model in catalogue.models:
            if entry.provider in ("", model.provider) and entry.model in ("", model.id, *model.aliases):
                out.setdefault(model.id, entry.reason or "out of order")
    return out


def _check_numbers(request: router_service_pb2.RouteRequest) -> None:
    numbers = {
        "count": request.count,
        "task.output.count": request.task.output.count,
        "task.constraints.max_latency_ms": request.task.constraints.max_latency_ms,
        "task.constraints.max_cost_micros": request.task.constraints.max_cost_micros,
        "task.lineage.depth": request.task.lineage.depth,
        "budget_micros": request.budget_micros,
    }
    for field, value in numbers.items():
        if value < 0:
            raise InvalidField(field, "is negative")
    for field in ("count", "task.output.count"):
        if numbers[field] > _MAX_COUNT:
            raise InvalidField(field, f"is at most {_MAX_COUNT}")


def _check_size(output: task_pb2.OutputSpec) -> None:
    try:
        wish = read_wish(output)
    except ValueError as error:
        raise InvalidField("task.output.aspect_ratio", str(error)) from None
    if max(wish.ratio, 1 / wish.ratio) > _MAX_RATIO:
        raise InvalidField("task.output.aspect_ratio", f"no model draws beyond {_MAX_RATIO}:1")


def _known(value: int, enum: EnumDescriptor, field: str, *, required: bool = False) -> None:
    if required and value == 0:
        raise InvalidField(field, "is required")
    if value not in enum.values_by_number:
        raise InvalidField(field, f"has no value {value}")


def _milliseconds(until: datetime, now: datetime) -> int:
    return max(0, int((until - now).total_seconds() * 1000))
