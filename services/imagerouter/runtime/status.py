"""The one translator between our errors and `google.rpc.Status`.

Details are at most 4 KB: trailing metadata above 8 KiB is randomly turned into RESOURCE_EXHAUSTED by gRPC itself, and
above 16 KiB always. What does not fit is left out in a fixed order (see `_fit`), and `ErrorInfo.metadata["trimmed"]`
says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.runtime import errors
from imagerouter.runtime.foreign import from_foreign

MAX_DETAILS_BYTES: Final = 4096
"""The largest serialized `google.rpc.Status`, in bytes."""

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailing metadata key of the serialized `google.rpc.Status`."""

_MAX_MESSAGE = 512
_MAX_VALUE = 256
_MAX_NAME = 128
_TRIMMED = "trimmed"

_BY_CODE: Final[dict[int, type[errors.ImageRouterError]]] = {
    cls.code.value[0]: cls
    for cls in (
        errors.InvalidField,
        errors.NotFound,
        errors.AlreadyExists,
        errors.DeadlinePast,
        errors.PreconditionFailed,
        errors.Unauthenticated,
        errors.Cancelled,
        errors.OutcomeUnknown,
        errors.Unavailable,
        errors.NotBuilt,
        errors.Internal,
        errors.Overloaded,
    )
}
# Where two errors share a code.
_BY_REASON: Final[dict[str, type[errors.ImageRouterError]]] = {
    "QUOTA_EXCEEDED": errors.QuotaExceeded,
    "OVERLOADED": errors.Overloaded,
    "TOO_LARGE": errors.TooLarge,
    "DEPENDENCY_UNAVAILABLE": errors.TimedOut,
    "TIME_EXHAUSTED": errors.TimedOut,
}


def to_status(error: BaseException, *, trace_id: str = "") -> status_pb2.Status:
    """Say what the caller sees of an error. All but ImageRouterErrors are INTERNAL with the trace id alone."""
    if not isinstance(error, errors.ImageRouterError) or isinstance(error, errors.Internal):
        error = errors.Internal("internal error", metadata={"trace_id": trace_id} if trace_id else {})
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.DOMAIN)
    for key, value in error.metadata.items():
        info.metadata[key[:_MAX_NAME]] = _cut(value, _MAX_VALUE)
    bad_request = error_details_pb2.BadRequest()
    for violation in error.fields:
        bad_request.field_violations.add(
            field=_cut(violation.field, _MAX_VALUE), description=_cut(violation.description, _MAX_VALUE)
        )
    quota = error_details_pb2.QuotaFailure()
    for exceeded in error.quotas:
        quota.violations.add(
            subject=_cut(exceeded.subject, _MAX_VALUE), description=_cut(exceeded.description, _MAX_VALUE)
        )
    retry = error_details_pb2.RetryInfo()
    if error.retry_after_s is not None:
        retry.retry_delay.CopyFrom(_duration(error.retry_after_s))
    return _fit(error.code.value[0], _cut(error.message, _MAX_MESSAGE), info, bad_request, quota, retry)


def to_grpc_status(status: status_pb2.Status) -> grpc.Status:
    """Return the same for `ServicerContext.abort_with_status`."""
    made: grpc.Status = rpc_status.to_status(status)
    return made


def from_status(status: status_pb2.Status) -> errors.ImageRouterError:
    """Return the error that `to_status` made it from, as far as it was not trimmed.

    A reason that this version does not know becomes its code's default; its name stays in `metadata["reason"]`.
    """
    info, fields, quotas, retry_after_s = error_details_pb2.ErrorInfo(), [], [], None
    for detail in status.details:
        if detail.Unpack(info):
            continue
        bad_request, quota, retry = (
            error_details_pb2.BadRequest(),
            error_details_pb2.QuotaFailure(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(bad_request):
            fields += [errors.FieldViolation(one.field, one.description) for one in bad_request.field_violations]
        elif detail.Unpack(quota):
            quotas += [errors.QuotaViolation(one.subject, one.description) for one in quota.violations]
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
    metadata = dict(info.metadata)
    reason: str | None = info.reason
    cls = _BY_REASON.get(info.reason, errors.Internal)
    if cls.code.value[0] != status.code:
        cls = _BY_CODE.get(status.code, errors.Unavailable)
    if not _is_reason(info.reason):
        metadata["reason"], reason = info.reason, None
    # Subclasses take what a handler knows; here the parts are known already.
    error = cls.__new__(cls)
    errors.ImageRouterError.__init__(
        error,
        status.message,
        reason=reason,
        metadata=metadata,
        fields=fields,
        quotas=quotas,
        retry_after_s=retry_after_s,
    )
    return error


def reason_of(status: status_pb2.Status) -> str:
    """Return the ErrorReason in a status, empty if there is none."""
    info = error_details_pb2.ErrorInfo()
    return info.reason if any(detail.Unpack(info) for detail in status.details) else ""


def to_code(status: status_pb2.Status) -> grpc.StatusCode:
    """Return a status's code as gRPC's enum."""
    return _CODES.get(status.code, grpc.StatusCode.UNKNOWN)


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    """Return the `google.rpc.Status` in a failed call, if it is one of ours and agrees with the call's own code."""
    status = status_in(error.trailing_metadata())
    return status if status is not None and status.code == error.code().value[0] else None


def status_in(trailing_metadata: Iterable[tuple[str, str | bytes]] | None) -> status_pb2.Status | None:
    """Return the `google.rpc.Status` in trailing metadata, if it is one of ours."""
    for key, value in trailing_metadata or ():
        if key != DETAILS_KEY:
            continue
        try:
            status = status_pb2.Status.FromString(value)
        except DecodeError:
            return None
        return status if _is_ours(status) else None
    return None


def from_rpc_error(error: grpc.aio.AioRpcError, *, dependency: str = "") -> errors.ImageRouterError:
    """Return the error behind a failed call. One that none of our services made is judged by `runtime.foreign`.

    `dependency` names what was called, for errors that do not say so themselves.
    """
    status = status_of(error)
    return from_foreign(error, dependency=dependency) if status is None else from_status(status)


_CODES: Final[dict[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


def _is_ours(status: status_pb2.Status) -> bool:
    info = error_details_pb2.ErrorInfo()
    return any(detail.Unpack(info) and info.domain == errors.DOMAIN for detail in status.details)


def _is_reason(name: str) -> bool:
    return f"ERROR_REASON_{name}" in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name


def _fit(
    code: int,
    message: str,
    info: error_details_pb2.ErrorInfo,
    bad_request: error_details_pb2.BadRequest,
    quota: error_details_pb2.QuotaFailure,
    retry: error_details_pb2.RetryInfo,
) -> status_pb2.Status:
    """Leave out, from the end, field violations but one, quota violations but one, metadata by key, until it fits."""
    while True:
        details: list[Message] = [info]
        details += [bad_request] if bad_request.field_violations else []
        details += [quota] if quota.violations else []
        details += [retry] if retry.HasField("retry_delay") else []
        status = status_pb2.Status(code=code, message=message, details=[_pack(detail) for detail in details])
        if status.ByteSize() <= MAX_DETAILS_BYTES:
            return status
        info.metadata[_TRIMMED] = "true"
        if len(bad_request.field_violations) > 1:
            del bad_request.field_violations[-1]
        elif len(quota.violations) > 1:
            del quota.violations[-1]
        else:
            del info.metadata[max(key for key in info.metadata if key != _TRIMMED)]


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, and an ellipsis where something is missing."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= most else data[: most - 3].decode("utf-8", "ignore") + "…"


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMicroseconds(max(0, round(seconds * 1_000_000)))
    return duration
