"""EvaluatorService: broken or hostile bytes are findings, only a bad request is an error."""

from __future__ import annotations

from typing import Any

import grpc.aio
from opentelemetry import trace

from imagerouter.api.common.v1 import evaluation_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as pb
from imagerouter.api.evaluator.v1.evaluator_service_pb2_grpc import EvaluatorServiceServicer
from imagerouter.evaluator.evaluation import Evaluator
from imagerouter.runtime import names
from imagerouter.runtime.context import tenant_of
from imagerouter.runtime.errors import InvalidField
from imagerouter.storage import is_tenant

_tracer = trace.get_tracer(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)


class EvaluatorService(EvaluatorServiceServicer):
    """Artifacts are looked up under the task's tenant; a task without one is the calling tenant's."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    async def Evaluate(
        self, request: pb.EvaluateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.EvaluateResponse:
        """Look at the outputs of one attempt."""
        tenant = request.task.tenant or tenant_of(context)
        if not is_tenant(tenant):
            raise InvalidField("task.tenant", "must be a tenant's name")
        with _tracer.start_as_current_span(
            names.SPAN_EVALUATE, record_exception=False, set_status_on_exception=False
        ) as span:
            evaluation = await self._evaluator.evaluate(request, tenant)
            span.set_attributes(_attributes(evaluation))
        return pb.EvaluateResponse(evaluation=evaluation)


def _attributes(evaluation: evaluation_pb2.Evaluation) -> dict[str, str | float | list[str]]:
    checks = [*evaluation.checks, *(check for output in evaluation.outputs for check in output.checks)]
    return {
        names.ATTEMPT_ID: evaluation.attempt_id,
        names.EVALUATION_VERDICT: evaluation_pb2.Verdict.Name(evaluation.verdict).removeprefix("VERDICT_"),
        names.EVALUATION_P_ACCEPT: evaluation.p_accept,
        names.EVALUATION_FAILED_CHECKS: sorted({check.name for check in checks if not check.passed}),
    }
