"""Each channel and server option by what it does: gRPC ignores the names of options that it does not know."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from runtime_dns import DnsServer
from runtime_rig import Stub, echo, path, process, running, served, text

from imagerouter.runtime import errors
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.status import from_rpc_error

KIB = 1024


async def _error(call: Any) -> errors.ImageRouterError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def _failing(counts: Counter[str], name: str) -> Any:
    async def behaviour(request: Any, context: Any) -> Any:
        counts[name] += 1
        raise errors.Unavailable("not now")

    return behaviour


async def test_only_listed_reads_are_retried() -> None:
    """Counted at the server: a listed read that is UNAVAILABLE is sent three times, anything else once."""
    counts: Counter[str] = Counter()
    behaviours = {name: _failing(counts, name) for name in ("Unary", "Read")}
    async with (
        served(**behaviours) as port,
        open_channel(f"127.0.0.1:{port}", retry_reads=[path("Read")]) as channel,
    ):
        assert isinstance(await _error(Stub(channel).Unary(text())), errors.Unavailable)
        assert isinstance(await _error(Stub(channel).Read(text())), errors.Unavailable)

    assert counts == {"Unary": 1, "Read": 3}


async def test_large_reads_are_retried_too() -> None:
    """A read of 400 KiB is retried like a small one, although gRPC's own buffer ends at 256."""
    counts: Counter[str] = Counter()
    async with (
        served(Read=_failing(counts, "Read")) as port,
        open_channel(f"127.0.0.1:{port}", retry_reads=[path("Read")]) as channel,
    ):
        await _error(Stub(channel).Read(text("x" * 400 * KIB)))

    assert counts["Read"] == 3


async def test_retries_are_throttled() -> None:
    """When everything fails, retries stop: they are for moments, not for outages."""
    counts: Counter[str] = Counter()
    async with (
        served(Read=_failing(counts, "Read")) as port,
        open_channel(f"127.0.0.1:{port}", retry_reads=[path("Read")]) as channel,
    ):
        for _ in range(20):
            await _error(Stub(channel).Read(text()))

    assert 20 <= counts["Read"] <= 28


async def test_paying_calls_are_never_resent() -> None:
    """A server killed under calls that are no listed reads leaves one execution of each, and typed errors."""
    begun = Counter[str]()

    async def work(request: Any, context: Any) -> Any:
        begun[request.value] += 1
        await asyncio.sleep(60)

    async with (
        running(Unary=work, Read=_named("a")) as (one, first),
        served(Unary=work, Read=_named("b")) as second,
        open_channel(f"ipv4:127.0.0.1:{first},127.0.0.1:{second}", retry_reads=[path("Read")]) as channel,
    ):
        stub = Stub(channel)
        await _until_answered_by(stub.Read, {"a", "b"})
        calls = [asyncio.ensure_future(_outcome(stub.Unary(text(str(i)), timeout=1))) for i in range(20)]
        await asyncio.sleep(0.3)
        await one.stop(0)
        outcomes = Counter(await asyncio.gather(*calls))

    assert set(begun.values()) == {1}
    assert outcomes == {"UNAVAILABLE": 10, "DEADLINE_EXCEEDED": 10}


def _named(name: str) -> Any:
    async def behaviour(request: Any, context: Any) -> Any:
        return text(name)

    return behaviour


async def _until_answered_by(method: Any, names: set[str]) -> None:
    seen: set[str] = set()
    async with asyncio.timeout(5):
        while seen != names:
            seen.add((await method(text())).value)


