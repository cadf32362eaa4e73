"""From a caller's request to a task and a first decision. Everything here is free, and nothing of it is in the ledger
yet: what is refused here leaves nothing behind (docs/adr/0010)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as normalizer
from imagerouter.api.router.v1 import router_service_pb2 as router
from imagerouter.ledger import Ledger
from imagerouter.orchestrator import inputs, validate
from imagerouter.orchestrator.calls import Calls
from imagerouter.runtime.errors import ImageRouterError, InvalidField
from imagerouter.storage import ArtifactStore


@dataclass(frozen=True)
class Plan:
    """What will be done first: the task as understood, and the decision about it."""

    task: task_pb2.Task
    decision: route_pb2.Decision


@dataclass(frozen=True)
class Bounds:
    """What an image may take: micro-dollars, and seconds until its deadline."""

    budget_micros: int
    time_left_s: float


@dataclass(frozen=True)
class Planner:
    """Understands requests. `new_id` gives decision ids."""

    ledger: Ledger
    store: ArtifactStore
    new_id: Callable[[], str]

    async def plan(
        self,
        request: images.CreateImageRequest,
        tenant: str,
        calls: Calls,
        *,
        now: datetime,
        bounds: Bounds,
        unavailable: list[router.UnavailableModel],
    ) -> Plan:
        """Normalize and route. Raises what the normalizer and the router raise for a request that cannot be done."""
        ask = normalizer.NormalizeRequest(
            tenant=tenant,
            prompt=request.prompt,
            mode=request.mode,
            references=[
                await inputs.to_reference(image, f"references[{index}]", tenant, self.store)
                for index, image in enumerate(request.references)
            ],
            constraints=request.constraints,
            output=request.output,
        )
        if request.HasField("mask"):
            ask.mask.CopyFrom(await inputs.to_reference(request.mask, "mask", tenant, self.store))
        if request.parent:
            await self._join_chain(ask, request, tenant)
        try:
            task = (await calls.normalize(ask)).task
        except ImageRouterError as error:
            raise (_as_the_caller_counts(error) if request.parent else error) from error.__cause__

        async def route(task: task_pb2.Task, step: route_pb2.Step.ValueType) -> route_pb2.Decision:
            question = router.RouteRequest(
                decision_id=self.new_id(),
                task=task,
                step=step,
                budget_micros=bounds.budget_micros,
                time_left_ms=int(bounds.time_left_s * 1000),
                unavailable=unavailable,
            )
            question.now.FromDatetime(now)
            return (await calls.route(question)).decision

        decision = await route(task, route_pb2.STEP_INITIAL)
        if decision.chain_action == route_pb2.CHAIN_ACTION_RESET and task.lineage.HasField("anchor"):
            task = await self._restart(ask, task, calls)
            decision = await route(task, route_pb2.STEP_RESET)
        return Plan(task, decision)

    async def _join_chain(
        self, ask: normalizer.NormalizeRequest, request: images.CreateImageRequest, tenant: str
    ) -> None:
        """Put the parent's output in front of the references, and say where in its chain the edit stands."""
        validate.image_id(request.parent, "parent")
        if request.mode == task_pb2.MODE_GENERATE:
            raise InvalidField("mode", "an image with a parent is an edit")
        # Says WRONG_STATE or NOT_FOUND, with the field, if the parent has no output to edit.
        ask.lineage.CopyFrom(await self.ledger.lineage(tenant, request.parent))
        parent = await self.ledger.get_image(tenant, request.parent)
        references = [inputs.as_base(parent.artifacts[0]), *ask.references]
        del ask.references[:]
        ask.references.extend(references)

    async def _restart(self, ask: normalizer.NormalizeRequest, task: task_pb2.Task, calls: Calls) -> task_pb2.Task:
        """The task that starts again from the anchor, with every instruction since then in one prompt."""
        instructions = [*task.lineage.instructions, task.prompt]
        merged = await calls.merge(normalizer.MergeInstructionsRequest(instructions=instructions))
        again = normalizer.NormalizeRequest()
        again.CopyFrom(ask)
        again.prompt = merged.prompt
        again.references[0].CopyFrom(inputs.as_base(task.lineage.anchor))
        again.lineage.depth = 0
        del again.lineage.instructions[:]
        if not ask.output.aspect_ratio and not ask.constraints.aspect_ratio:
            again.output.aspect_ratio = task.output.aspect_ratio
        restarted = (await calls.normalize(again)).task
        restarted.warnings.append(
            task_pb2.Warning(
                field="parent",
                code="CHAIN_RESET",
                message=f"restarted from the chain's anchor with {len(instructions)} instructions merged into one, "
                "because every further edit of an edited picture loses some of it",
            )
        )
        return restarted


_REFERENCE = re.compile(r"references\[(\d+)\]")


def _as_the_caller_counts(error: ImageRouterError) -> ImageRouterError:
    """The same error with the caller's field paths: the parent's output went in front of the caller's references."""

    def path(match: re.Match[str]) -> str:
        return f"references[{int(match[1]) - 1}]" if int(match[1]) else "parent"

    error.message = _REFERENCE.sub(path, error.message)
    error.fields = tuple(replace(each, field=_REFERENCE.sub(path, each.field)) for each in error.fields)
    if "field" in error.metadata:
        error.metadata["field"] = _REFERENCE.sub(path, error.metadata["field"])
    return error
