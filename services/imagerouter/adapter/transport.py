"""The one way out to a provider: at most one POST per attempt, and a record of how far it got.

SDKs retry, follow redirects and reuse connections that have died. Whatever they do above this transport, a second
POST of the same attempt does not leave the process, and the phase of a failure is read off the wire and not guessed
from an exception's class.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpx2

_TALKATIVE: Final = ("openai", "google_genai", "httpx2", "httpcore2")
_TRACE_CONTEXT: Final = ("traceparent", "tracestate", "baggage")

# Load balancers drop connections that are idle for a minute, which is less than a large picture takes.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


@dataclass
class Wire:
    """How far one attempt's request got.

    `sent` becomes true right before the first byte of the request is written; `http_status` is the answer's, 0 before
    its headers are complete. A wire with a `rehearsal` never reaches the network: it is answered with those bytes.
    """

    requests: int = 0
    sent: bool = False
    http_status: int = 0
    rehearsal: bytes | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow the connection; called by httpcore."""
        if event.endswith("send_request_headers.started"):
            self.sent = True
        elif event.endswith("receive_response_headers.complete"):
            self.http_status = int(info["return_value"][1])


_current: ContextVar[Wire | None] = ContextVar("imagerouter_adapter_wire", default=None)


@contextlib.contextmanager
def observed(wire: Wire) -> Iterator[Wire]:
    """Record the requests of this task on `wire`."""
    token = _current.set(wire)
    try:
        yield wire
    finally:
        _current.reset(token)


def current_wire() -> Wire:
    """Return the wire of this task. LookupError outside of `observed`."""
    wire = _current.get()
    if wire is None:
        raise LookupError("no attempt is running in this task")
    return wire


class SecondRequestRefused(httpx2.LocalProtocolError):
    """Something above the transport tried to send an attempt again, or to send outside of one."""


class SingleShotTransport(httpx2.AsyncBaseTransport):
    """Sends one request per wire. `connect_timeout_s` holds even where an SDK gives one timeout for everything."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, connect_timeout_s: float) -> None:
        self._inner = inner
        self._connect_timeout_s = connect_timeout_s

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it. SecondRequestRefused if this task's wire has been used, or there is none."""
        wire = _current.get()
        if wire is None or wire.requests:
            raise SecondRequestRefused("an attempt is sent once", request=request)
        wire.requests += 1
        if wire.rehearsal is not None:
            return httpx2.Response(
                200, headers={"content-type": "application/json"}, content=wire.rehearsal, request=request
            )
        for name in _TRACE_CONTEXT:
            request.headers.pop(name, None)
        timeout = {**request.extensions.get("timeout", {}), "connect": self._connect_timeout_s}
        request.extensions = {**request.extensions, "timeout": timeout, "trace": wire.trace}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def open_http(*, connect_timeout_s: float, max_connections: int) -> httpx2.AsyncClient:
    """Return the HTTP client that both SDKs are given.

    No connection is kept for reuse: one that died while idle would turn a free failure into an unknown one, and a
    handshake is nothing beside the seconds that an image takes. Redirects are not followed for the same reason that
    nothing is retried. The SDKs' loggers are quietened here, after the SDKs have been imported: below WARNING they
    write requests down, prompt included, and an OPENAI_LOG in the environment is enough to turn that on.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=0)
    inner = httpx2.AsyncHTTPTransport(limits=limits, retries=0, socket_options=_KEEPALIVE)
    return httpx2.AsyncClient(transport=SingleShotTransport(inner, connect_timeout_s), follow_redirects=False)
