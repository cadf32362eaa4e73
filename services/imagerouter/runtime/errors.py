"""The one exception family. Raise these; `runtime.status` turns them into `google.rpc.Status` and back.

    ImageRouterError
    ├── InvalidField              INVALID_ARGUMENT     a field is missing, malformed or out of range
    ├── NotFound                  NOT_FOUND            an image or artifact is not the tenant's
    ├── AlreadyExists             ALREADY_EXISTS       a request_id with another payload
    ├── DeadlinePast              DEADLINE_EXCEEDED    too late on arrival; nothing was spent
    ├── TimedOut                  DEADLINE_EXCEEDED    time ran out, of a dependency or of the image
    ├── PreconditionFailed        FAILED_PRECONDITION  no route, refused, budget gone, wrong state
    ├── Unauthenticated           UNAUTHENTICATED      no credential we know
    ├── Cancelled                 CANCELLED            the image was cancelled
    ├── QuotaExceeded             RESOURCE_EXHAUSTED   the tenant's quota
    ├── Overloaded                RESOURCE_EXHAUSTED   our own limit; nothing was begun
    ├── TooLarge                  RESOURCE_EXHAUSTED   a message is over the size limit
    ├── OutcomeUnknown            ABORTED              a provider may or may not have executed an attempt
    ├── Unavailable               UNAVAILABLE          a dependency, or every attempt, failed
    ├── NotBuilt                  UNIMPLEMENTED        in the contract, not built yet
    └── Internal                  INTERNAL             a defect; the message never leaves the process

`message` is public: it goes to the caller and must quote no prompt, key or provider text. Anything private belongs in
the exception's `__cause__`, which is logged and not sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc

from imagerouter.api.errors.v1 import error_reason_pb2

DOMAIN = "imagerouter.dev"
_PREFIX = "ERROR_REASON_"


@dataclass(frozen=True)
class FieldViolation:
    """A field that is to blame: `field` is its path as the caller spells it (`references[0].artifact`)."""

    field: str
    description: str


@dataclass(frozen=True)
class QuotaViolation:
    """A quota that is used up: `subject` is what it counts for, `description` says the limit."""

    subject: str
    description: str


class ImageRouterError(Exception):
    """A failure with a place in the error contract (`imagerouter/api/errors/v1/error_reason.proto`)."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        quotas: Sequence[QuotaViolation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        """Say what failed. `reason` is an ErrorReason without its prefix; ValueError if there is none of that name."""
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        error_reason_pb2.ErrorReason.Value(_PREFIX + self.reason)
        self.metadata = dict(metadata or {})
        self.fields = tuple(fields)
        self.quotas = tuple(quotas)
        self.retry_after_s = retry_after_s
        if self.fields:
            self.metadata.setdefault("field", self.fields[0].field)

    @property
    def reason_value(self) -> error_reason_pb2.ErrorReason.ValueType:
        """The reason as the enum's number, for messages that store it."""
        return error_reason_pb2.ErrorReason.Value(_PREFIX + self.reason)


class _FieldError(ImageRouterError):
    """An error that one field is to blame for."""

    def __init__(
        self, field: str, description: str, *, reason: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> None:
        message = f"{field}: {description}" if field else description
        fields = (FieldViolation(field, description),) if field else ()
        super().__init__(message, reason=reason, metadata=metadata, fields=fields)


class InvalidField(_FieldError):
    """A field is missing, malformed or out of range."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    default_reason = "INVALID_FIELD"


class NotFound(_FieldError):
    """What a field names is not there, or is another tenant's. Reason IMAGE_NOT_FOUND or ARTIFACT_NOT_FOUND."""

    code = grpc.StatusCode.NOT_FOUND
    default_reason = "IMAGE_NOT_FOUND"


class AlreadyExists(_FieldError):
    """A request_id was used before with another payload."""

    code = grpc.StatusCode.ALREADY_EXISTS
    default_reason = "REQUEST_ID_REUSED"


class DeadlinePast(_FieldError):
    """A deadline was past, or too close, before anything was spent."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    default_reason = "DEADLINE_PAST"


class TimedOut(ImageRouterError):
    """Time ran out and something may have been spent: a dependency's (see `metadata["phase"]`), or an image's.

    The image's own time has the reason TIME_EXHAUSTED.
    """

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    default_reason = "DEPENDENCY_UNAVAILABLE"


class PreconditionFailed(ImageRouterError):
    """The request is fine and cannot be done. Give a reason: NO_ROUTE, REFUSED, BUDGET_EXHAUSTED or WRONG_STATE."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    default_reason = "WRONG_STATE"


class Unauthenticated(ImageRouterError):
    """The call has no credential we know."""

    code = grpc.StatusCode.UNAUTHENTICATED
    default_reason = "UNAUTHENTICATED"


class Cancelled(ImageRouterError):
    """The image was cancelled."""

    code = grpc.StatusCode.CANCELLED
    default_reason = "IMAGE_CANCELLED"


class QuotaExceeded(ImageRouterError):
    """The tenant is over a quota. Give `quotas` and `retry_after_s`."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_reason = "QUOTA_EXCEEDED"


class Overloaded(ImageRouterError):
    """Too much to do, and this was not begun: safe to repeat after `retry_after_s`."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_reason = "OVERLOADED"


class TooLarge(ImageRouterError):
    """A message is over a size limit: repeating it is of no use. Fields that are too large are InvalidField."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_reason = "TOO_LARGE"


class OutcomeUnknown(ImageRouterError):
    """A provider may or may not have executed an attempt. Never repeated blindly."""

    code = grpc.StatusCode.ABORTED
    default_reason = "OUTCOME_UNKNOWN"


class Unavailable(ImageRouterError):
    """A dependency did not answer (DEPENDENCY_UNAVAILABLE), or every attempt failed (ATTEMPTS_EXHAUSTED)."""

    code = grpc.StatusCode.UNAVAILABLE
    default_reason = "DEPENDENCY_UNAVAILABLE"


class NotBuilt(ImageRouterError):
    """The RPC is part of the contract and not built yet."""

    code = grpc.StatusCode.UNIMPLEMENTED
    default_reason = "NOT_BUILT"


class Internal(ImageRouterError):
    """A defect of ours. The caller sees no message, the log sees it all."""
