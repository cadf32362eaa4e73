"""From Gemini's answers to outcomes. Pure.

Sources: providers.md 2.2 (parts, finish and block reasons), 2.3 (what is billed) and 2.5 (errors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from imagerouter.adapter import waits, words
from imagerouter.adapter.rules import Facts, Finish, Symptom
from imagerouter.api.common.v1 import attempt_pb2

_ZERO: Final = re.compile(r"limit: 0(?!\.?\d)")
_UNKNOWN_FINISH: Final = Finish(attempt_pb2.OUTCOME_KIND_NO_OUTPUT, "the model stopped for a reason we do not know")


@dataclass(frozen=True)
class GoogleContent:
    """A proper answer. `encoded` is the base64 of the picture; None if there is none."""

    encoded: str | None
    finish_reason: str
    block_reason: str
    usage: attempt_pb2.Usage | None
    model_version: str
    response_id: str


def read_content(body: object) -> GoogleContent:
    """Read a GenerateContentResponse. Every part of it may be missing.

    The last picture that is not a thought is the picture. If the model stopped properly and every picture is marked as
    a thought, the last one counts all the same: finished pictures have been seen with that mark (Lixpi #135).
    """
    reply = words.table(body)
    candidate = words.table(next(iter(words.array(reply.get("candidates"))), None))
    finish = words.code(candidate.get("finishReason"))
    block = words.code(words.table(reply.get("promptFeedback")).get("blockReason"))
    pictures = list(_pictures(candidate))
    finals = [data for data, is_thought in pictures if not is_thought]
    if not finals and finish == "STOP":
        finals = [data for data, _ in pictures]
    return GoogleContent(
        encoded=finals[-1] if finals else None,
        finish_reason=finish,
        block_reason=block,
        usage=read_usage(reply.get("usageMetadata"), drew=bool(finals)),
        model_version=words.code(reply.get("modelVersion")),
        response_id=words.identifier(reply.get("responseId")),
    )


def read_usage(value: object, *, drew: bool) -> attempt_pb2.Usage | None:
    """Read usageMetadata; None if it counts nothing. Thoughts are billed as text, pictures among them are not.

    Output without details is pictures if `drew`, else text: the dearer reading of a reply with a picture.
    """
    usage = words.table(value)
    image_in = _of(usage.get("promptTokensDetails"), "IMAGE")
    text_in = max(words.count(usage.get("promptTokenCount")) - image_in, 0)
    text_in += words.count(usage.get("toolUsePromptTokenCount"))
    cached_image = min(_of(usage.get("cacheTokensDetails"), "IMAGE"), image_in)
    cached_text = min(max(words.count(usage.get("cachedContentTokenCount")) - cached_image, 0), text_in)
    out = words.count(usage.get("candidatesTokenCount"))
    detailed = bool(words.array(usage.get("candidatesTokensDetails")))
    image_out = _of(usage.get("candidatesTokensDetails"), "IMAGE") if detailed else (out if drew else 0)
    text_out = max(out - image_out, 0) + words.count(usage.get("thoughtsTokenCount"))
    if not text_in + image_in + image_out + text_out:
        return None
    return attempt_pb2.Usage(
        input_text_tokens=text_in - cached_text,
        input_image_tokens=image_in - cached_image,
        cached_input_text_tokens=cached_text,
        cached_input_image_tokens=cached_image,
        output_image_tokens=image_out,
        output_text_tokens=text_out,
    )


def read_answer(facts: Facts, found: GoogleContent, *, decoded: bool) -> attempt_pb2.Outcome:
    """Return the outcome of a 200. `decoded` says that the picture proved to be one.

    A blocked prompt is charged for what its usage counts, and free if it counts nothing: no model ran. Everything else
    was executed and is charged.
    """
    outcome = attempt_pb2.Outcome(
        phase=attempt_pb2.PHASE_CHARGED,
        http_status=200,
        usage=found.usage,
        provider_code=found.block_reason or found.finish_reason,
        provider_request_id=found.response_id,
        model_version=found.model_version,
    )
    reason = found.block_reason or found.finish_reason
    finish = facts.finishes.get(reason, _UNKNOWN_FINISH)
    if found.block_reason:
        # Any block of a prompt is a refusal, whichever word there is for it.
        outcome.kind, outcome.message = attempt_pb2.OUTCOME_KIND_REFUSED, "the provider's content policy blocked it"
        outcome.phase = attempt_pb2.PHASE_CHARGED if found.usage is not None else attempt_pb2.PHASE_REJECTED
    elif finish.kind == attempt_pb2.OUTCOME_KIND_REFUSED:
        outcome.kind, outcome.message = finish.kind, finish.message
    elif decoded:
        outcome.kind = attempt_pb2.OUTCOME_KIND_SUCCEEDED
    elif found.encoded is not None:
        outcome.kind = attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY
        outcome.message = "the provider's answer has no readable image"
    else:
        outcome.kind, outcome.message = finish.kind, finish.message
    if outcome.kind == attempt_pb2.OUTCOME_KIND_REFUSED:
        outcome.refusal.stage = "input" if found.block_reason else "output"
        outcome.refusal.categories.append(reason)
    return outcome


def read_error(
    facts: Facts, http_status: int, body: object, headers: Mapping[str, str], now: datetime
) -> attempt_pb2.Outcome:
    """Map the body of an answer that is not a 200."""
    error = words.table(words.table(body).get("error"))
    details = [words.table(detail) for detail in words.array(error.get("details"))]
    status = words.code(error.get("status"))
    codes = {status, *(words.code(detail.get("reason")) for detail in details), *_quota_codes(error, details)} - {""}
    rule = facts.error(Symptom(http_status, frozenset(codes), typed=bool(error)))
    outcome = attempt_pb2.Outcome(
        kind=rule.kind,
        phase=rule.phase,
        http_status=http_status,
        provider_code=status,
        provider_request_id=words.identifier(headers.get("x-request-id")),
        message=rule.message,
    )
    wait = waits.to_duration(_wait(details) or waits.header_wait(headers, now))
    if wait is not None:
        outcome.retry_after.CopyFrom(wait)
    return outcome


def _pictures(candidate: Mapping[str, object]) -> Iterator[tuple[str, bool]]:
    for item in words.array(words.table(candidate.get("content")).get("parts")):
        part = words.table(item)
        data = words.table(part.get("inlineData")).get("data")
        if isinstance(data, str) and data:
            yield data, part.get("thought") is True


def _of(details: object, modality: str) -> int:
    rows = (words.table(row) for row in words.array(details))
    return sum(words.count(row.get("tokenCount")) for row in rows if row.get("modality") == modality)


def _quota_codes(error: Mapping[str, object], details: list[Mapping[str, object]]) -> Iterator[str]:
    for detail in details:
        for item in words.array(detail.get("violations")):
            violation = words.table(item)
            if str(violation.get("quotaValue")) == "0":
                yield "QUOTA_ZERO"
            if "PerDay" in str(violation.get("quotaId")):
                yield "QUOTA_DAY"
    # The bare form has it in the sentence only.
    if _ZERO.search(str(error.get("message"))):
        yield "QUOTA_ZERO"


def _wait(details: list[Mapping[str, object]]) -> timedelta | None:
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str):
            return waits.delay_wait(delay)
    return None
