"""Cancellation reaches the leaf, whoever cancels and with tracing on, and every span still ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from runtime_rig import Stub, finished, served, text

from imagerouter.runtime.channel import cancelled_after, open_channel

Spans = Callable[[], tuple[ReadableSpan, ...]]
WITHIN_S = 1.0


class Leaf:
    """A leaf that works for a minute unless it is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def unary(self, request: Any, context: Any) -> Any:
        await self._work()
        return request

    async def answers(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield text("first")
        await self._work()

    async def requests(self, requests: Any, context: Any) -> Any:
        async for _ in requests:
            await self._work()
        return text()

    async def both(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request
            await self._work()

    async def _work(self) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def behaviours(self) -> dict[str, Any]:
        return {"Unary": self.unary, "Answers": self.answers, "Requests": self.requests, "Both": self.both}


def _middle(leaf: Stub) -> dict[str, Any]:
    """A hop that passes every kind of call on."""

    async def unary(request: Any, context: Any) -> Any:
        return await leaf.Unary(request)

    async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in leaf.Answers(request):
            yield answer

    async def requests(requests: Any, context: Any) -> Any:
        return await leaf.Requests(requests)

    async def both(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in leaf.Both(requests):
            yield answer

    return {"Unary": unary, "Answers": answers, "Requests": requests, "Both": both}


async def _requests() -> AsyncIterator[Any]:
    yield text("one")
    await asyncio.sleep(60)


async def _call(stub: Stub, kind: str, calls: list[Any]) -> None:
    request = text() if kind in {"Unary", "Answers"} else _requests()
    call = getattr(stub, kind)(request)
    calls.append(call)
    await finished(call)


async def _by_task(stub: Stub, kind: str, leaf: Leaf) -> None:
    task = asyncio.create_task(_call(stub, kind, []))
    await leaf.begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _by_call(stub: Stub, kind: str, leaf: Leaf) -> None:
    calls: list[Any] = []
    task = asyncio.create_task(_call(stub, kind, calls))
    await leaf.begun.wait()
    calls[0].cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _by_timeout(stub: Stub, kind: str, leaf: Leaf) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await _call(stub, kind, [])


async def _by_deadline(stub: Stub, kind: str, leaf: Leaf) -> None:
    request = text() if kind in {"Unary", "Answers"} else _requests()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await finished(getattr(stub, kind)(request, timeout=0.3))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("kind", ["Unary", "Answers", "Requests", "Both"])
@pytest.mark.parametrize("way", [_by_task, _by_call, _by_timeout, _by_deadline])
async def test_reaches_the_leaf(way: Any, kind: str, spans: Spans) -> None:
    """Through two hops, in all ways and for all kinds; the hop in between is cancelled by its server. All spans end."""
    leaf = Leaf()
    async with (
        served(**leaf.behaviours()) as leaf_port,
        open_channel(f"127.0.0.1:{leaf_port}") as inner,
        served(**_middle(Stub(inner))) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        await way(Stub(channel), kind, leaf)
        async with asyncio.timeout(WITHIN_S):
            await leaf.cancelled.wait()

    ended = sorted((span.kind.name, span.attributes["rpc.status_code"]) for span in spans())  # type: ignore[index]
    assert [kind for kind, _ in ended] == ["CLIENT", "CLIENT", "SERVER", "SERVER"]
    assert {code for _, code in ended} <= {"CANCELLED", "DEADLINE_EXCEEDED"}
    (trace_id,) = {span.context.trace_id for span in spans()}
    assert trace_id


async def test_at_every_moment() -> None:
    """A task cancelled after any number of turns of the loop leaves no call running: there is no gap."""
    running = 0

    async def unary(request: Any, context: Any) -> Any:
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        await channel.channel_ready()
        for turns in range(60):
            task = asyncio.create_task(_call(stub, "Unary", []))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.sleep(0.2)

        assert running == 0


async def test_an_abandoned_stream_is_cancelled() -> None:
    """Leaving `async for` early, with nobody holding the call, ends it at once and without the garbage collector."""
    leaf = Leaf()
    gc.disable()
    try:
        async with served(**leaf.behaviours()) as port, open_channel(f"127.0.0.1:{port}") as channel:
            async for _ in Stub(channel).Answers(text()):
                break
            async with asyncio.timeout(WITHIN_S):
                await leaf.cancelled.wait()
    finally:
        gc.enable()


async def test_cancelled_after_the_block() -> None:
    """A call held in a block ends with the block, whatever else holds it."""
    leaf = Leaf()
    async with served(**leaf.behaviours()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        call = Stub(channel).Answers(text())
        with suppress(ZeroDivisionError), cancelled_after(call):
            await leaf.begun.wait()
            _ = 1 / 0
        async with asyncio.timeout(WITHIN_S):
            await leaf.cancelled.wait()
        assert call.cancelled()


async def test_a_vanished_caller_cancels(spans: Spans) -> None:
    """Closing the channel under a call cancels its handler."""
    leaf = Leaf()
    async with served(**leaf.behaviours()) as port:
        channel = open_channel(f"127.0.0.1:{port}")
        task = asyncio.create_task(_call(Stub(channel), "Unary", []))
        await leaf.begun.wait()
        await channel.close()
        async with asyncio.timeout(WITHIN_S):
            await leaf.cancelled.wait()
        with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
            await task

    assert {span.kind for span in spans()} == {SpanKind.CLIENT, SpanKind.SERVER}


async def test_a_remote_cancelled_is_not_our_own() -> None:
    """CANCELLED that a server says is an error of the call; only our own cancellation is CancelledError."""

    async def unary(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.CANCELLED, "not you")

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel).Unary(text())

    assert caught.value.code() is grpc.StatusCode.CANCELLED