async def _outcome(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@pytest.mark.parametrize("strict", ["client", "server"])
@pytest.mark.parametrize("large", ["request", "answer"])
async def test_messages_have_a_limit(strict: str, large: str) -> None:
    """A message over 512 KiB is TOO_LARGE whoever sends it, where either side is strict; one just under is not."""

    async def unary(request: Any, context: Any) -> Any:
        return text("y" * int(request.value[:10]))

    request = text("0" * 600 * KIB) if large == "request" else text(f"{600 * KIB:010d}")
    generous = {"max_message_bytes": 4 * KIB * KIB}
    async with (
        served(changes=generous if strict == "client" else {}, Unary=unary) as port,
        open_channel(f"127.0.0.1:{port}", **(generous if strict == "server" else {})) as channel,
    ):
        error = await _error(Stub(channel).Unary(request))
        assert (await Stub(channel).Unary(text("0000000001" + "x" * 511 * KIB))).value == "y"

    assert (type(error), error.reason) == (errors.TooLarge, "TOO_LARGE")


async def test_a_server_may_take_more() -> None:
    """The limit is a setting of each server and channel."""
    async with (
        served(changes={"max_message_bytes": 2 * KIB * KIB}, Unary=echo) as port,
        open_channel(f"127.0.0.1:{port}", max_message_bytes=2 * KIB * KIB) as channel,
    ):
        assert len((await Stub(channel).Unary(text("x" * 1000 * KIB))).value) == 1000 * KIB


async def test_a_burst_is_served() -> None:
    """5,000 calls at once on one connection: every one is answered, none is CANCELLED before it reaches us."""
    async with (
        served(changes={"inflight_limit": 5000}, Unary=echo) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        await channel.channel_ready()
        stub = Stub(channel)
        outcomes = Counter(await asyncio.gather(*(_outcome(stub.Unary(text())) for _ in range(5000))))

    assert outcomes == {"OK": 5000}


async def test_beyond_the_pending_limits_calls_are_refused() -> None:
    """Both limits on pending calls take hold: from the first one on some of a burst are refused, at the second all."""
    gently, harshly = await _burst_through(1, 20_000), await _burst_through(1, 2)

    assert 0 < 1000 - gently < 200
    assert harshly < 800


async def _burst_through(soft: int, hard: int) -> int:
    """Return how many of 1,000 calls at once are served."""
    changes = {"inflight_limit": 5000, "max_pending_requests": soft, "max_pending_requests_hard": hard}
    async with served(changes=changes, Unary=echo) as port, open_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        stub = Stub(channel)
        outcomes = Counter(await asyncio.gather(*(_outcome(stub.Unary(text())) for _ in range(1000))))
    return outcomes["OK"]


@pytest.mark.slow
async def test_frequent_pings_are_allowed() -> None:
    """Clients that ping as often as they may keep their connections, whether there is a long call on them or none."""

    async def slow(request: Any, context: Any) -> Any:
        await asyncio.sleep(float(request.value))
        return text(context.peer())

    options = [
        ("grpc.keepalive_time_ms", 200),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with (
        served(changes={"min_ping_interval_s": 0.2}, Unary=slow) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as busy,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as idle,
    ):
        before = (await Stub(idle).Unary(text("0"))).value
        assert await _outcome(Stub(busy).Unary(text("5.5"))) == "OK"
        after = (await Stub(idle).Unary(text("0"))).value

    assert before == after


async def test_vanished_links_are_noticed() -> None:
    """Both ends tell the kernel how long sent bytes may go unacknowledged: the keepalive's timeout."""
    changes = {"keepalive_timeout_s": 1.25}
    async with (
        served(changes=changes, Unary=echo) as port,
        open_channel(f"127.0.0.1:{port}", keepalive_timeout_s=1.75) as channel,
    ):
        await Stub(channel).Unary(text())

        assert _user_timeouts(port) == {1250, 1750}


def _user_timeouts(port: int) -> set[int]:
    """TCP_USER_TIMEOUT of this process's connections to or from the port, in milliseconds."""
    found = set()
    for entry in list(Path("/proc/self/fd").iterdir()):
        if not entry.is_socket():
            continue
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as duplicate:
            if duplicate.family is not socket.AF_UNIX and port in (
                duplicate.getsockname()[1],
                duplicate.getpeername()[1],
            ):
                found.add(duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


@pytest.mark.slow
async def test_a_frozen_server_is_noticed() -> None:
    """Calls of a server whose process is stopped fail after the ping's timeout, although its kernel acknowledges."""
    async with process("runtime_service", IMAGEROUTER_MIN_PING_INTERVAL_S="0.2") as frozen:
        port = (await frozen.line("ready"))["port"]
        async with open_channel(f"127.0.0.1:{port}", keepalive_s=1.0, keepalive_timeout_s=0.5) as channel:
            call = asyncio.ensure_future(_outcome(Stub(channel).Unary(text("60"))))
            await asyncio.sleep(1.2)
            frozen.signal(signal.SIGSTOP)
            async with asyncio.timeout(5):
                assert await call == "UNAVAILABLE"


async def test_a_frozen_caller_is_noticed() -> None:
    """A caller whose process is stopped, and whose kernel still acknowledges, is gone after the ping's timeout."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def unary(request: Any, context: Any) -> Any:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    changes = {"keepalive_time_s": 0.5, "keepalive_timeout_s": 0.5}
    async with served(changes=changes, Unary=unary) as port, process("runtime_caller", str(port)) as caller:
        async with asyncio.timeout(10):
            await begun.wait()
        # By now the pings that go with the first data are answered; what follows is our keepalive's doing.
        await asyncio.sleep(1)
        caller.signal(signal.SIGSTOP)
        async with asyncio.timeout(5):
            await ended.wait()


async def test_old_connections_are_replaced_and_their_calls_end() -> None:
    """A connection is asked to reconnect at its age; a call that is longer than that still ends well."""

    async def unary(request: Any, context: Any) -> Any:
        await asyncio.sleep(float(request.value))
        return text(context.peer())

    changes = {"connection_age_s": 0.5, "connection_age_grace_s": 10.0}
    async with served(changes=changes, Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        long = asyncio.ensure_future(stub.Unary(text("2")))
        peers = set()
        for _ in range(20):
            peers.add((await stub.Unary(text("0.1"))).value)
        await long

    assert len(peers) > 1


async def test_the_age_grace_is_not_endless() -> None:
    """A call beyond the connection's grace is ended: the grace is set, and must exceed the longest deadline."""

    async def unary(request: Any, context: Any) -> Any:
        await asyncio.sleep(10)

    changes = {"connection_age_s": 0.2, "connection_age_grace_s": 0.3}
    async with served(changes=changes, Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        began = time.monotonic()
        assert await _outcome(Stub(channel).Unary(text())) == "UNAVAILABLE"

    assert time.monotonic() - began < 5


async def test_all_addresses_are_used() -> None:
    """Calls go round over all addresses of a target."""
    async with (
        served(Unary=_named("a")) as a,
        served(Unary=_named("b")) as b,
        open_channel(f"ipv4:127.0.0.1:{a},127.0.0.1:{b}") as channel,
    ):
        stub = Stub(channel)
        await _until_answered_by(stub.Unary, {"a", "b"})
        answers = Counter([(await stub.Unary(text())).value for _ in range(20)])

    assert answers == {"a": 10, "b": 10}


@pytest.mark.slow
async def test_new_replicas_are_found() -> None:
    """A replica added to DNS takes traffic within seconds: connections age, and names are looked up again."""
    changes = {"connection_age_s": 1.0}
    async with (
        DnsServer(["127.0.0.1"]) as dns,
        served(changes=changes, Unary=_named("a")) as port,
        open_channel(f"dns://127.0.0.1:{dns.port}/rig.test:{port}") as channel,
    ):
        stub = Stub(channel)
        assert (await stub.Unary(text(), timeout=10)).value == "a"
        async with served(changes=changes | {"listen": f"127.0.0.2:{port}"}, Unary=_named("b")):
            dns.addresses.append("127.0.0.2")
            async with asyncio.timeout(12):
                while (await stub.Unary(text(), timeout=5)).value != "b":
                    await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_restarted_server_is_found_again() -> None:
    """A server that was away for seconds is used again within about one: reconnecting does not back off for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with open_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        until = time.monotonic() + 7
        while time.monotonic() < until:
            assert await _outcome(stub.Unary(text())) == "UNAVAILABLE"
            await asyncio.sleep(0.05)
        async with served(changes={"listen": f"127.0.0.1:{port}"}, Unary=echo):
            began = time.monotonic()
            while await _outcome(stub.Unary(text())) != "OK":
                await asyncio.sleep(0.02)

    assert time.monotonic() - began < 1.7


async def test_a_short_absence_is_a_short_pause(unused_tcp_port: int) -> None:
    """After one failed attempt the next one follows in a tenth of a second, not in a whole one."""
    address = f"127.0.0.1:{unused_tcp_port}"
    async with open_channel(address) as channel:
        stub = Stub(channel)
        assert await _outcome(stub.Unary(text())) == "UNAVAILABLE"
        async with served(changes={"listen": address}, Unary=echo):
            began = time.monotonic()
            while await _outcome(stub.Unary(text())) != "OK":
                await asyncio.sleep(0.01)

    assert time.monotonic() - began < 0.6


async def test_a_new_channel_starts_afresh(unused_tcp_port: int) -> None:
    """A channel does not inherit the pause that another one makes after failing to reach the same address."""
    address = f"127.0.0.1:{unused_tcp_port}"
    async with open_channel(address) as old:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert await _outcome(Stub(old).Unary(text())) == "UNAVAILABLE"
            await asyncio.sleep(0.05)
        async with served(changes={"listen": address}, Unary=echo), open_channel(address) as new:
            assert await _outcome(Stub(new).Unary(text())) == "OK"


async def test_callers_leave_a_draining_server() -> None:
    """A channel leaves an address as soon as it drains, while the others serve on."""
    slow_drain = {"drain_settle_s": 3.0}
    async with (
        running(changes=slow_drain, Unary=_named("a")) as (server, a),
        served(Unary=_named("b")) as b,
        open_channel(f"ipv4:127.0.0.1:{a},127.0.0.1:{b}") as channel,
    ):
        stub = Stub(channel)
        await _until_answered_by(stub.Unary, {"a", "b"})
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0.3)
        after = {(await stub.Unary(text())).value for _ in range(20)}
        drain.cancel()

    assert after == {"b"}
