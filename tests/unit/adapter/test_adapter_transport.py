"""The way out: one request per attempt, whatever is above it."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx2
import openai
import pytest

from imagerouter.adapter.failures import cancelled, transport_failure, unreadable
from imagerouter.adapter.transport import SecondRequestRefused, SingleShotTransport, Wire, observed, open_http
from imagerouter.api.common.v1 import attempt_pb2
from tests.unit.adapter.adapter_calls import words_of


class Inner(httpx2.AsyncBaseTransport):
    """Stands for the network: answers 500 and remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer 500."""
        self.seen.append(request)
        return httpx2.Response(500, json={"error": {"message": "no", "type": "server_error"}}, request=request)


async def test_a_retrying_sdk_is_stopped_at_the_second_request() -> None:
    """An SDK that is told to retry, or begins to after an update, gets one request out."""
    inner = Inner()
    http = httpx2.AsyncClient(transport=SingleShotTransport(inner, 5.0))
    async with openai.AsyncOpenAI(
        api_key="k", base_url="http://127.0.0.1:9/v1", max_retries=1, http_client=http
    ) as client:
        with observed(Wire()), pytest.raises(openai.APIConnectionError) as caught:
            await client.images.generate(model="m", prompt="p")

    assert isinstance(caught.value.__cause__, SecondRequestRefused)
    assert len(inner.seen) == 1


async def test_nothing_is_sent_outside_of_an_attempt() -> None:
    """A request that no attempt asked for is refused."""
    inner = Inner()
    async with httpx2.AsyncClient(transport=SingleShotTransport(inner, 5.0)) as http:
        with pytest.raises(SecondRequestRefused):
            await http.post("http://127.0.0.1:9/")

    assert inner.seen == []


async def test_trace_context_does_not_leave() -> None:
    """Providers learn nothing of our traces."""
    inner = Inner()
    headers = {"traceparent": "00-1-2-01", "tracestate": "a=b", "baggage": "tenant=acme", "x-kept": "1"}
    async with httpx2.AsyncClient(transport=SingleShotTransport(inner, 5.0)) as http:
        with observed(Wire()):
            await http.post("http://127.0.0.1:9/", headers=headers)

    assert "x-kept" in inner.seen[0].headers
    assert not {"traceparent", "tracestate", "baggage"} & set(inner.seen[0].headers)


async def test_connecting_has_a_limit_of_its_own() -> None:
    """One timeout for everything, as Google's SDK sets it, does not become the connect timeout."""
    inner = Inner()
    async with httpx2.AsyncClient(transport=SingleShotTransport(inner, 5.0)) as http:
        with observed(Wire()):
            await http.post("http://127.0.0.1:9/", timeout=360.0)

    assert inner.seen[0].extensions["timeout"] == {"connect": 5.0, "read": 360.0, "write": 360.0, "pool": 360.0}


async def test_attempts_at_the_same_time_have_wires_of_their_own() -> None:
    """Concurrent attempts do not count as each other's second request."""
    inner = Inner()
    async with httpx2.AsyncClient(transport=SingleShotTransport(inner, 5.0)) as http:

        async def attempt() -> int:
            with observed(Wire()) as wire:
                await http.post("http://127.0.0.1:9/")
                return wire.requests

        assert await asyncio.gather(*(attempt() for _ in range(5))) == [1] * 5


async def test_a_refused_connection_is_not_sent() -> None:
    """Nobody listens: no byte left, so the attempt is free."""
    async with open_http(connect_timeout_s=1.0, max_connections=1) as http:
        with observed(Wire()) as wire, pytest.raises(httpx2.ConnectError) as caught:
            await http.post("http://127.0.0.1:1/", json={})

    assert words_of(transport_failure(caught.value, wire)) == ("CONNECTION_FAILED", "NOT_SENT")


def test_the_sdks_are_quiet() -> None:
    """Opening the client silences what would write requests down, whatever the environment asked for."""
    logging.getLogger("openai").setLevel(logging.DEBUG)
    open_http(connect_timeout_s=1.0, max_connections=1)

    for name in ("openai", "google_genai", "httpx2", "httpcore2"):
        assert logging.getLogger(name).level == logging.WARNING


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ReadTimeout("t"), "TIMEOUT"),
        (httpx2.WriteTimeout("t"), "TIMEOUT"),
        (TimeoutError(), "TIMEOUT"),
        (httpx2.ReadError("r"), "CONNECTION_FAILED"),
        (httpx2.RemoteProtocolError("p"), "CONNECTION_FAILED"),
        (ConnectionResetError(), "CONNECTION_FAILED"),
        (json.JSONDecodeError("j", "", 0), "MALFORMED_REPLY"),
        (httpx2.DecodingError("d"), "MALFORMED_REPLY"),
        (EOFError(), "MALFORMED_REPLY"),
        (KeyError("anything else"), "MALFORMED_REPLY"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_once_sent_the_phase_is_unknown(error: Exception, kind: str) -> None:
    """Whatever went wrong after the first byte may have been executed, also when an SDK wraps it."""
    wire = Wire(sent=True, http_status=200)
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = error

    assert words_of(transport_failure(error, wire)) == (kind, "SENT_UNKNOWN")
    if not isinstance(error, EOFError | KeyError):
        assert words_of(transport_failure(wrapped, wire)) == (kind, "SENT_UNKNOWN")
    assert transport_failure(error, wire).http_status == 200


@pytest.mark.parametrize("error", [httpx2.ConnectTimeout("t"), httpx2.PoolTimeout("p"), httpx2.ConnectError("c")])
def test_before_the_first_byte_nothing_was_sent(error: Exception) -> None:
    """The wire decides: a connection that never carried a byte is a failed connection, free of charge."""
    assert words_of(transport_failure(error, Wire(requests=1))) == ("CONNECTION_FAILED", "NOT_SENT")


def test_cancelling_is_free_until_sent() -> None:
    """A cancelled attempt is NOT_SENT before its first byte and unknown after it."""
    assert words_of(cancelled(Wire())) == ("CANCELLED", "NOT_SENT")
    assert words_of(cancelled(Wire(sent=True))) == ("CANCELLED", "SENT_UNKNOWN")


def test_a_broken_answer_is_charged_and_a_page_is_not() -> None:
    """A complete 200 of the API was executed; a page is somebody else's."""
    assert words_of(unreadable(Wire(sent=True, http_status=200), is_page=False)) == ("MALFORMED_REPLY", "CHARGED")
    assert words_of(unreadable(Wire(sent=True, http_status=200), is_page=True)) == ("MALFORMED_REPLY", "SENT_UNKNOWN")
    assert unreadable(Wire(), is_page=False).kind == attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY
