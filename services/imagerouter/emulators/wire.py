"""The connection underneath a request: uvicorn's protocol, with a way to break it on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

LINE = "imagerouter.line"
"""The scope key under which an application finds the `Line` of its request."""


class Line:
    """The connection of one request."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def drop(self, *, reset: bool) -> None:
        """Close at once, with FIN, or with RST if `reset`. What was written before still goes out with FIN."""
        if not reset:
            self._transport.close()
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # Lingering for no time at all is how a socket is told to send RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class BreakableProtocol(H11Protocol):
    """HTTP/1.1 that hands each request its `Line`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inner = self.app

        async def with_line(scope: Any, receive: Any, send: Any) -> None:
            scope[LINE] = Line(self.transport)
            await inner(scope, receive, send)

        self.app = with_line

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Headers and body are written one after the other: neither may wait for the other's acknowledgement.

        asyncio sets TCP_NODELAY only on sockets made with their protocol number, which a listener's are not.
        """
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
