"""OpenTelemetry for the process: spans and metrics to `OTEL_EXPORTER_OTLP_ENDPOINT` (gRPC), if that is set.

The standard `OTEL_*` variables hold. Where they are silent, the span queue takes 20,480 spans (2,048 dropped 23 %
of a burst), spans leave after half a second, and an export may take five. Leaving the block flushes for five seconds at
most: an unreachable collector must not keep a pod from ending.

Spans of one's own: `trace.get_tracer(names.INSTRUMENTATION).start_as_current_span(names.SPAN_…)`; in a streaming
handler start and end them explicitly, since a generator may be closed in another context.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from imagerouter.runtime import names
from imagerouter.runtime.log import get_log, name_service

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The standard variable that switches telemetry on."""

FLUSH_S: Final = 5.0
"""How long the end of the process waits for the collector, in seconds."""

_DEFAULTS: Final = {
    "OTEL_BSP_MAX_QUEUE_SIZE": "20480",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "512",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "5",
    "OTEL_METRIC_EXPORT_INTERVAL": "15000",
    "OTEL_METRIC_EXPORT_TIMEOUT": "5000",
}
_log = get_log(__name__)


@asynccontextmanager
async def telemetry(name: str) -> AsyncIterator[None]:
    """Send spans and metrics as service `name` while the block runs, if there is an endpoint. Logs get the name too."""
    name_service(name)
    if not os.environ.get(ENDPOINT) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield
        return
    for key, value in _DEFAULTS.items():
        os.environ.setdefault(key, value)
    resource = Resource.create(
        {"service.name": name, "service.namespace": "imagerouter", "service.version": version("image-router")},
        schema_url=names.SCHEMA_URL,
    )
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource, shutdown_on_exit=False)
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(meters)
    try:
        yield
    finally:
        await _flush(traces.shutdown, meters.shutdown)


async def _flush(*shutdowns: Callable[[], None]) -> None:
    """Export what is left. The SDK blocks for longer than it is told: its threads are daemons, and left behind."""
    loop = asyncio.get_running_loop()
    done = [loop.create_future() for _ in shutdowns]

    def end(shutdown: Callable[[], None], future: asyncio.Future[None]) -> None:
        try:
            shutdown()
        finally:
            with suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(future.set_result, None)

    for shutdown, future in zip(shutdowns, done, strict=True):
        threading.Thread(target=end, args=(shutdown, future), daemon=True, name="telemetry-flush").start()
    _, late = await asyncio.wait(done, timeout=FLUSH_S)
    if late:
        _log.warning("telemetry_not_flushed", seconds=FLUSH_S)
