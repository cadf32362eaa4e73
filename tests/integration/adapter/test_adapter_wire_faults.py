"""Faults of the connection, one at a time, through the whole adapter: one POST each, and the documented outcome."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.adapter.running_adapter import running_adapter
from tests.integration.adapter.wire_server import (
    B64,
    GOOGLE_OK,
    OPENAI_OK,
    Behaviour,
    answers,
    ends,
    head,
    is_silent,
    resets,
    sse,
    wire_server,
)
from tests.unit.adapter.adapter_calls import UPPER, make_request, words_of

MODELS = {"openai": "gpt-image-2", "google": "gemini-nano-banana-2.1"}
PROVIDERS = pytest.mark.parametrize("provider", list(MODELS))


def _error(provider: str, status: int, code: str) -> dict[str, Any]:
    """The provider's own error object."""
    if provider == "openai":
        return {"error": {"message": "no", "type": "server_error", "param": None, "code": code}}
    return {"error": {"code": status, "message": "no", "status": code}}


@dataclass(frozen=True)
class Fault:
    """What the server does, and what must come of it."""

    openai: Behaviour
    google: Behaviour
    kind: str
    phase: str


def _both(behaviour: Behaviour, kind: str, phase: str) -> Fault:
    return Fault(behaviour, behaviour, kind, phase)


def _errors(status: int, openai_code: str, google_code: str, kind: str, phase: str) -> Fault:
    return Fault(
        answers(status, _error("openai", status, openai_code)),
        answers(status, _error("google", status, google_code)),
        kind,
        phase,
    )


_PAGE = b"<html><body>Service Unavailable</body></html>"

