"""One attempt: from the ledger's go-ahead to its outcome. The order of the lines is the spend-safety invariant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.common.v1 import attempt_pb2, task_pb2
from imagerouter.ledger import Ledger, LostLease, PlannedAttempt
from imagerouter.orchestrator.calls import Calls
from imagerouter.orchestrator.persist import until_written
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.errors import Unavailable
from imagerouter.runtime.status import from_rpc_error

PreviewSink = Callable[[str, adapter.Preview], None]
# How long an adapter may take to be reachable before the attempt counts as not sent: a rolling update takes seconds.
_REACH_S = 5.0
# What an adapter says before it sends anything.
_OUR_FAULT = frozenset({"INVALID_FIELD", "MALFORMED_MESSAGE", "UNKNOWN_MODEL", "ARTIFACT_NOT_FOUND", "DEADLINE_PAST"})


@dataclass(frozen=True)
class Attempter:
    """Executes attempts of one image under the lease `epoch`."""

    ledger: Ledger
    calls: Calls
    clock: Clock
    epoch: int
    on_preview: PreviewSink
    silence_s: float

    async def execute(
        self, attempt: PlannedAttempt, task: task_pb2.Task, cancelled: asyncio.Event
    ) -> attempt_pb2.Outcome:
        """Send one planned attempt and record how it ended. Setting `cancelled` closes the connection to the provider;
        the attempt then ends as unknown, since nobody can say whether it was executed."""
        if cancelled.is_set():
            outcome = _not_sent(attempt_pb2.OUTCOME_KIND_CANCELLED, "cancelled before it was sent")
        elif not await self._reachable(attempt):
            outcome = _not_sent(attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED, "the adapter could not be reached")
        elif not await self._may_send(attempt):
            outcome = _not_sent(attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED, "the ledger did not answer")
        elif cancelled.is_set():
            outcome = _not_sent(attempt_pb2.OUTCOME_KIND_CANCELLED, "cancelled before it was sent")
        else:
            outcome = await self._send_until(attempt, task, cancelled)
        now = self.clock()
        await until_written(lambda: self.ledger.finish_attempt(attempt.attempt_id, outcome, now, self.epoch))
        return outcome

    async def _reachable(self, attempt: PlannedAttempt) -> bool:
        """Whether a connection to the adapter stands. Finding that out before SENT keeps an adapter that is down from
        leaving unknown outcomes: a refused connection cannot be told from a lost one afterwards."""
        try:
            async with asyncio.timeout(_REACH_S):
                await self.calls.reach(attempt.route.provider)
        except (TimeoutError, grpc.RpcError, Unavailable):
            return False
        return True

    async def _may_send(self, attempt: PlannedAttempt) -> bool:
        """Have the ledger let the attempt out. It is committed before the first byte leaves: after a crash, SENT means
        "may have been executed". Whatever goes wrong here, the attempt must not be sent."""
        try:
            await self.ledger.mark_sent(attempt.attempt_id, self.clock(), self.epoch)
        except LostLease:
            raise
        except Unavailable:
            return False
        return True

    async def _send_until(
        self, attempt: PlannedAttempt, task: task_pb2.Task, cancelled: asyncio.Event
    ) -> attempt_pb2.Outcome:
        # The call has a task of its own, so that a cancellation can interrupt it and nothing else: the ledger's writes
        # around it must not be cut in half.
        sending = asyncio.create_task(self._send(attempt, task))
        watching = asyncio.create_task(cancelled.wait())
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            sending.cancel()
        return await sending

    async def _send(self, attempt: PlannedAttempt, task: task_pb2.Task) -> attempt_pb2.Outcome:
        request = adapter.GenerateRequest(attempt_id=attempt.attempt_id, task=task, route=attempt.route)
        outcome = None
        try:
            async with aclosing(self.calls.generate(request)) as events:
                # To the end of the stream: leaving early would cancel the call.
                while (event := await self._next(events)) is not None:
                    match event.WhichOneof("event"):
                        case "outcome":
                            outcome = event.outcome
                        case "preview":
                            self.on_preview(attempt.attempt_id, event.preview)
        except TimeoutError:
            return outcome or _unknown(attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED, "the adapter fell silent")
        except grpc.aio.AioRpcError as error:
            return outcome or broken_call(error)
        except asyncio.CancelledError:
            return outcome or _unknown(attempt_pb2.OUTCOME_KIND_CANCELLED, "cancelled while the provider was at work")
        return outcome or _unknown(
            attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY, "the adapter's stream ended without an outcome"
        )

    async def _next(self, events: AsyncGenerator[adapter.GenerateResponse, None]) -> adapter.GenerateResponse | None:
        """The next event; None at the end. TimeoutError if the adapter misses several heartbeats: it is dead or stuck,
        which a slow provider is not."""
        async with asyncio.timeout(self.silence_s):
            return await anext(events, None)


def _not_sent(kind: attempt_pb2.OutcomeKind.ValueType, message: str) -> attempt_pb2.Outcome:
    return attempt_pb2.Outcome(kind=kind, phase=attempt_pb2.PHASE_NOT_SENT, message=message)


def _unknown(kind: attempt_pb2.OutcomeKind.ValueType, message: str) -> attempt_pb2.Outcome:
    return attempt_pb2.Outcome(kind=kind, phase=attempt_pb2.PHASE_SENT_UNKNOWN, message=message)


def broken_call(error: grpc.aio.AioRpcError) -> attempt_pb2.Outcome:
    """What a failed call to an adapter means. Only an adapter's own word that it sent nothing makes it free: a bare
    UNAVAILABLE, CANCELLED or DEADLINE_EXCEEDED may have reached the provider."""
    ours = from_rpc_error(error)
    invalid = ours.reason in _OUR_FAULT
    phase = ours.metadata.get("phase")
    not_sent = invalid or phase == "not_sent" or (ours.reason == "OVERLOADED" and phase != "sent_unknown")
    return attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_INVALID_REQUEST if invalid else attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED,
        phase=attempt_pb2.PHASE_NOT_SENT if not_sent else attempt_pb2.PHASE_SENT_UNKNOWN,
        provider_code=f"GRPC_{error.code().name}",
        message="the call to the adapter failed",
    )
