"""What to make of a failed call that carries no error of ours: gRPC's own failures, and servers that are not ours.

The question that matters is whether the call may have been executed: `metadata["phase"]` is "not_sent" where it
certainly was not, and "sent_unknown" otherwise. The same code UNAVAILABLE is said for both, so the phase goes by what
only the channel itself says before it has a connection.
"""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio

from imagerouter.runtime import errors

NOT_SENT: Final = "not_sent"
SENT_UNKNOWN: Final = "sent_unknown"

_RETRY_AFTER_S: Final = 1.0
_NO_CONNECTION: Final = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "dns resolution failed",
    "empty address list",
    "name resolver",
)
_TOO_LARGE: Final = ("larger than max", "message too large")


def from_foreign(error: grpc.aio.AioRpcError, *, dependency: str = "") -> errors.ImageRouterError:
    """Return the error of ours that fits best. gRPC's texts are not passed on: they hold addresses."""
    code = error.code()
    details = (error.details() or "").lower()
    metadata = {"grpc_code": code.name, "phase": SENT_UNKNOWN}
    if dependency:
        metadata["dependency"] = dependency
    made = _by_code(code, details, metadata)
    made.__cause__ = error
    return made


def _by_code(code: grpc.StatusCode, details: str, metadata: dict[str, str]) -> errors.ImageRouterError:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if any(text in details for text in _TOO_LARGE):
            return errors.TooLarge("a message is over the size limit", metadata=metadata)
        return errors.Overloaded("a service has too much to do", metadata=metadata, retry_after_s=_RETRY_AFTER_S)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return errors.NotBuilt("a service does not have this method", metadata=metadata | {"phase": NOT_SENT})
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return errors.Unauthenticated("a service does not know our credential", metadata=metadata)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.TimedOut("a service did not answer in time", metadata=metadata)
    if code is grpc.StatusCode.UNAVAILABLE and any(text in details for text in _NO_CONNECTION):
        metadata["phase"] = NOT_SENT
    # Everything else, CANCELLED that nobody here asked for included, means one thing to the caller: a service that we
    # need did not answer.
    return errors.Unavailable("a service did not answer", metadata=metadata, retry_after_s=_RETRY_AFTER_S)
