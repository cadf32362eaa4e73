"""Evaluating an attempt: fetch each output, measure it in the sandbox, check, recommend."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2
from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef, MediaDimensions
from imagerouter.api.evaluator.v1.evaluator_service_pb2 import EvaluateRequest
from imagerouter.evaluator.checks import applicable, attempt_checks, output_checks, parse_aspect, wanted_aspect
from imagerouter.evaluator.measurement import Measurement, Problem
from imagerouter.evaluator.pool import SandboxPool
from imagerouter.evaluator.thresholds import Thresholds
from imagerouter.evaluator.verdict import recommend, share_passed
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.errors import InvalidField
from imagerouter.storage import ArtifactStore

_T = TypeVar("_T")

_EVALUABLE = frozenset(
    {attempt_pb2.OUTCOME_KIND_SUCCEEDED, attempt_pb2.OUTCOME_KIND_NO_OUTPUT, attempt_pb2.OUTCOME_KIND_REFUSED}
)
_MAX_OUTPUTS = 32


def check_request(request: EvaluateRequest) -> None:
    """Check all but the artifacts. InvalidField for what cannot be evaluated: a provider's failure is not output."""
    kind = request.outcome.kind
    if not request.attempt_id:
        raise InvalidField("attempt_id", "must be given")
    if kind not in _EVALUABLE:
        raise InvalidField("outcome.kind", "must be SUCCEEDED, NO_OUTPUT or REFUSED: nothing else has been answered")
    if kind != attempt_pb2.OUTCOME_KIND_SUCCEEDED and request.outcome.artifacts:
        raise InvalidField("outcome.artifacts", "must be empty unless the kind is SUCCEEDED")
    if len(request.outcome.artifacts) > _MAX_OUTPUTS:
        raise InvalidField("outcome.artifacts", f"must be at most {_MAX_OUTPUTS}")
    parse_aspect(wanted_aspect(request.task, request.route))


@dataclass(frozen=True)
class Evaluator:
    """Evaluates attempts. `fetches` bounds how many images are in memory at a time."""

    store: ArtifactStore
    pool: SandboxPool
    thresholds: Thresholds
    clock: Clock
    fetches: asyncio.Semaphore

    async def evaluate(self, request: EvaluateRequest, tenant: str) -> evaluation_pb2.Evaluation:
        """Evaluate an attempt's outputs, side by side. NotFound if one is not in the tenant's store."""
        check_request(request)
        aspect = wanted_aspect(request.task, request.route)
        parameters = request.route.parameters
        attempt = attempt_checks(request.outcome)
        outputs = await _all(
            [
                self._evaluate_output(tenant, ref.digest, parameters, aspect, f"outcome.artifacts[{index}].digest")
                for index, ref in enumerate(request.outcome.artifacts)
            ]
        )
        found = recommend(attempt, outputs)
        now = Timestamp()
        now.FromDatetime(self.clock())
        return evaluation_pb2.Evaluation(
            attempt_id=request.attempt_id,
            outputs=outputs,
            checks=attempt,
            p_accept=share_passed(outputs, applicable(parameters, aspect)),
            calibrated=False,
            verdict=found.verdict,
            reason=found.reason,
            thresholds_version=self.thresholds.version,
            create_time=now,
        )

    async def _evaluate_output(
        self, tenant: str, digest: str, parameters: route_pb2.RouteParameters, aspect: str, field: str
    ) -> evaluation_pb2.OutputEvaluation:
        async with self.fetches:
            ref = await self.store.stat(tenant, digest, field=field)
            found = await self._measure(tenant, ref, field)
        if found.format:
            ref.media_type = f"image/{found.format}"
        checks = output_checks(found, ref.size_bytes, parameters, aspect, self.thresholds)
        output = evaluation_pb2.OutputEvaluation(
            artifact=ref, checks=checks, accepted=all(check.passed for check in checks)
        )
        if not found.problem:
            output.dimensions.CopyFrom(MediaDimensions(width=found.width, height=found.height))
        return output

    async def _measure(self, tenant: str, ref: ArtifactRef, field: str) -> Measurement:
        if ref.size_bytes > self.thresholds.limits.max_bytes:
            return Measurement(Problem.TOO_MANY_BYTES)
        return await self.pool.measure(await self.store.get(tenant, ref.digest, field=field))


async def _all(work: Sequence[Coroutine[None, None, _T]]) -> list[_T]:
    """Wait for all; if one fails, cancel the others and raise what it raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
