"""Google's error bodies: `{"error": {code, message, status, details[]}}`."""

from __future__ import annotations

from imagerouter.emulators.exchange import Refused

_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


def refused(code: int, message: str, *details: dict[str, object]) -> Refused:
    """An error of Google's shape; the status follows from the code."""
    error: dict[str, object] = {"code": code, "message": message, "status": _STATUS[code]}
    if details:
        error["details"] = list(details)
    return Refused(code, {"error": error})


def invalid(message: str, field: str = "") -> Refused:
    """400 INVALID_ARGUMENT; `field` adds a BadRequest detail."""
    if not field:
        return refused(400, message)
    violation = {"field": field, "description": message}
    return refused(400, message, {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
