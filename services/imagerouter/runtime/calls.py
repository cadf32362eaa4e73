"""The client's side of every call: tenant, deadline, trace context, span, metrics.

This wraps the channel's multicallables and hands out gRPC's own calls. grpc.aio's client interceptors would put a task
and a proxy between the caller and the call, and that is where cancellation gets lost (contrib#3271): here, whoever
cancels the awaiting task, the call, or the block around it, cancels the real call at once. The span ends with the call,
in its done callback, so nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
from opentelemetry.trace import SpanKind

from imagerouter.runtime import deadline, observe
from imagerouter.runtime.context import TENANT_KEY, current_tenant
from imagerouter.runtime.errors import DeadlinePast
from imagerouter.runtime.status import DETAILS_KEY, reason_of, status_in, to_status
from imagerouter.runtime.streams import held

T = TypeVar("T")
_OWN_KEYS = frozenset({"traceparent", "tracestate"})


class Calls:
    """What the four kinds of multicallable of a channel have in common."""

    def __init__(
        self, method: str, inner: Callable[..., Any], server: Mapping[str, str | int], default_timeout_s: float | None
    ) -> None:
        self._method = method
        self._inner = inner
        self._server = server
        self._default_timeout_s = default_timeout_s

    def __call__(self, *request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        """Begin a call. Raises AioRpcError, DEADLINE_EXCEEDED and not sent, where too little time is left for it."""
        if not observe.is_observed(self._method):
            return self._inner(*request, timeout=timeout, metadata=metadata, **options)
        timeout = deadline.child_timeout(self._default_timeout_s if timeout is None else timeout)
        seen = observe.Observation(SpanKind.CLIENT, self._method, server=self._server)
        if timeout is not None and timeout < deadline.MINIMUM_S:
            raise self._too_late(seen)
        try:
            call = self._inner(*request, timeout=timeout, metadata=_metadata(metadata, seen), **options)
        except BaseException:
            seen.end(grpc.StatusCode.UNKNOWN)
            raise
        call.add_done_callback(lambda done: _end(seen, done))
        return held(call)

    def _too_late(self, seen: observe.Observation) -> grpc.aio.AioRpcError:
        error = DeadlinePast("", "too little time is left for a call", metadata={"phase": "not_sent"})
        seen.end(error.code, error.reason)
        trailing = grpc.aio.Metadata((DETAILS_KEY, to_status(error).SerializeToString()))
        return grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), trailing, details=error.message)


class ObservedChannel(grpc.aio.Channel):
    """A channel whose calls carry tenant, deadline and trace context. Everything else is the inner channel's."""

    def __init__(
        self, inner: grpc.aio.Channel, server: Mapping[str, str | int], *, default_timeout_s: float | None = None
    ) -> None:
        self._inner = inner
        self._server = dict(server)
        self._default_timeout_s = default_timeout_s

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for one message in, one out."""
        return self._calls(method, self._inner.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for one message in, a stream out."""
        return self._calls(method, self._inner.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for a stream in, one message out."""
        return self._calls(method, self._inner.stream_unary(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for a stream in, a stream out."""
        return self._calls(method, self._inner.stream_stream(method, *args, **kwargs))

    def _calls(self, method: str, inner: Any) -> Calls:
        return Calls(method, inner, self._server, self._default_timeout_s)

    async def close(self, grace: float | None = None) -> None:
        """Close the channel; calls in progress get `grace` seconds."""
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the connection's state."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until there is a connection."""
        await self._inner.channel_ready()

    async def __aenter__(self) -> ObservedChannel:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> bool | None:
        return await self._inner.__aexit__(*exc_info)


def _metadata(given: Any, seen: observe.Observation) -> grpc.aio.Metadata:
    """Return the caller's metadata with our trace context, and with the current tenant unless one is given."""
    entries = [(key, value) for key, value in given or () if key not in _OWN_KEYS]
    tenant = current_tenant()
    if tenant is not None and all(key != TENANT_KEY for key, _ in entries):
        entries.append((TENANT_KEY, tenant))
    return grpc.aio.Metadata(*entries, *observe.trace_metadata(seen.span))


def _end(seen: observe.Observation, call: grpc.aio.Call) -> None:
    """End the span of a call that is done: its status is known, so nothing below waits."""
    code = _now(call.code())
    reason = ""
    if code is not grpc.StatusCode.OK:
        status = status_in(_now(call.trailing_metadata()))
        reason = "" if status is None else reason_of(status)
    seen.end(code, reason)


def _now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("the call is not done")
