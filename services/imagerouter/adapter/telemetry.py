"""The span and the measurement of a provider call. Words of ours, ids and counts: no prompt, key or provider text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from imagerouter.adapter.provider import Call, Provider
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.runtime import names

Describe = Callable[[attempt_pb2.Outcome], None]

_BUCKETS_S: Final = (1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
_tracer = trace.get_tracer(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)
_duration = metrics.get_meter(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL).create_histogram(
    names.METRIC_PROVIDER_DURATION,
    unit="s",
    description="Provider calls.",
    explicit_bucket_boundaries_advisory=_BUCKETS_S,
)


def kind_name(outcome: attempt_pb2.Outcome) -> str:
    """Return the kind as a word ("RATE_LIMITED")."""
    return attempt_pb2.OutcomeKind.Name(outcome.kind).removeprefix("OUTCOME_KIND_")


def phase_name(outcome: attempt_pb2.Outcome) -> str:
    """Return the phase as a word ("SENT_UNKNOWN")."""
    return attempt_pb2.Phase.Name(outcome.phase).removeprefix("PHASE_")


@contextmanager
def provider_span(provider: Provider, call: Call) -> Iterator[Describe]:
    """Cover a provider call with a CLIENT span; the caller says the outcome before the block ends.

    An exception that passes is recorded by its class alone.
    """
    operation = provider.operation(call)
    labels = {
        names.GEN_AI_OPERATION_NAME: operation,
        names.GEN_AI_PROVIDER_NAME: provider.telemetry_name,
        names.GEN_AI_REQUEST_MODEL: call.route.model,
    }
    began = time.perf_counter()
    with _tracer.start_as_current_span(
        f"{operation} {call.route.model}",
        kind=SpanKind.CLIENT,
        record_exception=False,
        set_status_on_exception=False,
        attributes={
            **labels,
            names.GEN_AI_OUTPUT_TYPE: "image",
            names.GEN_AI_CHOICE_COUNT: call.route.parameters.count,
            names.ATTEMPT_ID: call.attempt_id,
        },
    ) as span:
        error = ""

        def describe(outcome: attempt_pb2.Outcome) -> None:
            nonlocal error
            span.set_attributes(_attributes(outcome))
            if outcome.kind != attempt_pb2.OUTCOME_KIND_SUCCEEDED:
                error = kind_name(outcome)

        try:
            yield describe
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            if error:
                span.set_attribute(names.ERROR_TYPE, error)
                span.set_status(Status(StatusCode.ERROR))
            _duration.record(time.perf_counter() - began, {**labels, **({names.ERROR_TYPE: error} if error else {})})


def _attributes(outcome: attempt_pb2.Outcome) -> dict[str, str | int | list[str]]:
    usage = outcome.usage
    read_images = usage.input_image_tokens + usage.cached_input_image_tokens
    read = read_images + usage.input_text_tokens + usage.cached_input_text_tokens
    found: dict[str, str | int | list[str]] = {
        names.ATTEMPT_OUTCOME: kind_name(outcome),
        names.ATTEMPT_PHASE: phase_name(outcome),
        names.HTTP_STATUS_CODE: outcome.http_status,
        names.GEN_AI_RESPONSE_MODEL: outcome.model_version,
        names.GEN_AI_RESPONSE_ID: outcome.provider_request_id,
        names.GEN_AI_FINISH_REASONS: [outcome.provider_code] if outcome.provider_code else [],
        names.GEN_AI_USAGE_INPUT_TOKENS: read,
        names.GEN_AI_USAGE_IMAGE_INPUT_TOKENS: read_images,
        names.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output_image_tokens + usage.output_text_tokens,
        names.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: usage.output_image_tokens,
    }
    return {name: value for name, value in found.items() if value}
