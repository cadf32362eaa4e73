"""Traces, metrics and the canonical log line: complete across processes, named by the conventions, and bounded."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from runtime_collector import Collector
from runtime_rig import Stub, echo, process, served, text

from imagerouter.runtime import errors, names
from imagerouter.runtime.channel import open_channel

Spans = Callable[[], tuple[ReadableSpan, ...]]
LogLines = Callable[[], list[dict[str, Any]]]
QUICK = {"IMAGEROUTER_READINESS_INTERVAL_S": "0.1"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def test_edges_across_processes() -> None:
    """A call through two processes makes exactly these spans, each the child of its caller; all are exported."""
    async with Collector() as collector:
        otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", **QUICK}
        async with process("runtime_service", RIG_NAME="leaf", **otlp) as leaf:
            address = (await leaf.line("ready"))["address"]
            async with process("runtime_service", RIG_NAME="front", RIG_TARGET=address, **otlp) as front:
                port = (await front.line("ready"))["port"]
                # A client that is not ours: it sends a trace context and nothing else.
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    await Stub(channel).Unary(text("0"), metadata=(("traceparent", PARENT),))
                for each in (front, leaf):
                    each.signal(signal.SIGTERM)
                    assert await each.ended() == 0

    by_key = {(span.service, span.kind, span.name): span for span in collector.spans}
    server, client, internal = 2, 3, 1
    front_server = by_key["front", server, "rig.Rig/Unary"]
    front_client = by_key["front", client, "rig.Rig/Unary"]
    leaf_server = by_key["leaf", server, "rig.Rig/Unary"]
    decide = by_key["front", internal, names.SPAN_ROUTE_DECIDE]
    assert len(collector.spans) == 4
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert front_server.parent_id == "b7ad6b7169203331"
    assert decide.parent_id == front_server.span_id
    assert front_client.parent_id == front_server.span_id
    assert leaf_server.parent_id == front_client.span_id
    assert decide.events == [names.EVENT_DECISION]
    assert front_client.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "rig.Rig/Unary",
        "rpc.status_code": "OK",
        "server.address": "127.0.0.1",
        "server.port": int(address.rpartition(":")[2]),
    }
    assert leaf_server.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "rig.Rig/Unary",
        "rpc.status_code": "OK",
        "imagerouter.tenant": "default",
        "imagerouter.peer.class": "loopback",
    }
    assert leaf_server.schema_url == names.SCHEMA_URL
    line = await leaf.line("rpc")
    assert (line["trace_id"], line["span_id"]) == (TRACE, leaf_server.span_id)

    duration = collector.metrics["rpc.server.call.duration"]
    assert duration.unit == "s"
    assert duration.histogram.data_points[0].explicit_bounds[-1] == 120
    assert {"rpc.client.call.duration", "imagerouter.event_loop.lag", "imagerouter.rpc.inflight"} <= set(
        collector.metrics
    )
    labels = {pair.key for pair in duration.histogram.data_points[0].attributes}
    assert labels == {"rpc.system.name", "rpc.method", "rpc.status_code"}


@pytest.mark.parametrize("endpoint", ["refused", "silent"])
async def test_an_unreachable_collector_keeps_nobody(endpoint: str) -> None:
    """With a collector that refuses or never answers, calls are served and the process ends in bounded time."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if endpoint == "silent":
            silent.listen()
        otlp = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "60" if endpoint == "silent" else "5",
            "RIG_NAME": "lonely",
        }
        took = await _drain_time(otlp)

    assert took < 8


async def _drain_time(environment: dict[str, str]) -> float:
    async with process("runtime_service", **QUICK, **environment) as lonely:
        own = (await lonely.line("ready"))["port"]
        async with open_channel(f"127.0.0.1:{own}") as channel:
            assert (await Stub(channel).Unary(text("0"), timeout=5)).value == "lonely"
        lonely.signal(signal.SIGTERM)
        began = time.monotonic()
        assert await lonely.ended() == 0
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("metadata", "trace_id", "state"),
    [
        ((("traceparent", PARENT), ("tracestate", "a=1,b=2")), TRACE, "a=1,b=2"),
        ((("traceparent", PARENT), ("tracestate", "not valid !!")), TRACE, ""),
        ((("traceparent", PARENT), ("tracestate", "a=" + "1" * 600)), TRACE, ""),
        ((("traceparent", PARENT), ("tracestate", ",".join(f"k{i}={'v' * 90}" for i in range(6)))), TRACE, ""),
        ((("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")), TRACE, "a=1,b=2"),
        ((("traceparent", PARENT), ("traceparent", PARENT)), None, ""),
        ((("traceparent", "00-zz-b7ad6b7169203331-01"),), None, ""),
        ((("traceparent", f"00-{'0' * 32}-b7ad6b7169203331-01"),), None, ""),
        ((("tracestate", "a=1"),), None, ""),
        ((("baggage", "user=canary"),), None, ""),
    ],
)
async def test_trace_context_is_checked(
    metadata: Any, trace_id: str | None, state: str, spans: Spans, log_lines: LogLines
) -> None:
    """A valid context is followed, an invalid one is not, an invalid state is dropped; baggage never travels."""
    inner_metadata: list[Any] = []

    async def leaf(request: Any, context: Any) -> Any:
        inner_metadata.extend(context.invocation_metadata())
        return request

    async with served(Unary=leaf) as leaf_port, open_channel(f"127.0.0.1:{leaf_port}") as inner:

        async def middle(request: Any, context: Any) -> Any:
            return await Stub(inner).Unary(request)

        async with served(Unary=middle) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await Stub(channel).Unary(text(), metadata=metadata)

    passed = dict(inner_metadata)
    client = _client(spans())
    (outer,) = [span for span in spans() if span.context and client.parent.span_id == span.context.span_id]
    assert outer.context is not None
    assert (f"{outer.context.trace_id:032x}" == trace_id) == (trace_id is not None)
    assert passed["traceparent"].split("-")[1] == f"{outer.context.trace_id:032x}"
    assert passed.get("tracestate", "") == state
    assert "baggage" not in passed
    # Whoever sends nonsense does not write into our log.
    assert not any(value in str(log_lines()) for key, value in metadata if key != "traceparent")


