"""An OTLP receiver: keeps the spans and metrics that processes send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc.aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids in hexadecimal."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: list[str]
    schema_url: str
    error: bool


class Collector:
    """Serves OTLP over gRPC on a free port of loopback."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.metrics: dict[str, Any] = {}
        self.port = 0
        self._server = grpc.aio.server()

    async def __aenter__(self) -> Self:
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self.spans), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self.metrics), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.stop(0)

    async def until(self, condition: Callable[[], bool], within_s: float = 10) -> None:
        """Wait for something to have arrived."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.02)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, spans: list[Seen]) -> None:
        self._spans = spans

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._spans.append(
                        Seen(
                            service,
                            span.name,
                            span.kind,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            _attributes(span.attributes),
                            [event.name for event in span.events],
                            scope.schema_url,
                            span.status.code == 2,
                        )
                    )
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, metrics: dict[str, Any]) -> None:
        self._metrics = metrics

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._metrics[metric.name] = metric
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
