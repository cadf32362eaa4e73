"""One request and its answer: reading it, noticing that the client left, and sending, or breaking off as ordered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from imagerouter.emulators.faults import NO_FAULT, Fault
from imagerouter.emulators.history import Record
from imagerouter.emulators.wire import LINE, Line

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_BODY = 850_000_000


class Refused(Exception):
    """The provider's answer is an error: HTTP status, body (an object for JSON, or text) and headers."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, dict(headers or {})


class Gone(Exception):
    """The client has closed the connection."""


class Dropped(Exception):
    """The connection is to be broken without an answer."""


@dataclass
class Call:
    """A request that has been read. `headers` have lower-case names; `gone` is set when the client leaves."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    record: Record
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Fault = NO_FAULT

    async def pause(self, seconds: float) -> None:
        """Wait. Raises Gone as soon as the client leaves."""
        if self.gone.is_set():
            raise Gone
        if seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), seconds)
        if self.gone.is_set():
            raise Gone


@dataclass
class Reply:
    """An answer in one piece."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass
class Events:
    """An answer in pieces (server-sent events)."""

    pieces: AsyncIterator[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "text/event-stream; charset=utf-8"


def json_reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer; text is sent as it stands, under the media type in `headers`."""
    kept = {name.lower(): value for name, value in (headers or {}).items()}
    media_type = kept.pop("content-type", "application/json")
    data = (
        body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    )
    return Reply(status, data, kept, media_type)


def fill_in(body: object, names: dict[str, str]) -> Any:
    """`body` with every "{name}" in its strings replaced; anything nested is copied."""
    if isinstance(body, str):
        for name, value in names.items():
            body = body.replace(f"{{{name}}}", value)
        return body
    if isinstance(body, dict):
        return {key: fill_in(value, names) for key, value in body.items()}
    if isinstance(body, list):
        return [fill_in(value, names) for value in body]
    return body


def spoiled(reply: Reply, payload: str) -> Reply:
    """The reply with the fault's body: nothing at all, or JSON that breaks off."""
    if payload == "empty":
        reply.body = b""
    elif payload == "broken_json":
        reply.body = reply.body[: max(1, len(reply.body) * 2 // 3)]
    return reply


async def read_body(receive: Receive) -> bytes:
    """The request's body. Raises Gone if the client leaves before its end."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MAX_BODY:
            raise Refused(413, {"error": {"message": "Request body too large"}})
        if not message.get("more_body"):
            return b"".join(pieces)


def call_of(scope: Scope, body: bytes, record: Record) -> Call:
    """The call of an ASGI request."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return Call(scope["method"], scope["path"], query, headers_of(scope), body, record)


def headers_of(scope: Scope) -> dict[str, str]:
    """The request's headers, names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def digest_of(body: bytes) -> str:
    """The sha256 of a body, as the history records it."""
    return hashlib.sha256(body).hexdigest()


async def watch(receive: Receive, gone: asyncio.Event) -> None:
    """Set `gone` when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def deliver(scope: Scope, send: Send, call: Call, answer: Reply | Events) -> str:
    """Send the answer, broken as the call's fault has it; the outcome for the history."""
    line: Line = scope[LINE]
    fault = call.fault
    if isinstance(answer, Events):
        return await _deliver_events(line, send, call, answer)
    body = answer.body
    cut = fault.drop == "mid_body"
    await send(_start(answer.status, answer.headers, answer.media_type, len(body)))
    await send({"type": "http.response.body", "body": body[: len(body) // 2] if cut else body, "more_body": cut})
    if cut:
        await break_off(line, call, reset=fault.reset)
        return "cut"
    return str(answer.status)


async def _deliver_events(line: Line, send: Send, call: Call, answer: Events) -> str:
    await send(_start(200, answer.headers, answer.media_type, None))
    async for piece in answer.pieces:
        if call.fault.drop == "mid_body" and len(piece) > 512:
            await send({"type": "http.response.body", "body": piece[: len(piece) // 2], "more_body": True})
            await break_off(line, call, reset=call.fault.reset)
            return "cut"
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return "200"


def _start(status: int, headers: Mapping[str, str], media_type: str, length: int | None) -> dict[str, Any]:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"content-type", media_type.encode("latin-1")))
    if length is not None:
        pairs.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": status, "headers": pairs}


async def break_off(line: Line, call: Call, *, reset: bool) -> None:
    """Close the connection, and wait until the server knows: it would answer 500 for us otherwise."""
    await asyncio.sleep(0.02)  # let what was written reach the client: RST discards what is still in its buffers
    line.drop(reset=reset)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(call.gone.wait(), 5)
