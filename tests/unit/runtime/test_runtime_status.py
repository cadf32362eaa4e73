"""The translator: what goes in comes out, nothing private goes in, and it always fits."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.runtime import errors
from imagerouter.runtime.status import (
    DETAILS_KEY,
    MAX_DETAILS_BYTES,
    from_rpc_error,
    from_status,
    reason_of,
    status_of,
    to_code,
    to_status,
)

EVERY = (
    errors.InvalidField("references[0].artifact", "is no digest"),
    errors.InvalidField("constraints.models[0]", "is not in the catalogue", reason="UNKNOWN_MODEL"),
    errors.NotFound("name", "there is no such image"),
    errors.AlreadyExists("request_id", "was used with another payload"),
    errors.DeadlinePast("constraints.deadline", "is past"),
    errors.PreconditionFailed("no model fits", reason="NO_ROUTE", metadata={"gpt-image-2": "LATENCY: p50 45000 ms"}),
    errors.TimedOut("no answer in time", metadata={"phase": "sent_unknown"}),
    errors.TimedOut("the image's time is over", reason="TIME_EXHAUSTED", metadata={"attempts": "1"}),
    errors.Unauthenticated("no credential"),
    errors.Cancelled("cancelled", metadata={"name": "images/1"}),
    errors.QuotaExceeded(
        "too many images", quotas=[errors.QuotaViolation("tenant:a", "10 at a time")], retry_after_s=2.5
    ),
    errors.Overloaded("too busy", retry_after_s=0.25),
    errors.TooLarge("too large", metadata={"limit_bytes": "524288"}),
    errors.OutcomeUnknown("nobody knows", metadata={"attempt_id": "1"}),
    errors.Unavailable("no answer", retry_after_s=1),
    errors.NotBuilt("not built", metadata={"method": "x/Y"}),
)


def _failed(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    return grpc.aio.AioRpcError(to_code(status), grpc.aio.Metadata(), trailing, details=status.message)


def _bare(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: f"{type(error).__name__}-{error.reason}")
def test_round_trip(error: errors.ImageRouterError) -> None:
    """Each error comes back as itself: class, message, reason, fields, quotas, delay and metadata."""
    back = from_rpc_error(_failed(to_status(error)))

    assert type(back) is type(error)
    assert (back.message, back.reason, back.metadata) == (error.message, error.reason, error.metadata)
    assert (back.fields, back.quotas, back.retry_after_s) == (error.fields, error.quotas, error.retry_after_s)


def test_every_class_is_covered() -> None:
    """The round trip is checked for each error that may leave a process with its message."""
    classes = set(errors.ImageRouterError.__subclasses__()) | set(errors._FieldError.__subclasses__())

    assert {type(error) for error in EVERY} == classes - {errors._FieldError, errors.Internal}


@pytest.mark.parametrize("error", [ValueError("postgres://user:SECRET@db/x"), errors.Internal("row 7 has no owner")])
def test_defects_say_nothing(error: Exception) -> None:
    """A defect is INTERNAL with the trace id, and none of its text."""
    status = to_status(error, trace_id="0af7651916cd43dd8448eb211c80319c")

    assert to_code(status) is grpc.StatusCode.INTERNAL
    assert from_status(status).metadata == {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    assert str(error).encode() not in status.SerializeToString()
    assert status.message == "internal error"


texts = st.text(max_size=6000)


@given(
    message=texts,
    metadata=st.dictionaries(st.text(min_size=1, max_size=300), texts, max_size=80),
    fields=st.lists(st.builds(errors.FieldViolation, texts, texts), max_size=40),
    quotas=st.lists(st.builds(errors.QuotaViolation, texts, texts), max_size=40),
)
def test_details_always_fit(
    message: str,
    metadata: dict[str, str],
    fields: list[errors.FieldViolation],
    quotas: list[errors.QuotaViolation],
) -> None:
    """Whatever an error holds, its status is at most 4 KB, keeps its reason, and trims the same way each time."""
    error = errors.PreconditionFailed(message, metadata=metadata, fields=fields, quotas=quotas, retry_after_s=1)

    status = to_status(error)

    assert status.ByteSize() <= MAX_DETAILS_BYTES
    assert reason_of(status) == "WRONG_STATE"
    assert status == to_status(error)


def test_trimming_is_said_and_keeps_the_first() -> None:
    """What does not fit goes from the end, the first violation stays, and the metadata says that something is gone."""
    fields = [errors.FieldViolation(f"references[{i}]", "x" * 200) for i in range(40)]

    back = from_status(to_status(errors.PreconditionFailed("many", fields=fields)))

    assert back.metadata["trimmed"] == "true"
    assert back.fields[0].field == "references[0]"
    assert 1 <= len(back.fields) < 40


def test_a_reason_of_a_newer_server() -> None:
    """A reason this version does not know keeps its code's class and its name."""
    status = to_status(errors.PreconditionFailed("x"))
    info = error_details_pb2.ErrorInfo(reason="NEWER", domain=errors.DOMAIN)
    status.details[0].Pack(info)

    back = from_rpc_error(_failed(status))

    assert isinstance(back, errors.PreconditionFailed)
    assert back.metadata["reason"] == "NEWER"


@pytest.mark.parametrize(
    ("code", "details", "cls", "phase"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: x", errors.Unavailable, "not_sent"),
        ("UNAVAILABLE", "DNS resolution failed for x", errors.Unavailable, "not_sent"),
        ("UNAVAILABLE", "Cancelling all calls", errors.Unavailable, "sent_unknown"),
        ("UNAVAILABLE", "Socket closed", errors.Unavailable, "sent_unknown"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", errors.TimedOut, "sent_unknown"),
        ("CANCELLED", "CANCELLED", errors.Unavailable, "sent_unknown"),
        ("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (9 vs. 8)", errors.TooLarge, "sent_unknown"),
        ("RESOURCE_EXHAUSTED", "", errors.Overloaded, "sent_unknown"),
        ("UNIMPLEMENTED", "Method not found!", errors.NotBuilt, "not_sent"),
        ("INTERNAL", "RST_STREAM", errors.Unavailable, "sent_unknown"),
        ("UNKNOWN", "ValueError: secret", errors.Unavailable, "sent_unknown"),
    ],
)
def test_foreign_errors(code: str, details: str, cls: type[errors.ImageRouterError], phase: str) -> None:
    """A failure that no service of ours made gets the class that fits, the phase, and none of its text."""
    error = from_rpc_error(_bare(grpc.StatusCode[code], details), dependency="router")

    assert type(error) is cls
    assert error.metadata == {"grpc_code": code, "phase": phase, "dependency": "router"}
    assert details == "" or details not in error.message


def test_a_lying_status_is_foreign() -> None:
    """Details that are not ours, are broken, or disagree with the call's code, are not believed."""
    other = to_status(errors.NotFound("name", "x"))
    lying = _failed(other)
    lying._code = grpc.StatusCode.UNAVAILABLE
    broken = grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff")), details="x"
    )
    strange = status_pb2.Status(code=5, message="x")
    strange.details.add().Pack(error_details_pb2.ErrorInfo(reason="X", domain="elsewhere"))

    assert [status_of(error) for error in (lying, broken, _failed(strange))] == [None, None, None]


def test_every_reason_has_a_class() -> None:
    """Each reason of the contract can be restored from the code that the contract gives it."""
    for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name:
        reason = name.removeprefix("ERROR_REASON_")
        if reason != "UNSPECIFIED":
            errors.ImageRouterError("x", reason=reason)
