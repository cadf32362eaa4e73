"""OpenAI: calls to arguments, answers to outcomes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imagerouter.adapter.provider import Picture
from imagerouter.adapter.providers.openai_reply import OpenAIImages, read_answer, read_error, read_images, read_usage
from imagerouter.adapter.providers.openai_request import to_request
from imagerouter.adapter.rules import load_facts
from imagerouter.api.common.v1 import attempt_pb2, task_pb2
from tests.unit.adapter.adapter_calls import PNG, make_call, words_of

_FACTS = load_facts("openai")
_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_JPEG = Picture(b"\xff\xd8\xff\xe0", "image/jpeg")
_MASK = Picture(PNG, "image/png")
_USAGE = attempt_pb2.Usage(input_text_tokens=10, output_image_tokens=1756)


def test_every_parameter_is_passed_on_by_its_name() -> None:
    """What the route says in OpenAI's terms arrives as the SDK's argument, and nothing else does."""
    request = to_request(
        make_call(size="1024x1280", quality="high", output_format="webp", background="transparent", count=3)
    )

    assert not request.edit
    assert not request.stream
    assert not request.negotiations
    assert request.arguments == {
        "model": "gpt-image-2",
        "prompt": "a cat",
        "n": 3,
        "size": "1024x1280",
        "quality": "high",
        "output_format": "webp",
        "background": "transparent",
    }


def test_what_the_route_leaves_open_is_not_sent() -> None:
    """Empty parameters are left to the provider's defaults."""
    assert to_request(make_call()).arguments == {"model": "gpt-image-2", "prompt": "a cat", "n": 1}


def test_references_make_an_edit_in_their_order() -> None:
    """Pictures go as files whose names are ours, with the mask beside them."""
    request = to_request(make_call(references=(_JPEG, Picture(PNG, "image/png")), mask=_MASK))

    assert request.edit
    assert request.arguments["image"] == [
        ("reference-0.jpeg", _JPEG.data, "image/jpeg"),
        ("reference-1.png", PNG, "image/png"),
    ]
    assert request.arguments["mask"] == ("mask-0.png", PNG, "image/png")


def test_previews_stream_one_image() -> None:
    """Events do not say which image they are of, so one is asked for and the rest is noted."""
    request = to_request(make_call(previews=2, count=4))
    [note] = request.negotiations

    assert request.stream
    assert (request.arguments["stream"], request.arguments["partial_images"], request.arguments["n"]) == (True, 2, 1)
    assert (note.field, note.requested, note.applied) == ("output.count", "4", "1")
    assert (note.kind, note.service) == (task_pb2.NEGOTIATION_KIND_EMULATED, "adapter")


def test_what_the_model_has_no_word_for_is_noted() -> None:
    """Ratio and tier of another family are dropped, not sent and not forgotten."""
    request = to_request(make_call(aspect_ratio="4:5", image_size="2K"))

    assert "aspect_ratio" not in request.arguments
    assert [(note.field, note.requested, note.kind) for note in request.negotiations] == [
        ("output.aspect_ratio", "4:5", task_pb2.NEGOTIATION_KIND_DROPPED),
        ("output.size_tier", "2K", task_pb2.NEGOTIATION_KIND_DROPPED),
    ]


def test_roles_are_noted() -> None:
    """A role is told by order alone, and the receipt says so."""
    call = make_call(references=(_JPEG, _JPEG))
    call.task.references.add(role=task_pb2.REFERENCE_ROLE_BASE)
    call.task.references.add(role=task_pb2.REFERENCE_ROLE_STYLE)

    assert [(note.field, note.requested, note.applied) for note in to_request(call).negotiations] == [
        ("references[1].role", "STYLE", "ORDER")
    ]


@pytest.mark.parametrize("data", [None, [], "none", 7])
def test_no_data_is_no_output(data: object) -> None:
    """A 200 whose `data` is null, missing or no list has no images, and is charged all the same."""
    found = read_images({"data": data, "usage": {"input_tokens": 10, "output_tokens": 1756}})
    outcome = read_answer(found, 0, {})

    assert found.encoded == ()
    assert words_of(outcome) == ("NO_OUTPUT", "CHARGED")
    assert outcome.usage == _USAGE


