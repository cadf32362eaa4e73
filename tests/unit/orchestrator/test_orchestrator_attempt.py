"""What a failed call to an adapter means for the attempt."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.orchestrator.attempt import broken_call
from imagerouter.runtime import errors
from imagerouter.runtime.status import DETAILS_KEY, to_status

NOT_SENT = attempt_pb2.PHASE_NOT_SENT
UNKNOWN = attempt_pb2.PHASE_SENT_UNKNOWN
CONNECTION = attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED
INVALID = attempt_pb2.OUTCOME_KIND_INVALID_REQUEST


def said(error: errors.ImageRouterError) -> AioRpcError:
    """The failed call of an adapter that raised this."""
    details = Metadata((DETAILS_KEY, to_status(error).SerializeToString()))
    return AioRpcError(error.code, Metadata(), details, details=error.message)


def bare(code: grpc.StatusCode, details: str = "") -> AioRpcError:
    """A failed call that none of our services has said anything about."""
    return AioRpcError(code, Metadata(), Metadata(), details=details)


def named(value: object) -> str:
    """An id for a case: the error's name, its reason and what it says of sending."""
    if not isinstance(value, errors.ImageRouterError):
        return ""
    return f"{type(value).__name__}-{value.reason}-{value.metadata.get('phase', 'silent')}"


def found(call: AioRpcError) -> tuple[int, int]:
    outcome = broken_call(call)
    return outcome.kind, outcome.phase


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        # The adapter's own word that nothing went out.
        (errors.InvalidField("route.model", "x"), (INVALID, NOT_SENT)),
        (errors.InvalidField("route.model", "x", reason="UNKNOWN_MODEL"), (INVALID, NOT_SENT)),
        (errors.InvalidField("", "x", reason="MALFORMED_MESSAGE"), (INVALID, NOT_SENT)),
        (errors.NotFound("task.references[0]", "x", reason="ARTIFACT_NOT_FOUND"), (INVALID, NOT_SENT)),
        (errors.DeadlinePast("", "x"), (INVALID, NOT_SENT)),
        (errors.Overloaded("x"), (CONNECTION, NOT_SENT)),
        (errors.Overloaded("x", metadata={"phase": "not_sent"}), (CONNECTION, NOT_SENT)),
        (errors.Unavailable("x", metadata={"phase": "not_sent"}), (CONNECTION, NOT_SENT)),
        # Its word that something may have, or no word about it.
        (errors.Unavailable("x", metadata={"phase": "sent_unknown"}), (CONNECTION, UNKNOWN)),
        (errors.Unavailable("x"), (CONNECTION, UNKNOWN)),
        (errors.TimedOut("x"), (CONNECTION, UNKNOWN)),
        (errors.Cancelled("x"), (CONNECTION, UNKNOWN)),
        (errors.Internal("x"), (CONNECTION, UNKNOWN)),
        (errors.OutcomeUnknown("x"), (CONNECTION, UNKNOWN)),
        (errors.TooLarge("x"), (CONNECTION, UNKNOWN)),
        (errors.NotFound("x", "y"), (CONNECTION, UNKNOWN)),
        (errors.PreconditionFailed("x", reason="WRONG_STATE"), (CONNECTION, UNKNOWN)),
    ],
    ids=named,
)
def test_what_an_adapter_said(error: errors.ImageRouterError, expected: tuple[int, int]) -> None:
    """Only what the adapter itself says before it sends makes an attempt free."""
    assert found(said(error)) == expected


_SURE = {grpc.StatusCode.UNIMPLEMENTED}
_OPEN = {grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code not in {grpc.StatusCode.OK} | _SURE | _OPEN])
def test_a_bare_code_says_nothing_about_sending(code: grpc.StatusCode) -> None:
    """Invariant 1: a proxy, a lost connection or gRPC itself may say any code after the provider got the request."""
    assert found(bare(code)) == (CONNECTION, UNKNOWN)


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: connection refused"),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!"),
    ],
)
def test_what_the_channel_is_sure_of(code: grpc.StatusCode, details: str) -> None:
    """Where no connection or no method was found, nothing was sent."""
    assert found(bare(code, details)) == (CONNECTION, NOT_SENT)


@pytest.mark.parametrize("details", ["", "received trailing metadata size exceeds hard limit"])
def test_a_bare_resource_exhausted_may_have_been_sent(details: str) -> None:
    """A library says RESOURCE_EXHAUSTED when an answer's metadata is too large: the provider was long asked."""
    assert found(bare(grpc.StatusCode.RESOURCE_EXHAUSTED, details)) == (CONNECTION, UNKNOWN)


def test_the_answer_too_large_may_have_been_sent() -> None:
    """A message over the limit may be the answer."""
    call = bare(grpc.StatusCode.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (9 vs. 4)")

    assert found(call) == (CONNECTION, UNKNOWN)


def test_details_that_contradict_the_code_are_no_word_of_ours() -> None:
    """A status whose code is not the call's proves nothing."""
    details = Metadata((DETAILS_KEY, to_status(errors.InvalidField("route", "x")).SerializeToString()))

    assert found(AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), details)) == (CONNECTION, UNKNOWN)


def test_the_outcome_quotes_nothing() -> None:
    """Invariant 8: gRPC's text holds addresses, and an adapter's might hold more. The code is kept."""
    outcome = broken_call(bare(grpc.StatusCode.UNKNOWN, "secret 10.0.0.1:50051"))

    assert outcome.provider_code == "GRPC_UNKNOWN"
    assert "secret" not in str(outcome)
    assert outcome.cost_micros == 0
