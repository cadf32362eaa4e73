"""SIGTERM of real processes: under load no call is lost, and everything that was begun ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from runtime_rig import Stub, process, text

from imagerouter.runtime.channel import open_channel

QUICK = {"IMAGEROUTER_READINESS_INTERVAL_S": "0.1"}


async def _load(stub: Stub, until: asyncio.Event, outcomes: Counter[str]) -> None:
    while not until.is_set():
        try:
            await stub.Unary(text("0.02"), timeout=10)
        except grpc.aio.AioRpcError as error:
            outcomes[f"{error.code().name}: {error.details()}"] += 1
        else:
            outcomes["OK"] += 1


async def _one_of_two(clients: int) -> tuple[Counter[str], int]:
    """Two replicas under load from several clients; one is drained. Returns outcomes and the exit code."""
    outcomes: Counter[str] = Counter()
    enough = asyncio.Event()
    async with process("runtime_service", **QUICK) as one, process("runtime_service", **QUICK) as two:
        ports = [(await each.line("ready"))["port"] for each in (one, two)]
        target = f"ipv4:127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
        channels = [open_channel(target) for _ in range(2)]
        load = [asyncio.create_task(_load(Stub(channels[i % 2]), enough, outcomes)) for i in range(clients)]
        await asyncio.sleep(1)
        before = outcomes["OK"]
        one.signal(signal.SIGTERM)
        code = await one.ended()
        assert outcomes["OK"] > before
        await asyncio.sleep(0.3)
        enough.set()
        await asyncio.gather(*load)
        await asyncio.gather(*(channel.close() for channel in channels))
    return outcomes, code


async def test_no_call_fails_when_one_of_two_drains() -> None:
    """Forty looping clients on two channels see no failure while a replica is drained."""
    outcomes, code = await _one_of_two(40)

    assert set(outcomes) == {"OK"}
    assert outcomes["OK"] > 200
    assert code == 0


async def test_calls_in_progress_end() -> None:
    """A lone server answers all that it has begun, refuses what comes later as UNAVAILABLE, and exits with 0."""
    async with process("runtime_service", **QUICK) as alone:
        port = (await alone.line("ready"))["port"]
        async with open_channel(f"127.0.0.1:{port}") as channel:
            stub = Stub(channel)
            calls = [asyncio.ensure_future(stub.Unary(text("1.5"), timeout=10)) for _ in range(50)]
            stream = stub.Answers(text())
            assert (await anext(aiter(stream))).value == "first"
            await asyncio.sleep(0.3)
            alone.signal(signal.SIGTERM)
            answers = await asyncio.gather(*calls)
            last = [answer.value async for answer in stream]
        code = await alone.ended()

    assert {answer.value for answer in answers} == {"rig"}
    assert last == ["last"]
    assert code == 0
    assert [line["event"] for line in alone.lines if line["event"] in {"ready", "draining", "drained"}] == [
        "ready",
        "draining",
        "drained",
    ]
    assert all(line["service"] == "rig" for line in alone.lines)


async def test_spawned_work_ends(tmp_path: Path) -> None:
    """Work without a call is waited for: what was begun is in the ledger before the process ends."""
    file = tmp_path / "done"
    async with process("runtime_service", **QUICK, RIG_FILE=str(file)) as alone:
        port = (await alone.line("ready"))["port"]
        async with open_channel(f"127.0.0.1:{port}") as channel:
            await Stub(channel).Read(text())
        alone.signal(signal.SIGTERM)
        assert await alone.ended() == 0

    assert file.read_text() == "done"


async def test_the_grace_is_bounded() -> None:
    """A call longer than the grace does not keep the process; its caller sees UNAVAILABLE."""
    async with process("runtime_service", **QUICK, IMAGEROUTER_DRAIN_GRACE_S="0.5") as alone:
        port = (await alone.line("ready"))["port"]
        async with open_channel(f"127.0.0.1:{port}") as channel:
            call = asyncio.ensure_future(_code(Stub(channel).Unary(text("60"))))
            await asyncio.sleep(0.3)
            began = time.monotonic()
            alone.signal(signal.SIGTERM)
            assert await alone.ended() == 0
            assert await call in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

    assert time.monotonic() - began < 4


async def test_a_second_signal_hurries() -> None:
    """Ctrl-C twice ends a drain at once."""
    async with process("runtime_service", **QUICK) as alone:
        port = (await alone.line("ready"))["port"]
        async with open_channel(f"127.0.0.1:{port}") as channel:
            call = asyncio.ensure_future(_code(Stub(channel).Unary(text("60"))))
            await asyncio.sleep(0.3)
            began = time.monotonic()
            alone.signal(signal.SIGINT)
            await alone.line("draining")
            alone.signal(signal.SIGINT)
            assert await alone.ended() == 0
            await call

    assert time.monotonic() - began < 3


async def _code(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_bad_configuration_exits_with_78() -> None:
    """A process that cannot be configured does not come up; it says why and exits with 78."""
    async with process("runtime_service", IMAGEROUTER_DRAIN_GRACE_S="soon", IMAGEROUTER_LOG_LEVEL="LOUD") as bad:
        assert await bad.ended() == 78

    assert len([line for line in bad.lines if line.get("text", "").startswith("configuration: IMAGEROUTER_")]) == 2