def _client(spans: tuple[ReadableSpan, ...]) -> Any:
    (client,) = [span for span in spans if span.kind is SpanKind.CLIENT]
    return client


@pytest.mark.parametrize(
    ("error", "server_status"),
    [
        (errors.InvalidField("prompt", "is empty"), StatusCode.UNSET),
        (errors.NotFound("name", "x"), StatusCode.UNSET),
        (errors.Overloaded("x"), StatusCode.UNSET),
        (errors.Unavailable("x"), StatusCode.ERROR),
        (ValueError("CANARY"), StatusCode.ERROR),
    ],
)
async def test_whose_fault(error: Exception, server_status: StatusCode, spans: Spans) -> None:
    """A client span is an error whatever the code; a server span only for the server's own faults."""

    async def unary(request: Any, context: Any) -> Any:
        raise error

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Stub(channel).Unary(text())

    by_kind = {span.kind: span for span in spans()}
    server, client = by_kind[SpanKind.SERVER], by_kind[SpanKind.CLIENT]
    code = caught.value.code().name
    reason = error.reason if isinstance(error, errors.ImageRouterError) else "INTERNAL"
    assert (server.status.status_code, client.status.status_code) == (server_status, StatusCode.ERROR)
    assert server.attributes is not None
    assert client.attributes is not None
    assert server.attributes["rpc.status_code"] == client.attributes["rpc.status_code"] == code
    assert server.attributes["imagerouter.error.reason"] == client.attributes["imagerouter.error.reason"] == reason
    assert ("error.type" in server.attributes) == (server_status is StatusCode.ERROR)
    assert client.attributes["error.type"] == code
    assert "CANARY" not in str([span.to_json() for span in spans()])


async def test_probes_are_not_observed(spans: Spans, log_lines: LogLines) -> None:
    """Health checks leave neither spans nor log lines, from our channels or others."""
    async with served(Unary=echo) as port, open_channel(f"127.0.0.1:{port}") as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    assert spans() == ()
    assert [line for line in log_lines() if line["event"] == "rpc"] == []


async def test_one_line_for_each_call(log_lines: LogLines, spans: Spans) -> None:
    """Each call, whatever becomes of it, has exactly one line with all there is to know; and no prompt in it."""
    calls = {
        "OK": None,
        "NOT_FOUND": errors.NotFound("name", "there is no such image"),
        "INTERNAL": ValueError("INTERNAL CANARY"),
    }

    async def unary(request: Any, context: Any) -> Any:
        failure = calls[request.value.split()[0]]
        if failure is not None:
            raise failure
        return request

    async def answers(request: Any, context: Any) -> Any:
        for _ in range(3):
            yield request

    async with served(Unary=unary, Answers=answers) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        for code in calls:
            with suppress(grpc.aio.AioRpcError):
                await stub.Unary(text(f"{code} CANARY"), timeout=5, metadata=(("imagerouter-tenant", "acme"),))
        assert len([answer async for answer in stub.Answers(text("CANARY"))]) == 3

    lines = [line for line in log_lines() if line["event"] == "rpc"]
    assert [(line["method"], line["code"]) for line in lines] == [
        ("rig.Rig/Unary", "OK"),
        ("rig.Rig/Unary", "NOT_FOUND"),
        ("rig.Rig/Unary", "INTERNAL"),
        ("rig.Rig/Answers", "OK"),
    ]
    assert [line.get("reason") for line in lines] == [None, "IMAGE_NOT_FOUND", "INTERNAL", None]
    assert [line["level"] for line in lines] == ["info", "info", "error", "info"]
    assert [line["tenant"] for line in lines] == ["acme", "acme", "acme", "default"]
    assert {line["peer"] for line in lines} == {"loopback"}
    assert all(line["duration_ms"] > 0 for line in lines)
    assert 4000 < lines[0]["deadline_ms"] <= 5010
    server_spans = [span for span in spans() if span.kind is SpanKind.SERVER]
    assert [line["span_id"] for line in lines] == [f"{span.context.span_id:016x}" for span in server_spans]  # type: ignore[union-attr]
    assert "CANARY" not in str(log_lines())


async def test_lines_of_a_handler_have_its_ids(log_lines: LogLines) -> None:
    """What a handler logs itself carries the ids of its call."""
    from imagerouter.runtime.log import get_log

    async def unary(request: Any, context: Any) -> Any:
        get_log("x").info("inside")
        return request

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        await Stub(channel).Unary(text())

    inside, outside = [line for line in log_lines() if line["event"] in {"inside", "rpc"}]
    assert (inside["trace_id"], inside["span_id"]) == (outside["trace_id"], outside["span_id"])
