"""An HTTP server of a few lines that misbehaves on the wire exactly as told, and counts what it received.

The emulators speak the providers' protocols; this one breaks HTTP itself, down to the byte.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from tests.unit.adapter.adapter_calls import PNG

B64 = base64.b64encode(PNG).decode()
OPENAI_OK = {
    "created": 1,
    "data": [{"b64_json": B64}],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
        "output_tokens": 1756,
        "total_tokens": 1766,
    },
}
GOOGLE_OK = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": B64}}]},
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 10,
        "candidatesTokenCount": 1120,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
    },
    "modelVersion": "gemini-test",
    "responseId": "resp-1",
}


@dataclass
class Received:
    """One request, read whole."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Received], Awaitable[None]]


@dataclass
class WireServer:
    """A running server. Set `behaviour`, read `received`."""

    behaviour: Behaviour
    received: list[Received] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            received = await _read(reader)
            self.received.append(received)
            self.began.set()
            await self.behaviour(reader, writer, received)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def wait_for_hang_up(self, reader: asyncio.StreamReader) -> None:
        """Say nothing until the client closes the connection."""
        with suppress(ConnectionError):
            await reader.read(1)
        self.hung_up.set()


@asynccontextmanager
async def wire_server(behaviour: Behaviour) -> AsyncIterator[WireServer]:
    """Run a server on loopback."""
    server = WireServer(behaviour)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def head(status: int, *, length: int | None, content_type: str = "application/json", **headers: str) -> bytes:
    """A status line and headers."""
    lines = [f"HTTP/1.1 {status} Reason", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["transfer-encoding: chunked"] if length is None else [f"content-length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(status: int, body: Any, *, content_type: str = "application/json", **headers: str) -> Behaviour:
    """Answer properly; `body` is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def behaviour(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Received) -> None:
        writer.write(head(status, length=len(data), content_type=content_type, **headers) + data)
        await writer.drain()

    return behaviour


def resets(*, after: bytes = b"") -> Behaviour:
    """Write `after`, then cut the connection with a reset."""

    async def behaviour(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Received) -> None:
        writer.write(after)
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behaviour


def ends(*, after: bytes = b"") -> Behaviour:
    """Write `after`, then end the connection in good order."""

    async def behaviour(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Received) -> None:
        writer.write(after)
        await writer.drain()

    return behaviour


def is_silent(*, after: bytes = b"") -> Behaviour:
    """Write `after`, then nothing until the client hangs up."""

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Received) -> None:
        writer.write(after)
        await writer.drain()
        await reader.read(1)

    return behaviour


def sse(*events: dict[str, Any] | str, whole: bool = True) -> bytes:
    """A chunked event stream, ended properly if `whole`."""
    pieces = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode() for event in events]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head(200, length=None, content_type="text/event-stream") + chunks + (b"0\r\n\r\n" if whole else b"")


async def _read(reader: asyncio.StreamReader) -> Received:
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines if item)}
    return Received(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
