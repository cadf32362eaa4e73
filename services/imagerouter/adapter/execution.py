"""One attempt from start to end: inputs, one provider call, outputs, cost.

Nothing here raises for what a provider or the object store did: every end is an Outcome, because it may have cost
money. Only cancellation passes through, with its outcome kept by the caller's record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from imagerouter.adapter.failures import cancelled, transport_failure, unsent
from imagerouter.adapter.inputs import Inputs, fetch_inputs
from imagerouter.adapter.negotiation import returned_format
from imagerouter.adapter.outputs import OutputStore
from imagerouter.adapter.provider import Call, PreviewPicture, Provider, Reply, Unsendable
from imagerouter.adapter.settlement import settle
from imagerouter.adapter.telemetry import provider_span
from imagerouter.adapter.transport import Wire, observed
from imagerouter.api.adapter.v1 import adapter_service_pb2
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.catalogue import Model
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.errors import ImageRouterError, Unavailable
from imagerouter.runtime.log import get_log
from imagerouter.storage import ArtifactStore

_log = get_log(__name__)

Emit = Callable[[adapter_service_pb2.GenerateResponse], None]

# How much longer than the read timeout a reply may trickle in.
_TRICKLE_S = 60.0


@dataclass(frozen=True)
class Executor:
    """Executes attempts at one provider. Hold one for a process."""

    provider: Provider
    store: ArtifactStore
    outputs: OutputStore
    clock: Clock

    async def run(
        self,
        request: adapter_service_pb2.GenerateRequest,
        model: Model,
        read_timeout_s: float,
        emit: Emit,
        keep: Callable[[attempt_pb2.Outcome], None],
    ) -> attempt_pb2.Outcome:
        """Execute once. `emit` is given the previews; `keep` is given the outcome, also when this is cancelled.

        Cancelled while the provider works, the connection is closed at once. Cancelled after the answer is in, the
        images are stored all the same: they are paid for, and the record can then say so.
        """
        wire = Wire()
        outcome = attempt_pb2.Outcome()
        outcome.timing.start_time.FromDatetime(self.clock())
        try:
            reply = await self._reply(request, model, read_timeout_s, emit, wire, outcome.timing)
        except asyncio.CancelledError:
            outcome.MergeFrom(cancelled(wire))
            keep(outcome)
            raise
        except Exception as error:
            _log.exception("adapter_defect", attempt_id=request.attempt_id, sent=wire.sent)
            reply = Reply(transport_failure(error, wire) if wire.sent else unsent("the adapter failed to send it"))
        outcome.MergeFrom(reply.outcome)
        finishing = asyncio.create_task(self._finish(request, model, reply, outcome))
        try:
            await asyncio.shield(finishing)
        except asyncio.CancelledError:
            await finishing
            keep(outcome)
            raise
        keep(outcome)
        return outcome

    async def _reply(
        self,
        request: adapter_service_pb2.GenerateRequest,
        model: Model,
        read_timeout_s: float,
        emit: Emit,
        wire: Wire,
        timing: attempt_pb2.AttemptTiming,
    ) -> Reply:
        began = time.monotonic()
        try:
            inputs = await fetch_inputs(self.store, request.task, model)
        except Unsendable as error:
            return Reply(unsent(error.message))
        except ImageRouterError as error:
            failed = unsent("the artifact store could not be read")
            if isinstance(error, Unavailable):
                failed.kind = attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED
            return Reply(failed)
        finally:
            timing.fetch_duration.FromTimedelta(_since(began))
        call = _call(request, model, inputs, read_timeout_s)
        began = time.monotonic()
        try:
            return await self._send(call, emit, wire)
        finally:
            timing.provider_duration.FromTimedelta(_since(began))

    async def _send(self, call: Call, emit: Emit, wire: Wire) -> Reply:
        reply: Reply | None = None
        with observed(wire), provider_span(self.provider, call) as describe:
            try:
                async with (
                    asyncio.timeout(call.read_timeout_s + _TRICKLE_S),
                    aclosing(self.provider.generate(call)) as items,
                ):
                    async for item in items:
                        if isinstance(item, Reply):
                            reply = item
                        else:
                            await self._preview(call, item, emit)
            except TimeoutError as error:
                reply = Reply(transport_failure(error, wire))
            if reply is None:
                reply = Reply(transport_failure(EOFError(), wire))
            describe(reply.outcome)
        return reply

    async def _preview(self, call: Call, picture: PreviewPicture, emit: Emit) -> None:
        artifact = await self.outputs.preview(call.task.tenant, picture.data)
        if artifact is not None:
            event = adapter_service_pb2.GenerateResponse()
            event.preview.index = picture.index
            event.preview.artifact.CopyFrom(artifact)
            emit(event)

    async def _finish(
        self,
        request: adapter_service_pb2.GenerateRequest,
        model: Model,
        reply: Reply,
        outcome: attempt_pb2.Outcome,
    ) -> None:
        """Settle the cost, then store the images. A defect in here must not lose what was paid for."""
        began = time.monotonic()
        try:
            settle(outcome, request.route, model)
            if outcome.kind == attempt_pb2.OUTCOME_KIND_SUCCEEDED:
                outcome.artifacts.extend(await self.outputs.images(request.task.tenant, reply.images))
            call = _call(request, model, Inputs(), 0)
            outcome.negotiations.extend(returned_format(call, frozenset(ref.media_type for ref in outcome.artifacts)))
        except Exception:
            _log.exception("adapter_defect", attempt_id=request.attempt_id, sent=True)
        if outcome.kind == attempt_pb2.OUTCOME_KIND_SUCCEEDED and not outcome.artifacts:
            outcome.kind = attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY
            outcome.message = "the images were made and could not be stored"
        outcome.timing.store_duration.FromTimedelta(_since(began))


def _call(request: adapter_service_pb2.GenerateRequest, model: Model, inputs: Inputs, read_timeout_s: float) -> Call:
    return Call(
        attempt_id=request.attempt_id,
        task=request.task,
        route=request.route,
        model=model,
        references=inputs.references,
        mask=inputs.mask,
        previews=request.previews,
        read_timeout_s=read_timeout_s,
    )


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - began)
