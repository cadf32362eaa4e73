"""From OpenAI's answers to outcomes. Pure.

Sources: providers.md 1.3 (shapes of replies and events) and 1.7 (errors).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from imagerouter.adapter import waits, words
from imagerouter.adapter.rules import Facts, Symptom
from imagerouter.api.common.v1 import attempt_pb2


@dataclass(frozen=True)
class OpenAIImages:
    """A proper answer: base64 of each image (None where an entry has none) and the usage, if it came along."""

    encoded: tuple[str | None, ...]
    usage: attempt_pb2.Usage | None


def read_images(body: object) -> OpenAIImages:
    """Read an ImagesResponse. `data` may be null or missing: that is an answer without an image."""
    reply = words.table(body)
    entries = [words.table(entry) for entry in words.array(reply.get("data"))]
    return OpenAIImages(tuple(_text(entry.get("b64_json")) for entry in entries), read_usage(reply.get("usage")))


def read_usage(value: object) -> attempt_pb2.Usage | None:
    """Read a usage object; None if it counts nothing.

    Input without details counts as text. Cached tokens are documented nowhere for images: where `cached_tokens_details`
    turn up they are taken out of the full price, else everything is at the full price and never under it.
    """
    usage = words.table(value)
    given = words.table(usage.get("input_tokens_details"))
    cached = words.table(given.get("cached_tokens_details"))
    drawn = words.table(usage.get("output_tokens_details"))
    image_in = words.count(given.get("image_tokens"))
    text_in = words.count(given.get("text_tokens")) or max(words.count(usage.get("input_tokens")) - image_in, 0)
    cached_text = min(words.count(cached.get("text_tokens")), text_in)
    cached_image = min(words.count(cached.get("image_tokens")), image_in)
    text_out = words.count(drawn.get("text_tokens"))
    image_out = words.count(drawn.get("image_tokens")) or max(words.count(usage.get("output_tokens")) - text_out, 0)
    if not text_in + image_in + text_out + image_out:
        return None
    return attempt_pb2.Usage(
        input_text_tokens=text_in - cached_text,
        input_image_tokens=image_in - cached_image,
        cached_input_text_tokens=cached_text,
        cached_input_image_tokens=cached_image,
        output_image_tokens=image_out,
        output_text_tokens=text_out,
    )


def read_error(
    facts: Facts, http_status: int, body: object, headers: Mapping[str, str], now: datetime
) -> attempt_pb2.Outcome:
    """Map an error object, of a status or inside a stream. `body` is what the SDK gives: the inner `error`, or text."""
    error = words.table(body)
    code, kind = words.code(error.get("code")), words.code(error.get("type"))
    typed = isinstance(error.get("message"), str) and ("type" in error or "code" in error)
    rule = facts.error(Symptom(http_status, frozenset({code, kind} - {""}), typed))
    outcome = attempt_pb2.Outcome(
        kind=rule.kind,
        phase=rule.phase,
        http_status=http_status,
        provider_code=code or kind,
        provider_request_id=words.identifier(headers.get("x-request-id")),
        message=rule.message,
    )
    if rule.kind == attempt_pb2.OUTCOME_KIND_REFUSED:
        details = words.table(error.get("moderation_details"))
        stage = details.get("moderation_stage")
        outcome.refusal.stage = stage if stage in ("input", "output") else "unknown"
        outcome.refusal.categories.extend(filter(None, map(words.code, words.array(details.get("categories")))))
    wait = waits.to_duration(waits.header_wait(headers, now))
    if wait is not None:
        outcome.retry_after.CopyFrom(wait)
    return outcome


def read_answer(found: OpenAIImages, decoded: int, headers: Mapping[str, str]) -> attempt_pb2.Outcome:
    """Return the outcome of a 200. `decoded` is how many of its images proved to be images. Always charged."""
    if decoded:
        kind, message = attempt_pb2.OUTCOME_KIND_SUCCEEDED, ""
    elif found.encoded:
        kind, message = attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY, "the provider's answer has no readable image"
    else:
        kind, message = attempt_pb2.OUTCOME_KIND_NO_OUTPUT, "the provider answered without an image"
    return attempt_pb2.Outcome(
        kind=kind,
        phase=attempt_pb2.PHASE_CHARGED,
        http_status=200,
        usage=found.usage,
        provider_request_id=words.identifier(headers.get("x-request-id")),
        message=message,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
