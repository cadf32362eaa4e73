"""One RPC being served: its context variables, its span, its error, its log line."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.rpc import status_pb2  # type: ignore[import-untyped]
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from imagerouter.runtime import names, observe
from imagerouter.runtime.admission import Admission
from imagerouter.runtime.context import peer_class, set_tenant, tenant_of
from imagerouter.runtime.deadline import set_deadline
from imagerouter.runtime.errors import DeadlinePast, NotBuilt
from imagerouter.runtime.log import get_log
from imagerouter.runtime.status import from_rpc_error, reason_of, status_of, to_code, to_grpc_status, to_status

T = TypeVar("T")
_Context = grpc.aio.ServicerContext[Any, Any]
_log = get_log(__name__)
_CODES: dict[object, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_LEVELS = {
    grpc.StatusCode.INTERNAL: logging.ERROR,
    grpc.StatusCode.UNKNOWN: logging.ERROR,
    grpc.StatusCode.DATA_LOSS: logging.ERROR,
    grpc.StatusCode.UNAVAILABLE: logging.WARNING,
}


class ServedCall:
    """One RPC being served. Use once."""

    def __init__(self, method: str, context: _Context) -> None:
        self._method = method
        self._name = method.removeprefix("/")
        self._context = context
        self._tenant = ""
        self._left: float | None = context.time_remaining()
        self._peer = peer_class(context.peer())
        metadata = tuple(context.invocation_metadata() or ())
        self._seen = observe.Observation(SpanKind.SERVER, method, parent=observe.parent_context(metadata))

    async def run(self, work: Callable[[], Awaitable[T]], admission: Admission) -> T:
        """Run the handler; end the call with a typed status if it fails, and with one log line in any case."""
        token = otel_context.attach(trace.set_span_in_context(self._seen.span, otel_context.Context()))
        observe.inflight.add(1, {names.RPC_METHOD: self._name})
        try:
            self._enter()
            with admission.slot(self._method):
                result = await work()
        except asyncio.CancelledError:
            self._end(grpc.StatusCode.DEADLINE_EXCEEDED if self._is_late() else grpc.StatusCode.CANCELLED)
            raise
        except grpc.aio.AbortError:
            self._end(self._code())
            raise
        except Exception as error:
            status = self._public(_only(error))
            code = to_code(status)
            self._end(code, reason_of(status), error if code in _LEVELS or error.__cause__ else None)
            await self._context.abort_with_status(to_grpc_status(status))
        else:
            self._end(self._code())
            return result
        finally:
            observe.inflight.add(-1, {names.RPC_METHOD: self._name})
            otel_context.detach(token)

    def _enter(self) -> None:
        """Set what handlers and their child calls go by. Raises for a bad tenant and for a deadline that is past."""
        set_deadline(None if self._left is None else time.monotonic() + self._left)
        if self._is_late():
            raise DeadlinePast("", "the deadline was past on arrival")
        self._tenant = tenant_of(self._context)
        set_tenant(self._tenant)
        self._seen.span.set_attributes({names.TENANT: self._tenant, names.PEER_CLASS: self._peer})

    def _is_late(self) -> bool:
        left = self._context.time_remaining()
        return left is not None and left <= 0

    def _public(self, error: Exception) -> status_pb2.Status:
        """Return what the caller is told. An error that one of our services made goes on as it is."""
        if isinstance(error, grpc.aio.AioRpcError):
            return status_of(error) or to_status(from_rpc_error(error))
        if isinstance(error, NotImplementedError) and self._code() is grpc.StatusCode.UNIMPLEMENTED:
            # The generated base classes say it like this.
            error = NotBuilt("this method is not built yet", metadata={"method": self._name})
        return to_status(error, trace_id=self._seen.trace_id)

    def _code(self) -> grpc.StatusCode:
        """Return the code that the handler set on the context, OK if it set none."""
        code: object = self._context.code()
        if isinstance(code, grpc.StatusCode):
            return code
        return _CODES.get(code, grpc.StatusCode.OK)

    def _end(self, code: grpc.StatusCode, reason: str = "", error: BaseException | None = None) -> None:
        """End the span and write the canonical line."""
        duration = self._seen.end(code, reason)
        line: dict[str, Any] = {
            "method": self._name,
            "code": code.name,
            "duration_ms": round(duration * 1000, 3),
            "tenant": self._tenant,
            "peer": self._peer,
            "trace_id": self._seen.trace_id,
            "span_id": self._seen.span_id,
        }
        if reason:
            line["reason"] = reason
        if self._left is not None:
            line["deadline_ms"] = round(self._left * 1000)
        _log.log(_LEVELS.get(code, logging.INFO), "rpc", exc_info=error, **line)


def _only(error: Exception) -> Exception:
    """Return what a task group failed for, if that is one thing."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
