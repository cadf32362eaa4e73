"""Gemini: calls to contents, answers to outcomes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from imagerouter.adapter.provider import Picture, Unsendable
from imagerouter.adapter.providers.google_reply import read_answer, read_content, read_error, read_usage
from imagerouter.adapter.providers.google_request import to_request
from imagerouter.adapter.rules import load_facts
from imagerouter.api.common.v1 import attempt_pb2
from tests.unit.adapter.adapter_calls import PNG, make_call, words_of

_MODEL = "gemini-nano-banana-2.1"
_FACTS = load_facts("google")
_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_PICTURE = Picture(PNG, "image/png")
_USAGE = {"promptTokenCount": 9, "thoughtsTokenCount": 100, "totalTokenCount": 109}


def _reply(*parts: dict[str, Any], finish: str = "STOP", **rest: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": finish}], **rest}


def _image(data: str, **marks: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": data}, **marks}


def test_ratio_and_tier_are_passed_on() -> None:
    """What the route says in Gemini's terms is what is asked for."""
    request = to_request(make_call(_MODEL, aspect_ratio="4:5", image_size="2K", quality="high"))

    assert (request.model, request.prompt, request.pictures) == (_MODEL, "a cat", ())
    assert (request.aspect_ratio, request.image_size, request.thinking_level) == ("4:5", "2K", "HIGH")
    assert not request.negotiations


def test_pictures_follow_the_prompt_in_one_turn() -> None:
    """An edit is one user turn: prompt, base, the others."""
    other = Picture(b"\xff\xd8\xff\xe0", "image/jpeg")

    assert to_request(make_call(_MODEL, references=(_PICTURE, other))).pictures == (_PICTURE, other)


def test_knobs_that_the_model_lacks_are_noted() -> None:
    """Pixels, format, quality, previews and count are dropped or spread over attempts, each in the receipt."""
    request = to_request(
        make_call(_MODEL, size="1024x1280", output_format="webp", quality="medium-rare", count=4, previews=2)
    )

    assert [(note.field, note.requested, note.applied) for note in request.negotiations] == [
        ("previews", "2", ""),
        ("output.count", "4", "1"),
        ("output.width", "1024x1280", ""),
        ("output.format", "webp", ""),
        ("output.quality", "medium-rare", ""),
    ]


@pytest.mark.parametrize("wish", [{"mask": _PICTURE, "references": (_PICTURE,)}, {"background": "transparent"}])
def test_features_that_the_model_lacks_are_not_sent(wish: dict[str, Any]) -> None:
    """An edit that would ignore its mask is worth nothing, so it is not paid for."""
    with pytest.raises(Unsendable):
        to_request(make_call(_MODEL, **wish))


def test_the_last_picture_that_is_no_thought_is_the_picture() -> None:
    """Interim pictures come first, marked or not."""
    body = _reply({"text": "let me see"}, _image("AAAA", thought=True), _image("BBBB"), _image("CCCC"), {"text": "ok"})

    assert read_content(body).encoded == "CCCC"
    assert read_content(_reply(_image("BBBB"), _image("AAAA", thought=True))).encoded == "BBBB"


