"""What an adapter tells of its calls, in spans and logs, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from imagerouter.adapter import telemetry
from imagerouter.runtime import names
from imagerouter.runtime.log import configure_log
from tests.integration.adapter.running_adapter import running_adapter
from tests.integration.adapter.test_adapter_service import PROMPT, ended, good
from tests.integration.adapter.test_adapter_wire_faults import MODELS, PROVIDERS
from tests.integration.adapter.wire_server import answers, is_silent, wire_server
from tests.unit.adapter.adapter_calls import make_request


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where the adapter's own spans go."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, at DEBUG."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_log("DEBUG", stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level


@PROVIDERS
async def test_a_provider_call_is_one_client_span(provider: str, spans: InMemorySpanExporter) -> None:
    """The span has the conventions' names, ids and counts."""
    request = make_request(MODELS[provider], prompt=PROMPT)
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url) as adapter:
        await adapter.outcome(request)
    [span] = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    operation = "image_generation" if provider == "openai" else "generate_content"

    assert (span.kind, span.name) == (SpanKind.CLIENT, f"{operation} {MODELS[provider]}")
    assert attributes[names.GEN_AI_PROVIDER_NAME] == ("openai" if provider == "openai" else "gcp.gemini")
    assert attributes[names.GEN_AI_OUTPUT_TYPE] == "image"
    assert attributes[names.ATTEMPT_ID] == request.attempt_id
    assert (attributes[names.ATTEMPT_OUTCOME], attributes[names.ATTEMPT_PHASE]) == ("SUCCEEDED", "CHARGED")
    assert attributes[names.GEN_AI_USAGE_INPUT_TOKENS] == 10
    assert span.status.status_code is not StatusCode.ERROR


@PROVIDERS
@pytest.mark.parametrize("quoting", ["success", "error", "broken"])
async def test_prompt_and_key_are_written_nowhere(
    provider: str, quoting: str, spans: InMemorySpanExporter, log: io.StringIO
) -> None:
    """Not in spans, nor in logs at DEBUG, nor in the outcome, also if the provider quotes them back."""
    key = "sk-very-secret-key-0123456789"
    error = {"error": {"message": f"{PROMPT} {key}", "type": PROMPT, "code": key, "status": PROMPT}}
    behaviour = {
        "success": good(provider),
        "error": answers(400, error, x_request_id=f"{PROMPT} {key}"),
        "broken": answers(200, f'{{"{PROMPT} {key}'.encode()),
    }[quoting]
    request = make_request(MODELS[provider], prompt=PROMPT)
    async with wire_server(behaviour) as server, running_adapter(provider, server.url, key=key) as adapter:
        outcome = await adapter.outcome(request)
    written = [str(outcome), log.getvalue(), *(span.to_json() for span in spans.get_finished_spans())]

    assert PROMPT.encode() in server.received[0].body
    assert key in str(server.received[0].headers)
    assert spans.get_finished_spans()
    assert '"event": "attempt"' in log.getvalue()
    for text in written:
        assert "zebra" not in text
        assert "Gazette" not in text
        assert key not in text


async def test_a_cancelled_attempts_outcome_is_in_the_log(log: io.StringIO) -> None:
    """What the caller cannot be told any more is written down."""
    request = make_request()
    async with wire_server(is_silent()) as server, running_adapter("openai", server.url) as adapter:
        call = adapter.stub.Generate(request)
        await call.read()
        await asyncio.wait_for(server.began.wait(), 5)
        call.cancel()
        await ended(adapter, request)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    [line] = [line for line in lines if line["event"] == "attempt"]

    assert (line["attempt_id"], line["outcome"], line["phase"]) == (request.attempt_id, "CANCELLED", "SENT_UNKNOWN")
