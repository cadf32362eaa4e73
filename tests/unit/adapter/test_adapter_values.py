"""The small pure parts: waits, words, pictures, cost, timeouts, the record of attempts."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest

from imagerouter.adapter import waits, words
from imagerouter.adapter.attempts import AttemptRecord
from imagerouter.adapter.pictures import Decoder
from imagerouter.adapter.settlement import read_timeout_s, settle
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.runtime.errors import AlreadyExists
from tests.unit.adapter.adapter_calls import CATALOGUE, PNG, UPPER, make_request

_NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
_DONE = attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_SUCCEEDED)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30"}, 30),
        ({"retry-after": "86400"}, 3600),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "later"}, None),
        ({}, None),
    ],
)
def test_waits_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are understood; nonsense and the past are no wait; an hour is the longest."""
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert waits.header_wait(headers, _NOW) == expected


@pytest.mark.parametrize(("delay", "seconds"), [("2.5s", 2.5), ("9000s", 3600), ("5", None), ("xs", None), ("", None)])
def test_waits_in_retry_info(delay: str, seconds: float | None) -> None:
    """A RetryInfo delay is a number and an s."""
    assert waits.delay_wait(delay) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("text", ["a cat in a hat", "", "x" * 65, "naïve", None, 3, {"a": 1}])
def test_what_is_no_code_is_not_kept(text: object) -> None:
    """Sentences, long texts and other types are dropped."""
    assert words.code(text) == ""


@pytest.mark.parametrize("value", [True, -1, 1.5, "3", None])
def test_what_is_no_count_is_zero(value: object) -> None:
    """Only whole numbers of something count."""
    assert words.count(value) == 0


@pytest.mark.parametrize("size", [8, 600_000])
async def test_pictures_are_decoded_in_either_alphabet(size: int) -> None:
    """Standard and url-safe base64 come out the same, on the loop and off it."""
    data = PNG + bytes(range(251)) * (size // 251 + 1)
    decoder = Decoder(1)

    assert await decoder.picture(base64.b64encode(data).decode()) == data
    assert await decoder.picture(base64.urlsafe_b64encode(data).decode()) == data


@pytest.mark.parametrize("text", ["", "not base64!", "QUJD", "=", base64.b64encode(b"<html>").decode(), "ü"])
async def test_what_is_no_picture_is_none(text: str) -> None:
    """Broken base64 and bytes that are no image are told from an image."""
    assert await Decoder(1).picture(text) is None


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"a": NaN}', b"\xff\xfe"])
async def test_what_is_no_json_is_an_error(body: bytes) -> None:
    """Replies that are not JSON raise ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 -- pydantic_core's texts are its own
        await Decoder(1).parse(body)


async def test_replies_are_decoded_a_few_at_a_time() -> None:
    """With one slot taken, the next reply waits."""
    decoder = Decoder(1)
    async with decoder._slots:
        waiting = asyncio.create_task(decoder.parse(b"{}"))
        await asyncio.sleep(0.01)
        assert not waiting.done()

    assert await waiting == {}


def test_cost_is_worked_out_from_usage() -> None:
    """1,756 output tokens of gpt-image-2 at 30 and 10 input tokens at 5 dollars a million are 52,730 micro-dollars."""
    outcome = attempt_pb2.Outcome(
        phase=attempt_pb2.PHASE_CHARGED,
        usage=attempt_pb2.Usage(input_text_tokens=10, output_image_tokens=1756),
    )
    settle(outcome, make_request().route, CATALOGUE.get("gpt-image-2"))

    assert (outcome.cost_micros, outcome.cost_estimated) == (52_730, False)


def test_cost_without_usage_is_the_upper_estimate() -> None:
    """A charged answer without usage is taken to cost all that was reserved, and says so."""
    outcome = attempt_pb2.Outcome(phase=attempt_pb2.PHASE_CHARGED)
    settle(outcome, make_request().route, CATALOGUE.get("gpt-image-2"))

    assert (outcome.cost_micros, outcome.cost_estimated) == (UPPER, True)


@pytest.mark.parametrize(
    "phase", [attempt_pb2.PHASE_NOT_SENT, attempt_pb2.PHASE_SENT_UNKNOWN, attempt_pb2.PHASE_REJECTED]
)
def test_what_is_not_charged_costs_nothing(phase: attempt_pb2.Phase.ValueType) -> None:
    """Cost is 0 in every other phase, usage or not."""
    outcome = attempt_pb2.Outcome(phase=phase, usage=attempt_pb2.Usage(output_image_tokens=1756), cost_micros=7)
    settle(outcome, make_request().route, CATALOGUE.get("gpt-image-2"))

    assert (outcome.cost_micros, outcome.cost_estimated) == (0, False)


@pytest.mark.parametrize(
    ("model", "parameters", "seconds"),
    [
        ("gpt-image-2", {"size": "1024x1024", "expected_width": 1024, "expected_height": 1024}, 360),
        ("gpt-image-2", {"size": "3840x2160", "expected_width": 3840, "expected_height": 2160}, 600),
        ("gpt-image-2", {}, 360),
        ("gemini-3-pro-image", {"image_size": "1K"}, 300),
        ("gemini-3-pro-image", {"image_size": "4K"}, 600),
        ("gemini-3-pro-image", {"image_size": "9K"}, 600),
    ],
)
def test_timeouts_are_the_catalogues(model: str, parameters: dict[str, object], seconds: float) -> None:
    """The provider may be silent as long as the catalogue says for the size; an unknown size waits longest."""
    assert read_timeout_s(make_request(model, **parameters).route, CATALOGUE.get(model)) == seconds


def test_an_attempt_is_begun_once() -> None:
    """A second request with the id is refused while the first runs, then told its outcome."""
    record = AttemptRecord(10)

    assert record.begin("a", b"1") is None
    with pytest.raises(AlreadyExists):
        record.begin("a", b"1")
    record.end("a", _DONE)
    assert record.begin("a", b"1") == _DONE


def test_an_id_is_for_one_request() -> None:
    """The same id with another request is refused, running or ended."""
    record = AttemptRecord(10)
    record.begin("a", b"1")
    record.end("a", _DONE)

    with pytest.raises(AlreadyExists) as caught:
        record.begin("a", b"2")
    assert caught.value.fields[0].field == "attempt_id"


def test_running_attempts_are_never_forgotten() -> None:
    """Beyond the capacity the oldest ended attempts go, and only those."""
    record = AttemptRecord(2)
    for name in "abcd":
        record.begin(name, b"1")
    record.end("b", _DONE)
    record.end("c", _DONE)
    record.begin("e", b"1")

    with pytest.raises(AlreadyExists):
        record.begin("a", b"1")
    assert record.begin("b", b"1") is None


def test_an_attempt_that_never_began_is_kept_as_not_sent() -> None:
    """An attempt whose caller left at once is not executed by a second call either."""
    record = AttemptRecord(10)
    record.begin("a", b"1")
    record.abandon("a")
    outcome = record.begin("a", b"1")

    assert outcome is not None
    assert (outcome.kind, outcome.phase) == (attempt_pb2.OUTCOME_KIND_CANCELLED, attempt_pb2.PHASE_NOT_SENT)