def test_a_finished_picture_that_is_marked_as_a_thought_counts_if_the_model_stopped() -> None:
    """Models have marked their final picture as a thought; those that did not finish have none."""
    body = _reply(_image("AAAA", thought=True), _image("BBBB", thought=True))

    assert read_content(body).encoded == "BBBB"
    assert read_content({**body, "candidates": [{**body["candidates"][0], "finishReason": "OTHER"}]}).encoded is None


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("STOP", "NO_OUTPUT"),
        ("NO_IMAGE", "NO_OUTPUT"),
        ("CONTINUATION", "NO_OUTPUT"),
        ("A_REASON_OF_NEXT_YEAR", "NO_OUTPUT"),
        ("IMAGE_SAFETY", "REFUSED"),
        ("IMAGE_PROHIBITED_CONTENT", "REFUSED"),
        ("SAFETY", "REFUSED"),
        ("PROHIBITED_CONTENT", "REFUSED"),
        ("BLOCKLIST", "REFUSED"),
        ("SPII", "REFUSED"),
        ("IMAGE_RECITATION", "REFUSED"),
        ("RECITATION", "REFUSED"),
        ("PUP_LIMITED_DISABLED", "REFUSED"),
        ("IMAGE_OTHER", "PROVIDER_ERROR"),
        ("OTHER", "PROVIDER_ERROR"),
        ("MALFORMED_RESPONSE", "PROVIDER_ERROR"),
        ("MAX_TOKENS", "INVALID_REQUEST"),
        ("LANGUAGE", "INVALID_REQUEST"),
        ("MISSING_THOUGHT_SIGNATURE", "INVALID_REQUEST"),
    ],
)
def test_finish_reasons_without_a_picture(finish: str, expected: str) -> None:
    """Every finish reason of providers.md 2.2 has its kind; all of them were executed and are charged."""
    found = read_content(_reply({"text": "no"}, finish=finish, usageMetadata=_USAGE, modelVersion="m-1"))
    outcome = read_answer(_FACTS, found, decoded=False)

    assert words_of(outcome) == (expected, "CHARGED")
    assert (outcome.provider_code, outcome.model_version) == (finish, "m-1")
    assert outcome.usage == attempt_pb2.Usage(input_text_tokens=9, output_text_tokens=100)
    assert outcome.HasField("refusal") == (expected == "REFUSED")
    assert outcome.message


def test_an_interim_picture_does_not_undo_a_refusal() -> None:
    """A blocked picture is a refusal whatever else the reply holds."""
    found = read_content(_reply(_image("AAAA"), finish="IMAGE_SAFETY"))
    outcome = read_answer(_FACTS, found, decoded=True)

    assert words_of(outcome) == ("REFUSED", "CHARGED")
    assert (outcome.refusal.stage, list(outcome.refusal.categories)) == ("output", ["IMAGE_SAFETY"])


@pytest.mark.parametrize("finish", ["STOP", "MAX_TOKENS", "OTHER", ""])
def test_a_picture_is_a_success(finish: str) -> None:
    """If there is a picture and no refusal, the reason does not matter."""
    found = read_content(_reply(_image("AAAA"), finish=finish))

    assert words_of(read_answer(_FACTS, found, decoded=True)) == ("SUCCEEDED", "CHARGED")
    assert words_of(read_answer(_FACTS, found, decoded=False)) == ("MALFORMED_REPLY", "CHARGED")


@pytest.mark.parametrize("reason", ["SAFETY", "PROHIBITED_CONTENT", "OTHER", "BLOCKLIST", "A_REASON_OF_NEXT_YEAR"])
def test_a_blocked_prompt_is_refused_at_the_input(reason: str) -> None:
    """A block reason is always a refusal. It costs what its usage counts; without usage no model ran."""
    blocked = {"promptFeedback": {"blockReason": reason}}
    counted = read_answer(_FACTS, read_content({**blocked, "usageMetadata": {"promptTokenCount": 9}}), decoded=False)
    uncounted = read_answer(_FACTS, read_content(blocked), decoded=False)

    assert words_of(counted) == ("REFUSED", "CHARGED")
    assert words_of(uncounted) == ("REFUSED", "REJECTED")
    assert (counted.refusal.stage, list(counted.refusal.categories)) == ("input", [reason])


@pytest.mark.parametrize("body", [{}, {"candidates": None}, {"candidates": [None]}, [], None, "text", 7])
def test_an_empty_answer_is_no_output(body: object) -> None:
    """A 200 without anything in it is an answer without an image, whatever its shape."""
    assert words_of(read_answer(_FACTS, read_content(body), decoded=False)) == ("NO_OUTPUT", "CHARGED")


