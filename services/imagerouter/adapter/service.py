"""The gRPC servicer: check, claim, execute, tell."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from imagerouter.adapter.attempts import AttemptRecord
from imagerouter.adapter.checks import check_request
from imagerouter.adapter.execution import Executor
from imagerouter.adapter.settlement import read_timeout_s
from imagerouter.adapter.telemetry import kind_name, phase_name
from imagerouter.api.adapter.v1 import adapter_service_pb2, adapter_service_pb2_grpc
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.catalogue import Catalogue, Mode, Model
from imagerouter.runtime.context import tenant_of
from imagerouter.runtime.log import get_log

_log = get_log(__name__)

_Context = grpc.aio.ServicerContext[Any, Any]
_Events = asyncio.Queue[adapter_service_pb2.GenerateResponse]


class AdapterServicer(adapter_service_pb2_grpc.AdapterServiceServicer):
    """Serves one provider. LookupAttempt, CancelAttempt and Assess answer UNIMPLEMENTED through the base class."""

    def __init__(
        self,
        executor: Executor,
        catalogue: Catalogue,
        *,
        heartbeat_s: float,
        remembered_attempts: int,
        read_timeout_override_s: float | None = None,
    ) -> None:
        self._executor = executor
        self._catalogue = catalogue
        self._heartbeat_s = heartbeat_s
        self._read_timeout_override_s = read_timeout_override_s
        self._record = AttemptRecord(remembered_attempts)

    @property
    def _provider(self) -> str:
        return self._executor.provider.name

    async def Generate(
        self, request: adapter_service_pb2.GenerateRequest, context: _Context
    ) -> AsyncIterator[adapter_service_pb2.GenerateResponse]:
        """Execute one attempt, or replay the outcome of one that this process has executed."""
        model = check_request(request, provider=self._provider, tenant=tenant_of(context), catalogue=self._catalogue)
        past = self._record.begin(request.attempt_id, _fingerprint(request))
        if past is not None:
            yield self._accepted()
            yield adapter_service_pb2.GenerateResponse(outcome=past)
            return
        events: _Events = asyncio.Queue()
        task = asyncio.create_task(self._execute(request, model, events), name=f"attempt {request.attempt_id}")
        try:
            yield self._accepted()
            async for event in self._until_ended(task, events):
                yield event
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
                self._record.abandon(request.attempt_id)

    async def DescribeModels(
        self, request: adapter_service_pb2.DescribeModelsRequest, context: _Context
    ) -> adapter_service_pb2.DescribeModelsResponse:
        """Describe the provider's models, as the catalogue has them."""
        del request, context
        return adapter_service_pb2.DescribeModelsResponse(
            provider=self._provider,
            models=[_describe(model) for model in self._catalogue.of_provider(self._provider)],
            catalogue_version=self._catalogue.version,
        )

    async def _execute(
        self, request: adapter_service_pb2.GenerateRequest, model: Model, events: _Events
    ) -> attempt_pb2.Outcome:
        def keep(outcome: attempt_pb2.Outcome) -> None:
            self._record.end(request.attempt_id, outcome)
            _log_outcome(request, outcome)

        timeout_s = self._read_timeout_override_s or read_timeout_s(request.route, model)
        return await self._executor.run(request, model, timeout_s, events.put_nowait, keep)

    async def _until_ended(
        self, task: asyncio.Task[attempt_pb2.Outcome], events: _Events
    ) -> AsyncIterator[adapter_service_pb2.GenerateResponse]:
        """Yield previews as they come, a heartbeat whenever nothing did for a while, and the outcome last."""
        getter: asyncio.Task[adapter_service_pb2.GenerateResponse] | None = None
        try:
            while True:
                getter = getter or asyncio.create_task(events.get())
                await asyncio.wait({getter, task}, timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
                if getter.done():
                    yield getter.result()
                    getter = None
                elif task.done():
                    yield adapter_service_pb2.GenerateResponse(outcome=task.result())
                    return
                else:
                    yield self._heartbeat()
        finally:
            if getter is not None:
                getter.cancel()

    def _accepted(self) -> adapter_service_pb2.GenerateResponse:
        return adapter_service_pb2.GenerateResponse(
            accepted=adapter_service_pb2.Accepted(adapter=f"adapter-{self._provider}")
        )

    def _heartbeat(self) -> adapter_service_pb2.GenerateResponse:
        event = adapter_service_pb2.GenerateResponse()
        event.heartbeat.time.FromDatetime(self._executor.clock())
        return event


def _fingerprint(request: adapter_service_pb2.GenerateRequest) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def _log_outcome(request: adapter_service_pb2.GenerateRequest, outcome: attempt_pb2.Outcome) -> None:
    """Write the attempt's one line. A cancelled caller never gets the outcome: this line is where it is kept."""
    unknown = outcome.phase == attempt_pb2.PHASE_SENT_UNKNOWN
    _log.log(
        logging.WARNING if unknown else logging.INFO,
        "attempt",
        attempt_id=request.attempt_id,
        tenant=request.task.tenant,
        provider=request.route.provider,
        model=request.route.model,
        outcome=kind_name(outcome),
        phase=phase_name(outcome),
        http_status=outcome.http_status,
        provider_code=outcome.provider_code,
        provider_request_id=outcome.provider_request_id,
        cost_micros=outcome.cost_micros,
        cost_estimated=outcome.cost_estimated,
        images=len(outcome.artifacts),
        provider_ms=outcome.timing.provider_duration.ToMilliseconds(),
    )


def _describe(model: Model) -> adapter_service_pb2.ModelDescription:
    return adapter_service_pb2.ModelDescription(
        model=model.id,
        status=model.status.value,
        edits=Mode.EDIT in model.modes,
        masks=Mode.MASK in model.modes,
        max_references=model.limits.references,
        max_count=model.limits.count,
        previews=Mode.PREVIEW in model.modes,
        released=model.released.isoformat(),
    )