def test_an_entry_without_base64_is_malformed() -> None:
    """An image that is promised and not there is an unreadable answer, not an empty one."""
    found = read_images({"data": [{"url": "http://elsewhere/"}]})

    assert found.encoded == (None,)
    assert words_of(read_answer(found, 0, {})) == ("MALFORMED_REPLY", "CHARGED")


def test_some_images_are_a_success() -> None:
    """One readable image among several is a success; the loop sees how many there are."""
    found = OpenAIImages((None, "QUJD"), _USAGE)
    outcome = read_answer(found, 1, {"x-request-id": "req_7"})

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert (outcome.provider_request_id, outcome.http_status) == ("req_7", 200)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"input_tokens": 30, "input_tokens_details": {"text_tokens": 10, "image_tokens": 20}, "output_tokens": 5},
            attempt_pb2.Usage(input_text_tokens=10, input_image_tokens=20, output_image_tokens=5),
        ),
        (
            {"output_tokens": 7, "output_tokens_details": {"image_tokens": 5, "text_tokens": 2}},
            attempt_pb2.Usage(output_image_tokens=5, output_text_tokens=2),
        ),
        (
            {
                "input_tokens": 30,
                "input_tokens_details": {
                    "text_tokens": 10,
                    "image_tokens": 20,
                    "cached_tokens_details": {"text_tokens": 4, "image_tokens": 99},
                },
            },
            attempt_pb2.Usage(input_text_tokens=6, cached_input_text_tokens=4, cached_input_image_tokens=20),
        ),
        ({"input_tokens": 10, "output_tokens": 1756}, _USAGE),
        ({"input_tokens": -5, "output_tokens": "many"}, None),
        ({"input_tokens": 0, "output_tokens": 0}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage(usage: object, expected: attempt_pb2.Usage | None) -> None:
    """Tokens are sorted by what they are billed as; a usage that counts nothing is none."""
    assert read_usage(usage) == expected


def test_a_refusal_says_stage_and_categories() -> None:
    """Moderation details are kept where they are codes; sentences are not."""
    body = {
        "code": "moderation_blocked",
        "type": "image_generation_user_error",
        "message": "Your request 'a naughty cat' was rejected",
        "moderation_details": {"moderation_stage": "output", "categories": ["sexual", "a naughty cat in the rain"]},
    }
    outcome = read_error(_FACTS, 400, body, {"x-request-id": "req_9"}, _NOW)

    assert words_of(outcome) == ("REFUSED", "REJECTED")
    assert (outcome.refusal.stage, list(outcome.refusal.categories)) == ("output", ["sexual"])
    assert (outcome.provider_code, outcome.provider_request_id) == ("moderation_blocked", "req_9")
    assert "naughty" not in str(outcome)


def test_a_refusal_without_details_has_an_unknown_stage() -> None:
    """Where the provider does not say, neither do we."""
    outcome = read_error(_FACTS, 400, {"code": "content_policy_violation", "message": "no"}, {}, _NOW)

    assert outcome.refusal.stage == "unknown"


def test_a_rate_limit_says_how_long() -> None:
    """Milliseconds are the finer of the two headers."""
    headers = {"retry-after": "2", "retry-after-ms": "1500"}
    outcome = read_error(_FACTS, 429, {"code": "rate_limit_exceeded", "message": "slow down"}, headers, _NOW)

    assert words_of(outcome) == ("RATE_LIMITED", "REJECTED")
    assert outcome.retry_after.ToMilliseconds() == 1500


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", None, {"detail": "no"}, {"message": "only"}, []])
def test_only_openais_own_error_is_declared_free(body: object) -> None:
    """A 500 without OpenAI's error object is somebody else's and ambiguous."""
    assert words_of(read_error(_FACTS, 500, body, {}, _NOW)) == ("PROVIDER_ERROR", "SENT_UNKNOWN")


def test_no_sentence_of_the_provider_is_kept() -> None:
    """Codes and ids that are not codes and ids are dropped: they may quote the prompt."""
    body = {"code": "the prompt 'secret plan' is bad", "type": "secret plan", "message": "secret plan"}
    outcome = read_error(_FACTS, 400, body, {"x-request-id": "secret plan"}, _NOW)

    assert "secret" not in str(outcome)
    assert outcome.message