@pytest.mark.parametrize(
    ("usage", "drew", "expected"),
    [
        (
            {
                "promptTokenCount": 570,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 10},
                    {"modality": "IMAGE", "tokenCount": 560},
                ],
                "candidatesTokenCount": 1130,
                "candidatesTokensDetails": [
                    {"modality": "IMAGE", "tokenCount": 1120},
                    {"modality": "TEXT", "tokenCount": 10},
                ],
                "thoughtsTokenCount": 200,
            },
            True,
            attempt_pb2.Usage(
                input_text_tokens=10, input_image_tokens=560, output_image_tokens=1120, output_text_tokens=210
            ),
        ),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 1120},
            True,
            attempt_pb2.Usage(input_text_tokens=10, output_image_tokens=1120),
        ),
        (
            {"promptTokenCount": 10, "candidatesTokenCount": 30},
            False,
            attempt_pb2.Usage(input_text_tokens=10, output_text_tokens=30),
        ),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 40}],
                "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
                "toolUsePromptTokenCount": 5,
            },
            False,
            attempt_pb2.Usage(
                input_text_tokens=25,
                input_image_tokens=20,
                cached_input_text_tokens=40,
                cached_input_image_tokens=20,
            ),
        ),
        ({"promptTokenCount": 0}, True, None),
        (None, True, None),
    ],
)
def test_usage(usage: object, drew: bool, expected: attempt_pb2.Usage | None) -> None:
    """Tokens are sorted by modality; thoughts are text; without details a drawn reply's output is pictures."""
    assert read_usage(usage, drew=drew) == expected


def test_retry_info_says_how_long() -> None:
    """RetryInfo comes before headers."""
    body = {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "message": "quota",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}],
        }
    }
    outcome = read_error(_FACTS, 429, body, {"retry-after": "60"}, _NOW)

    assert words_of(outcome) == ("RATE_LIMITED", "REJECTED")
    assert outcome.retry_after.ToMilliseconds() == 2500
    assert outcome.provider_code == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    "error",
    [
        {"details": [{"violations": [{"quotaValue": "0", "quotaId": "PerMinute"}]}]},
        {"details": [{"violations": [{"quotaValue": "250", "quotaId": "GenerateRequestsPerDayPerProject"}]}]},
        {"message": "Quota exceeded for metric x, limit: 0"},
    ],
)
def test_an_empty_quota_is_not_a_rate_limit(error: dict[str, Any]) -> None:
    """A limit of 0 or of a day does not pass by waiting."""
    outcome = read_error(_FACTS, 429, {"error": {"status": "RESOURCE_EXHAUSTED", **error}}, {}, _NOW)

    assert words_of(outcome) == ("QUOTA_EXHAUSTED", "REJECTED")


@pytest.mark.parametrize("limit", ["10", "0.5", "05", "250"])
def test_a_small_quota_is_a_rate_limit(limit: str) -> None:
    """A limit that only begins with a zero, or ends with one, is not an empty one."""
    error = {"status": "RESOURCE_EXHAUSTED", "message": f"Quota exceeded for metric x, limit: {limit}, model: y"}

    assert words_of(read_error(_FACTS, 429, {"error": error}, {}, _NOW)) == ("RATE_LIMITED", "REJECTED")


def test_a_bad_key_is_told_from_a_bad_request() -> None:
    """Gemini answers a bad key with 400; the reason in the details tells."""
    error = {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}]}

    assert words_of(read_error(_FACTS, 400, {"error": error}, {}, _NOW)) == ("UNAUTHORIZED", "REJECTED")


def test_the_sdks_stand_in_for_a_page_is_not_googles_error() -> None:
    """For HTML the SDK makes up an object with message and status; it proves nothing."""
    body = {"message": "<html>", "status": "Service Unavailable"}

    assert words_of(read_error(_FACTS, 503, body, {}, _NOW)) == ("PROVIDER_ERROR", "SENT_UNKNOWN")


def test_no_sentence_of_the_provider_is_kept() -> None:
    """Statuses and reasons that are not codes are dropped."""
    body = {"error": {"status": "my secret plan", "message": "my secret plan", "details": [{"reason": "my secret"}]}}

    assert "secret" not in str(read_error(_FACTS, 400, body, {}, _NOW))
