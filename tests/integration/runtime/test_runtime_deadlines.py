"""Deadlines travel with the work, shorter at each hop, and end where the work is detached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from runtime_rig import Stub, echo, running, served, text

from imagerouter.runtime import errors
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.context import current_tenant
from imagerouter.runtime.deadline import RESERVE_S, deadline_scope, time_left
from imagerouter.runtime.status import from_rpc_error


class Chain:
    """Client → middle → leaf; notes what each had left, and for which tenant."""

    def __init__(self) -> None:
        self.left: dict[str, float | None] = {}
        self.tenant: dict[str, str | None] = {}

    async def leaf(self, request: Any, context: Any) -> Any:
        self._note("leaf", context)
        return request

    def middle(self, stub: Stub, timeout: float | None) -> Any:
        async def unary(request: Any, context: Any) -> Any:
            self._note("middle", context)
            return await stub.Unary(request, timeout=timeout)

        return unary

    def _note(self, hop: str, context: Any) -> None:
        self.left[hop] = context.time_remaining()
        self.tenant[hop] = current_tenant()


async def _through(asked: float | None, inner_timeout: float | None = None, **channel_options: Any) -> Chain:
    chain = Chain()
    async with (
        served(Unary=chain.leaf) as leaf_port,
        open_channel(f"127.0.0.1:{leaf_port}", **channel_options) as inner,
        served(Unary=chain.middle(Stub(inner), inner_timeout)) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        await Stub(channel).Unary(text(), timeout=asked, metadata=(("imagerouter-tenant", "acme"),))
    return chain


async def test_shaved_at_each_hop() -> None:
    """Without a word of the middle's, the leaf has the caller's deadline less the reserve, and its tenant."""
    chain = await _through(5.0)

    middle, leaf = chain.left["middle"], chain.left["leaf"]
    assert middle is not None
    assert leaf is not None
    assert 4.5 < middle <= 5.0
    assert middle - 0.5 < leaf <= middle - RESERVE_S
    assert chain.tenant == {"middle": "acme", "leaf": "acme"}


@pytest.mark.parametrize("asked", [1.234, 12.345, 61.01, 123.4])
async def test_rounding_gives_no_time_away(asked: float) -> None:
    """GRPC rounds timeouts up on the wire; the leaf still has less than the client."""
    chain = await _through(asked)

    assert asked - 1.5 < (chain.left["leaf"] or 0) < asked


async def test_a_shorter_timeout_wins() -> None:
    """A hop may ask for less than is left, and not for more."""
    shorter, longer = await _through(5.0, 1.0), await _through(1.0, 5.0)

    assert 0.5 < (shorter.left["leaf"] or 0) <= 1.0
    assert 0.5 < (longer.left["leaf"] or 0) < 1.0


async def test_no_deadline_is_no_deadline() -> None:
    """A caller without a deadline gives none on, unless the channel has a default."""
    assert (await _through(None)).left == {"middle": None, "leaf": None}
    assert 2 < ((await _through(None, default_timeout_s=3.0)).left["leaf"] or 0) < 3.02


async def test_the_inner_hop_times_out_first() -> None:
    """Who is stuck is known: the hop next to it says so before the caller gives up."""

    async def leaf(request: Any, context: Any) -> Any:
        await asyncio.sleep(60)

    async with served(Unary=leaf) as leaf_port, open_channel(f"127.0.0.1:{leaf_port}") as inner:

        async def middle(request: Any, context: Any) -> Any:
            return await Stub(inner).Unary(request)

        async with served(Unary=middle) as port, open_channel(f"127.0.0.1:{port}") as channel:
            with deadline_scope(None), pytest.raises(grpc.aio.AioRpcError) as caught:
                await Stub(channel).Unary(text(), timeout=0.5)

    error = from_rpc_error(caught.value)
    assert (type(error), error.reason) == (errors.TimedOut, "DEPENDENCY_UNAVAILABLE")
    assert error.metadata["phase"] == "sent_unknown"


async def test_hopeless_calls_are_not_sent() -> None:
    """With less than the reserve left, no call leaves the process; the error is typed and says so."""
    served_calls = 0

    async def unary(request: Any, context: Any) -> Any:
        nonlocal served_calls
        served_calls += 1
        return request

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with deadline_scope(RESERVE_S), pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel).Unary(text())

    error = from_rpc_error(caught.value)
    assert (type(error), error.metadata) == (errors.DeadlinePast, {"phase": "not_sent"})
    assert served_calls == 0


async def test_streams_are_shaved_too() -> None:
    """The answering stream of a child call ends with its caller's deadline."""

    async def leaf(request: Any, context: Any) -> AsyncIterator[Any]:
        yield text(str(context.time_remaining()))

    async with served(Answers=leaf) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with deadline_scope(2.0):
            (answer,) = [answer async for answer in Stub(channel).Answers(text())]

    assert 1.5 < float(answer.value) <= 2.0 - RESERVE_S


async def test_spawned_work_outlives_its_call() -> None:
    """Work that a handler spawns is free of the call's deadline and cancellation, keeps tenant and trace, and is
    waited for.
    """
    seen: dict[str, Any] = {}

    async with running(Read=echo, Unary=echo) as (server, port), open_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)

        async def work() -> None:
            await asyncio.sleep(0.3)
            seen.update(left=time_left(), tenant=current_tenant())
            await stub.Read(text())

        async def unary(request: Any, context: Any) -> Any:
            server.spawn(work(), name="work")
            await asyncio.sleep(60)

        async with running(Unary=unary) as (outer, outer_port), open_channel(f"127.0.0.1:{outer_port}") as to_outer:
            server = outer
            with pytest.raises(grpc.aio.AioRpcError):
                await Stub(to_outer).Unary(text(), timeout=0.1, metadata=(("imagerouter-tenant", "acme"),))
            began = time.monotonic()
            await outer.stop(5)
            waited = time.monotonic() - began

    assert seen == {"left": None, "tenant": "acme"}
    assert 0.1 < waited < 2


async def test_a_late_call_is_logged_as_late(log_lines: Callable[[], list[dict[str, Any]]]) -> None:
    """The server's line says DEADLINE_EXCEEDED where the deadline ended a call, and CANCELLED where the caller did."""

    async def unary(request: Any, context: Any) -> Any:
        await asyncio.sleep(60)

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await Stub(channel).Unary(text(), timeout=0.1)
        call = Stub(channel).Unary(text(), timeout=10)
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.sleep(0.1)

    assert [line["code"] for line in log_lines() if line["event"] == "rpc"] == ["DEADLINE_EXCEEDED", "CANCELLED"]
