"""Spans, metrics and trace context of RPCs, for both sides. Names are from `runtime.names`."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Final

import grpc
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from imagerouter.runtime import names

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120)
"""Histogram boundaries for calls, in seconds: images take a minute, decisions a millisecond."""

UNOBSERVED: Final = ("/grpc.health.v1.", "/grpc.reflection.")
"""Methods that are neither traced, logged, counted nor limited."""

SERVER_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes that make a SERVER span an error. All others are the caller's business."""

_MAX_TRACESTATE = 512
_TRACESTATE_MEMBER = re.compile(
    r"([a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)
_meter = metrics.get_meter(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)
_served = _meter.create_histogram(
    names.METRIC_RPC_SERVER_DURATION,
    unit="s",
    description="Served calls.",
    explicit_bucket_boundaries_advisory=BUCKETS_S,
)
_called = _meter.create_histogram(
    names.METRIC_RPC_CLIENT_DURATION,
    unit="s",
    description="Calls made.",
    explicit_bucket_boundaries_advisory=BUCKETS_S,
)
inflight = _meter.create_up_down_counter(names.METRIC_INFLIGHT, unit="{call}", description="Calls being served.")
loop_lag = _meter.create_histogram(
    names.METRIC_LOOP_LAG,
    unit="s",
    description="How late the event loop woke up.",
    explicit_bucket_boundaries_advisory=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)

Metadata = Iterable[tuple[str, str | bytes]]


def is_observed(method: str) -> bool:
    """Whether calls of a method ("/package.Service/Method") are traced, logged, counted and limited."""
    return not method.startswith(UNOBSERVED)


def parent_context(metadata: Metadata) -> Context:
    """Return the W3C trace context of incoming metadata: the caller's, or an empty one if it is not valid.

    An invalid or oversized `tracestate` is dropped, as the specification allows; `traceparent` then still counts. No
    baggage is read.
    """
    carrier: dict[str, list[str]] = {}
    for key, value in metadata:
        if key in {"traceparent", "tracestate"} and isinstance(value, str):
            carrier.setdefault(key, []).append(value)
    if len(carrier.get("traceparent", [])) != 1:
        return Context()
    if "tracestate" in carrier and not _is_tracestate(",".join(carrier["tracestate"])):
        del carrier["tracestate"]
    return _propagator.extract(carrier, context=Context())


def trace_metadata(span: Span) -> list[tuple[str, str]]:
    """Return the metadata that makes a callee's span a child of `span`."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span, Context()))
    return list(carrier.items())


def _is_tracestate(text: str) -> bool:
    """Whether it may be handed to the SDK, which writes what it finds invalid into the log."""
    if len(text) > _MAX_TRACESTATE:
        return False
    members = [member.strip() for member in text.split(",")]
    return all(_TRACESTATE_MEMBER.fullmatch(member) for member in members if member)


class Observation:
    """One RPC seen from one side: begun at once, ended once by `end`."""

    def __init__(
        self,
        kind: SpanKind,
        method: str,
        *,
        parent: Context | None = None,
        server: Mapping[str, str | int] | None = None,
    ) -> None:
        self._kind = kind
        self._labels: dict[str, str | int] = {
            names.RPC_SYSTEM_NAME: "grpc",
            names.RPC_METHOD: method.removeprefix("/"),
            **(server or {}),
        }
        self._began = time.perf_counter()
        self._ended = False
        span = _tracer.start_span(
            method.removeprefix("/"), context=parent, kind=kind, attributes=self._labels, record_exception=False
        )
        self.span = span if span.get_span_context().is_valid else _unrecorded()

    @property
    def trace_id(self) -> str:
        """The trace id in hexadecimal. There is one even where no SDK is set up, so that logs can be joined."""
        return trace.format_trace_id(self.span.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        """The span id in hexadecimal."""
        return trace.format_span_id(self.span.get_span_context().span_id)

    def end(self, code: grpc.StatusCode, reason: str = "") -> float:
        """End the span and record the duration; return it in seconds. Further calls do nothing."""
        duration = time.perf_counter() - self._began
        if self._ended:
            return duration
        self._ended = True
        ended: dict[str, str | int] = {names.RPC_STATUS_CODE: code.name}
        if self._is_error(code):
            ended[names.ERROR_TYPE] = code.name
            self.span.set_status(Status(StatusCode.ERROR))
        if reason:
            self.span.set_attribute(names.REASON, reason)
        self.span.set_attributes(ended)
        self.span.end()
        histogram = _served if self._kind is SpanKind.SERVER else _called
        histogram.record(duration, self._labels | ended, context=trace.set_span_in_context(self.span))
        return duration

    def _is_error(self, code: grpc.StatusCode) -> bool:
        return code in SERVER_FAULTS if self._kind is SpanKind.SERVER else code is not grpc.StatusCode.OK


def _unrecorded() -> Span:
    """Return a span that carries ids and records nothing. It counts as sampled: a callee with an SDK keeps its part."""
    return NonRecordingSpan(
        SpanContext(
            secrets.randbits(128) or 1,
            secrets.randbits(64) or 1,
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
    )
