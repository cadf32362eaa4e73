"""An OTLP receiver: a gRPC server that keeps the spans it is sent."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Seen:
    """A span as it arrived, with the service that sent it."""

    service: str
    span: Span

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes as Python values."""
        return {pair.key: plain(pair.value) for pair in self.span.attributes}

    @property
    def label(self) -> str:
        """`service: kind name`, as edges are written."""
        kind = Span.SpanKind.Name(self.span.kind).removeprefix("SPAN_KIND_")
        name = self.span.name.rpartition(".")[2] if self.span.name.startswith("imagerouter.") else self.span.name
        return f"{self.service}: {kind} {name}"


def plain(value: AnyValue) -> Any:
    """An OTLP value as a Python value."""
    which = value.WhichOneof("value")
    if which == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, which) if which else None


@dataclass
class SpanSink(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span, by trace."""

    endpoint: str = ""
    traces: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))

    async def Export(self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any) -> Any:
        """Take a batch."""
        for resource in request.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces[span.trace_id.hex()].append(Seen(names["service.name"], span))
        return trace_service_pb2.ExportTraceServiceResponse()

    async def trace(self, trace_id: str, count: int, timeout_s: float = 20) -> list[Seen]:
        """The spans of a trace, once there are `count` of them; what there is when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.traces[trace_id]) < count:
                    await asyncio.sleep(0.1)
                await asyncio.sleep(1.0)  # one too many should be seen too
        except TimeoutError:
            pass
        return self.traces[trace_id]


class MetricSink(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Takes metrics, so that exporters have nothing to complain of."""

    async def Export(self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: Any) -> Any:
        """Take a batch."""
        return metrics_service_pb2.ExportMetricsServiceResponse()


@asynccontextmanager
async def receiving() -> AsyncIterator[SpanSink]:
    """A receiver on loopback."""
    sink = SpanSink()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(sink, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(MetricSink(), server)
    sink.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield sink
    finally:
        await server.stop(1)


def edges(spans: list[Seen]) -> list[tuple[str, str]]:
    """Parent and child of every span, sorted; a span whose parent is not in the trace hangs on its service's name."""
    labels = {seen.span.span_id: seen.label for seen in spans}
    return sorted((labels.get(seen.span.parent_span_id, "-"), seen.label) for seen in spans)
