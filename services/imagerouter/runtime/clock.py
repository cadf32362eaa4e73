"""Time as a parameter: pure code takes a `Clock`, `main` passes `utc_now`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, in UTC, with the zone attached."""


def utc_now() -> datetime:
    """Read the wall clock, in UTC."""
    return datetime.now(UTC)
