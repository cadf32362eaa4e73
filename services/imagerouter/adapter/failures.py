"""Failures that both providers share: no connection, no answer, an answer that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2

from imagerouter.adapter.transport import Wire
from imagerouter.api.common.v1 import attempt_pb2

_MESSAGES = {
    attempt_pb2.OUTCOME_KIND_TIMEOUT: "no answer in time",
    attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED: "the connection to the provider failed",
    attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY: "the provider's answer could not be read",
}


def transport_failure(error: BaseException, wire: Wire) -> attempt_pb2.Outcome:
    """Return the outcome of an exception that brought no provider error with it.

    Kind by the innermost known cause, phase by the wire: NOT_SENT if no byte of the request left, else SENT_UNKNOWN.
    A truncated 200 is SENT_UNKNOWN too: the provider finished, but what it charges cannot be read.
    """
    kind = _kind(error)
    if not wire.sent and kind == attempt_pb2.OUTCOME_KIND_TIMEOUT:
        kind = attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED
    return attempt_pb2.Outcome(
        kind=kind,
        phase=attempt_pb2.PHASE_SENT_UNKNOWN if wire.sent else attempt_pb2.PHASE_NOT_SENT,
        http_status=wire.http_status,
        message=_MESSAGES[kind],
    )


def unsent(message: str) -> attempt_pb2.Outcome:
    """Return the outcome of a call that we would not send."""
    return attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_INVALID_REQUEST, phase=attempt_pb2.PHASE_NOT_SENT, message=message
    )


def cancelled(wire: Wire) -> attempt_pb2.Outcome:
    """Return the outcome of a call whose caller went away."""
    return attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_CANCELLED,
        phase=attempt_pb2.PHASE_SENT_UNKNOWN if wire.sent else attempt_pb2.PHASE_NOT_SENT,
        http_status=wire.http_status,
        message="the caller cancelled",
    )


def unreadable(wire: Wire, *, is_page: bool) -> attempt_pb2.Outcome:
    """Return the outcome of a complete 200 that is not what the API sends.

    Broken JSON is the provider's own answer, executed and charged: the cost is estimated. A page (HTML) is somebody
    else's, and says nothing about the execution.
    """
    return attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY,
        phase=attempt_pb2.PHASE_SENT_UNKNOWN if is_page else attempt_pb2.PHASE_CHARGED,
        http_status=wire.http_status,
        message=_MESSAGES[attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY],
    )


def _kind(error: BaseException) -> attempt_pb2.OutcomeKind.ValueType:
    for cause in _causes(error):
        if isinstance(cause, httpx2.TimeoutException | TimeoutError):
            return attempt_pb2.OUTCOME_KIND_TIMEOUT
        if isinstance(cause, httpx2.TransportError | OSError):
            return attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED
        if isinstance(cause, httpx2.DecodingError | json.JSONDecodeError | UnicodeDecodeError):
            return attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY
    return attempt_pb2.OUTCOME_KIND_MALFORMED_REPLY


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
