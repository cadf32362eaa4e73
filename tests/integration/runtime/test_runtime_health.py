"""Health, reflection and admission: what probes see, and who is let in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from runtime_rig import SERVICE, Stub, echo, running, served, text

from imagerouter.runtime import errors
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.status import from_rpc_error
from imagerouter.runtime.watchdog import watch_loop

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _check(channel: grpc.aio.Channel, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


async def _becomes(channel: grpc.aio.Channel, service: str, expected: int, within_s: float = 2) -> None:
    async with asyncio.timeout(within_s):
        while await _check(channel, service) != expected:
            await asyncio.sleep(0.01)


async def test_ready_follows_the_service() -> None:
    """A service is not ready until it says so, and again when it says no or fails to answer; liveness never moves."""
    answers: list[Any] = [False]

    async def ready() -> bool:
        if isinstance(answers[0], Exception):
            raise answers[0]
        if answers[0] is None:
            await asyncio.sleep(60)
        return bool(answers[0])

    changes = {"readiness_interval_s": 0.05, "readiness_timeout_s": 0.05}
    async with served(ready=ready, changes=changes, Unary=echo) as port, open_channel(f"127.0.0.1:{port}") as channel:
        assert await _check(channel, SERVICE) == NOT_SERVING
        for answer, expected in ((True, SERVING), (False, NOT_SERVING), (True, SERVING), (OSError("x"), NOT_SERVING)):
            answers[0] = answer
            await _becomes(channel, SERVICE, expected)
        answers[0] = True
        await _becomes(channel, SERVICE, SERVING)
        answers[0] = None
        await _becomes(channel, SERVICE, NOT_SERVING)
        assert [await _check(channel, name) for name in ("", "liveness")] == [SERVING, SERVING]


async def test_not_ready_until_the_first_answer() -> None:
    """A service whose first answer is still out is not ready, even for a moment."""

    async def ready() -> bool:
        await asyncio.sleep(60)
        return True

    changes = {"readiness_timeout_s": 60.0}
    async with served(ready=ready, changes=changes, Unary=echo) as port, open_channel(f"127.0.0.1:{port}") as channel:
        assert await _check(channel, SERVICE) == NOT_SERVING


async def test_an_unknown_service_is_not_found() -> None:
    """A probe with a typo does not pass."""
    async with served(Unary=echo) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _check(channel, "rig.Rigg")

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_draining_is_said_first() -> None:
    """When the drain begins, readiness goes at once and liveness stays, while calls are still served."""
    async with (
        running(changes={"drain_settle_s": 0.5}, Unary=echo) as (server, port),
        open_channel(f"127.0.0.1:{port}", health_service="") as channel,
    ):
        await _becomes(channel, SERVICE, SERVING)
        order: list[str] = []

        async def on_drain() -> None:
            order.append("on_drain")

        server.on_drain(on_drain)
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0.1)

        assert server.draining.is_set()
        assert order == ["on_drain"]
        assert await _check(channel, SERVICE) == NOT_SERVING
        assert await _check(channel, "liveness") == SERVING
        assert (await Stub(channel).Unary(text("x"))).value == "x"
        await drain


async def test_reflection_is_off_unless_asked_for() -> None:
    """Reflection lists our services behind its flag only."""

    async def services(port: int) -> list[str]:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            answers = [answer async for answer in stub.ServerReflectionInfo(iter([asked]))]
        return [service.name for service in answers[0].list_services_response.service]

    async with served(changes={"reflection": True}, Unary=echo) as port:
        assert SERVICE in await services(port)
    async with served(Unary=echo) as port:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await services(port)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_overload_is_refused_with_a_delay() -> None:
    """Beyond a method's limit calls are refused as OVERLOADED, unsent and with RetryInfo; health is not limited."""
    release = asyncio.Event()

    async def unary(request: Any, context: Any) -> Any:
        await release.wait()
        return request

    changes = {"method_limits": {"Unary": 2}, "inflight_limit": 1, "overload_retry_after_s": 0.75}
    async with (
        served(changes=changes, Unary=unary, Read=echo) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = Stub(channel)
        calls = [asyncio.ensure_future(_outcome(stub.Unary(text()))) for _ in range(10)]
        await asyncio.sleep(0.2)
        assert await _check(channel, "liveness") == SERVING
        assert (await stub.Read(text("other method"))).value == "other method"
        release.set()
        outcomes = await asyncio.gather(*calls)
        again = await _outcome(stub.Unary(text()))

    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.Overloaded)]
    assert len(refused) == 8
    assert refused[0].retry_after_s == 0.75
    assert refused[0].metadata == {"phase": "not_sent", "method": "rig.Rig/Unary"}
    assert again is None


async def _outcome(call: Any) -> errors.ImageRouterError | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


async def test_a_stalled_loop_is_not_alive() -> None:
    """Three stalls in a row are death, one is not, and a loop that runs again is alive again."""
    said: list[bool] = []

    async def set_alive(alive: bool) -> None:
        said.append(alive)

    watchdog = asyncio.create_task(watch_loop(set_alive, lag_s=0.05, period_s=0.01))
    await asyncio.sleep(0.05)
    time.sleep(0.2)
    await asyncio.sleep(0.1)
    assert said == []

    for _ in range(3):
        time.sleep(0.2)
        for _ in range(5):
            await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    watchdog.cancel()

    assert said == [False, True]


async def test_one_ready_line(log_lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A server announces itself once, when it is ready, with the address that it bound."""
    answer = False

    async def ready() -> bool:
        return answer

    async with served(ready=ready, Unary=echo) as port:
        await asyncio.sleep(0.1)
        assert [line for line in log_lines() if line["event"] == "ready"] == []
        answer = True
        await asyncio.sleep(0.3)

    (line,) = [line for line in log_lines() if line["event"] == "ready"]
    assert (line["address"], line["port"], line["services"]) == (f"127.0.0.1:{port}", port, [SERVICE])


async def test_a_taken_port_is_an_error() -> None:
    """Two servers never share a port."""
    async with served(Unary=echo) as port:
        with pytest.raises(RuntimeError, match="bind"):
            async with served(changes={"listen": f"127.0.0.1:{port}"}, Unary=echo):
                pass


async def test_a_unix_socket(tmp_path: Any) -> None:
    """A server may listen on a unix socket."""
    address = f"unix:{tmp_path}/s"
    async with served(changes={"listen": address}, Unary=echo), open_channel(address) as channel:
        assert (await Stub(channel).Unary(text("x"))).value == "x"


async def test_a_watcher_does_not_hold_the_drain() -> None:
    """A stream that watches health sees the end of readiness, and ends with the server instead of keeping it."""
    async with running(Unary=echo) as (server, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await _becomes(channel, SERVICE, SERVING)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        first = await watch.read()
        began = time.monotonic()
        await server.drain()
        took = time.monotonic() - began
        rest = [response.status async for response in _reads(watch)]

    assert [first.status, *rest] == [SERVING, NOT_SERVING]
    assert await watch.code() is grpc.StatusCode.OK
    assert took < 2


async def _reads(call: Any) -> Any:
    while (response := await call.read()) is not grpc.aio.EOF:
        yield response
