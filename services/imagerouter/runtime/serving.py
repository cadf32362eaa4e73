"""The server's one interceptor: everything that is done around every call, in one readable order.

trace context → span → tenant and deadline → admission → parse → handler → serialize → typed error → metrics → log line

All four kinds of RPC run as plain coroutines in the RPC's own task. So a span is ended and a context variable is gone
where it was set, and what cancels the task (the caller hanging up, its deadline, `stop`) cancels what the handler
awaits.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
import grpc.aio

from imagerouter.runtime.admission import Admission
from imagerouter.runtime.errors import InvalidField
from imagerouter.runtime.observe import is_observed
from imagerouter.runtime.redact import serving
from imagerouter.runtime.served_call import ServedCall

# Generic in the stubs alone.
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class _Malformed:
    """Stands for a message whose bytes could not be parsed."""


class Serving(grpc.aio.ServerInterceptor):
    """Wraps every handler but those of health and reflection."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Return the handler with everything around it."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not is_observed(method):
            return handler
        return _wrap(handler, method, self._admission)


def _wrap(handler: Any, method: str, admission: Admission) -> _Handler:
    serialize = handler.response_serializer or (lambda message: message)
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def unary_response(request: Any, context: _Context) -> bytes:
        async def work() -> bytes:
            answer = behaviour(_arrived(request, method), context)
            if inspect.isawaitable(answer):
                answer = await answer
            data: bytes = serialize(answer)
            return data

        return await ServedCall(method, context).run(work, admission)

    async def stream_response(request: Any, context: _Context) -> None:
        async def work() -> None:
            answers = behaviour(_arrived(request, method), context)
            if inspect.isawaitable(answers):  # a handler that writes to the context itself
                await answers
                return
            async with aclosing(answers):
                async for answer in answers:
                    await context.write(serialize(answer))

        await ServedCall(method, context).run(work, admission)

    made: dict[tuple[bool, bool], Callable[..., _Handler]] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    return made[bool(handler.request_streaming), bool(handler.response_streaming)](
        stream_response if handler.response_streaming else unary_response,
        request_deserializer=_forgiving(handler.request_deserializer),
        response_serializer=lambda message: message if isinstance(message, bytes) else serialize(message),
    )


def _forgiving(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Make bad bytes a value: gRPC turns what a deserializer raises into UNKNOWN, with its text."""

    def parse(data: bytes) -> Any:
        try:
            return deserialize(data) if deserialize else data
        except Exception:
            return _Malformed()

    return parse


def _arrived(request: Any, method: str) -> Any:
    """Return a request, or the stream of them, that raises InvalidField where the bytes were bad."""
    if hasattr(request, "__aiter__"):
        return _stream(request, method)
    if isinstance(request, _Malformed):
        raise InvalidField(
            "",
            "the bytes of the message could not be parsed",
            reason="MALFORMED_MESSAGE",
            metadata={"method": method.removeprefix("/")},
        )
    serving(request)
    return request


async def _stream(requests: AsyncIterator[Any], method: str) -> AsyncIterator[Any]:
    async for request in requests:
        yield _arrived(request, method)
