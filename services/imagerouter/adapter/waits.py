"""How long a provider asks us to wait, from the several places where it may say so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from google.protobuf import duration_pb2

# A longer wait than this is no wait but an outage, and no image waits for it.
LONGEST = timedelta(hours=1)


def header_wait(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read `retry-after-ms`, else `retry-after` in seconds or as an HTTP date. None if neither makes sense."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return _sane(milliseconds / 1000)
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return _sane(seconds)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _sane((moment - now).total_seconds())


def delay_wait(delay: str) -> timedelta | None:
    """Read `google.rpc.RetryInfo.retryDelay` as JSON has it ("2.5s"). None if it makes no sense."""
    seconds = _number(delay.removesuffix("s")) if delay.endswith("s") else None
    return None if seconds is None else _sane(seconds)


def to_duration(wait: timedelta | None) -> duration_pb2.Duration | None:
    """Return the wait as a message field takes it."""
    if wait is None:
        return None
    duration = duration_pb2.Duration()
    duration.FromTimedelta(wait)
    return duration


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _sane(seconds: float) -> timedelta | None:
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(timedelta(seconds=seconds), LONGEST)