FAULTS = {
    "read-timeout": _both(is_silent(), "TIMEOUT", "SENT_UNKNOWN"),
    "reset-before-headers": _both(resets(), "CONNECTION_FAILED", "SENT_UNKNOWN"),
    "closed-before-headers": _both(ends(), "CONNECTION_FAILED", "SENT_UNKNOWN"),
    "reset-in-the-body": _both(
        resets(after=head(200, length=5000) + b'{"created"'), "CONNECTION_FAILED", "SENT_UNKNOWN"
    ),
    "body-cut-short": _both(ends(after=head(200, length=5000) + b'{"created"'), "CONNECTION_FAILED", "SENT_UNKNOWN"),
    "body-stalls": _both(is_silent(after=head(200, length=5000) + b'{"created"'), "TIMEOUT", "SENT_UNKNOWN"),
    "no-http": _both(ends(after=b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "CONNECTION_FAILED", "SENT_UNKNOWN"),
    "broken-gzip": _both(answers(200, b"this is not gzip", content_encoding="gzip"), "MALFORMED_REPLY", "SENT_UNKNOWN"),
    "broken-json": _both(answers(200, b'{"created": 1, "da'), "MALFORMED_REPLY", "CHARGED"),
    "empty-body": _both(answers(200, b""), "MALFORMED_REPLY", "CHARGED"),
    "page-200": _both(answers(200, _PAGE, content_type="text/html"), "MALFORMED_REPLY", "SENT_UNKNOWN"),
    "page-500": _both(answers(500, _PAGE, content_type="text/html"), "PROVIDER_ERROR", "SENT_UNKNOWN"),
    "page-503": _both(answers(503, _PAGE, content_type="text/html"), "PROVIDER_ERROR", "SENT_UNKNOWN"),
    "redirect": _both(answers(307, b"", location="/elsewhere"), "PROVIDER_ERROR", "REJECTED"),
    "500": _errors(500, "server_error", "INTERNAL", "PROVIDER_ERROR", "REJECTED"),
    "503": _errors(503, "server_error", "UNAVAILABLE", "PROVIDER_ERROR", "REJECTED"),
    "504": _errors(504, "timeout", "DEADLINE_EXCEEDED", "TIMEOUT", "SENT_UNKNOWN"),
    "408": _errors(408, "timeout", "DEADLINE_EXCEEDED", "TIMEOUT", "SENT_UNKNOWN"),
    "409": _errors(409, "conflict", "ABORTED", "PROVIDER_ERROR", "SENT_UNKNOWN"),
    "429": _errors(429, "rate_limit_exceeded", "RESOURCE_EXHAUSTED", "RATE_LIMITED", "REJECTED"),
    "401": _errors(401, "invalid_api_key", "UNAUTHENTICATED", "UNAUTHORIZED", "REJECTED"),
    "404": _errors(404, "model_not_found", "NOT_FOUND", "MODEL_UNAVAILABLE", "REJECTED"),
    "400": _errors(400, "invalid_value", "INVALID_ARGUMENT", "INVALID_REQUEST", "REJECTED"),
    "error-cut-short": _both(resets(after=head(400, length=500) + b"{"), "CONNECTION_FAILED", "SENT_UNKNOWN"),
    "no-image": Fault(answers(200, {"data": None}), answers(200, {"candidates": []}), "NO_OUTPUT", "CHARGED"),
    "bad-base64": Fault(
        answers(200, {**OPENAI_OK, "data": [{"b64_json": "%%%"}]}),
        answers(200, {"candidates": [{"content": {"parts": [{"inlineData": {"data": "%%%"}}]}}]}),
        "MALFORMED_REPLY",
        "CHARGED",
    ),
}


def _timeout_s(kind: str) -> float:
    """Short only where the timeout is what is tested: machines are busy."""
    return 0.4 if kind == "TIMEOUT" else 20.0


@PROVIDERS
@pytest.mark.parametrize("fault", list(FAULTS))
async def test_one_post_and_the_documented_outcome(provider: str, fault: str) -> None:
    """Whatever goes wrong, exactly one request leaves, and kind and phase are those of the reviewed tables."""
    expected = FAULTS[fault]
    async with (
        wire_server(getattr(expected, provider)) as server,
        running_adapter(provider, server.url, read_timeout_s=_timeout_s(expected.kind)) as adapter,
    ):
        outcome = await adapter.outcome(make_request(MODELS[provider]))

    assert words_of(outcome) == (expected.kind, expected.phase)
    assert len(server.received) == 1
    assert outcome.message
    assert not outcome.artifacts
    assert (outcome.cost_micros > 0) == (expected.phase == "CHARGED")


@PROVIDERS
async def test_nobody_listens(provider: str) -> None:
    """A refused connection is not sent, and free."""
    async with running_adapter(provider, "http://127.0.0.1:1") as adapter:
        outcome = await adapter.outcome(make_request(MODELS[provider]))

    assert words_of(outcome) == ("CONNECTION_FAILED", "NOT_SENT")
    assert (outcome.cost_micros, outcome.http_status) == (0, 0)


@PROVIDERS
async def test_tls_that_fails_is_not_sent(provider: str) -> None:
    """A handshake with something that speaks no TLS carries no byte of the request."""

    async def speaks_no_tls(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(speaks_no_tls, "127.0.0.1", 0) as server,
        running_adapter(provider, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as adapter,
    ):
        outcome = await adapter.outcome(make_request(MODELS[provider]))

    assert words_of(outcome) == ("CONNECTION_FAILED", "NOT_SENT")


@PROVIDERS
async def test_a_connection_is_not_used_twice(provider: str) -> None:
    """Each attempt connects anew: none rides a connection that may have died while idle."""
    async with (
        wire_server(answers(200, OPENAI_OK if provider == "openai" else GOOGLE_OK)) as server,
        running_adapter(provider, server.url) as adapter,
    ):
        outcomes = [await adapter.outcome(make_request(MODELS[provider])) for _ in range(3)]

    assert {words_of(outcome) for outcome in outcomes} == {("SUCCEEDED", "CHARGED")}
    assert len(server.received) == 3


@PROVIDERS
async def test_what_leaves_is_named_and_carries_no_trace(provider: str) -> None:
    """The provider sees the attempt's id and no trace context, even from a traced caller."""
    request = make_request(MODELS[provider])
    async with (
        wire_server(answers(200, OPENAI_OK if provider == "openai" else GOOGLE_OK)) as server,
        running_adapter(provider, server.url) as adapter,
    ):
        await adapter.outcome(request)
    [received] = server.received

    assert received.headers["x-client-request-id"] == request.attempt_id
    assert not {"traceparent", "tracestate", "baggage"} & set(received.headers)


@PROVIDERS
async def test_missing_usage_costs_the_upper_estimate(provider: str) -> None:
    """A picture without usage is taken to cost what was reserved, and says that this is an estimate."""
    body = dict(OPENAI_OK if provider == "openai" else GOOGLE_OK)
    body.pop("usage" if provider == "openai" else "usageMetadata")
    async with (
        wire_server(answers(200, body)) as server,
        running_adapter(provider, server.url) as adapter,
    ):
        outcome = await adapter.outcome(make_request(MODELS[provider]))

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert (outcome.cost_micros, outcome.cost_estimated) == (UPPER, True)


_PARTIAL = {"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": B64}
_COMPLETED = {"type": "image_generation.completed", "b64_json": B64, "usage": OPENAI_OK["usage"]}
_NESTED = {"type": "error", "error": {"type": "image_generation_server_error", "code": "image_generation_failed"}}
_NESTED["error"]["message"] = "no"  # type: ignore[index]

STREAMS = {
    "ends-without-completed": (ends(after=sse(_PARTIAL)), "MALFORMED_REPLY", "SENT_UNKNOWN"),
    "ends-without-anything": (ends(after=sse()), "MALFORMED_REPLY", "SENT_UNKNOWN"),
    "cut-after-a-preview": (resets(after=sse(_PARTIAL, whole=False)), "CONNECTION_FAILED", "SENT_UNKNOWN"),
    "stalls-after-a-preview": (is_silent(after=sse(_PARTIAL, whole=False)), "TIMEOUT", "SENT_UNKNOWN"),
    "broken-event": (ends(after=sse(_PARTIAL, '{"type": "image_gen')), "MALFORMED_REPLY", "SENT_UNKNOWN"),
    "nested-error": (ends(after=sse(_NESTED)), "PROVIDER_ERROR", "REJECTED"),
    "flat-error": (
        ends(after=sse({"type": "error", "code": "image_generation_failed", "message": "no"})),
        "PROVIDER_ERROR",
        "REJECTED",
    ),
    "flat-refusal": (
        ends(after=sse(_PARTIAL, {"type": "error", "code": "moderation_blocked", "message": "no"})),
        "REFUSED",
        "REJECTED",
    ),
    "unknown-error": (
        ends(after=sse({"type": "error", "code": "never_seen", "message": "no"})),
        "PROVIDER_ERROR",
        "SENT_UNKNOWN",
    ),
    "completed-without-image": (
        ends(after=sse({"type": "image_generation.completed", "usage": OPENAI_OK["usage"]})),
        "MALFORMED_REPLY",
        "CHARGED",
    ),
    "completed-and-then-cut": (resets(after=sse(_PARTIAL, _COMPLETED, whole=False)), "SUCCEEDED", "CHARGED"),
    "error-before-the-stream": (
        answers(429, _error("openai", 429, "rate_limit_exceeded"), retry_after="3"),
        "RATE_LIMITED",
        "REJECTED",
    ),
}


@pytest.mark.parametrize("stream", list(STREAMS))
async def test_streams(stream: str) -> None:
    """With previews: a stream that ends early is a failure, error events count in either form, one POST each."""
    behaviour, kind, phase = STREAMS[stream]
    async with (
        wire_server(behaviour) as server,
        running_adapter("openai", server.url, read_timeout_s=_timeout_s(kind)) as adapter,
    ):
        outcome = await adapter.outcome(make_request(previews=2))

    assert words_of(outcome) == (kind, phase)
    assert len(server.received) == 1
