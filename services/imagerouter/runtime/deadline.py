"""The deadline of the work at hand. grpc.aio hands none on from a served call to the calls made for it; this does.

The deadline is a moment of the event loop's monotonic clock in a context variable. The server sets it for each RPC, the
channel shaves every child call by it, and `asyncio.create_task` copies it: work that outlives its RPC (the loop of an
image) must start under `deadline_scope(None)` or under a deadline of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

RESERVE_S = 0.02
"""What each hop keeps for itself, so that it can still say *what* timed out before its caller gives up."""

MINIMUM_S = 0.005
"""A child call with less time than this would only cost the callee work: it is refused unsent."""

_STALE_CLOCK_S = 0.005
_deadline: ContextVar[float | None] = ContextVar("imagerouter_deadline", default=None)


def current_deadline() -> float | None:
    """Return the moment (`time.monotonic()` seconds) by which the work at hand must end, or None."""
    return _deadline.get()


def time_left() -> float | None:
    """Return the seconds until the deadline, negative when it is past, or None without one."""
    deadline = _deadline.get()
    return None if deadline is None else deadline - time.monotonic()


def set_deadline(deadline: float | None) -> None:
    """Set it for the current task and those it starts. For the server; others use `deadline_scope`."""
    _deadline.set(deadline)


@contextmanager
def deadline_scope(seconds: float | None) -> Iterator[None]:
    """Give the block, and the tasks it starts, `seconds` from now; None frees it of any deadline.

    This replaces the deadline of the surrounding call, it does not shorten it: work that was paid for may outlive the
    call that asked for it.
    """
    token = _deadline.set(None if seconds is None else time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def child_timeout(asked: float | None) -> float | None:
    """Return the timeout of a child call: what was asked for, or what is left less the reserve, the lesser."""
    left = time_left()
    if left is None:
        return asked
    usable = left - RESERVE_S
    return _floored(usable if asked is None else min(asked, usable))


def _floored(seconds: float) -> float:
    """Round down to what fits on the wire: gRPC rounds up, to 0.1 s above 10 s, and the callee would have too much.

    A few milliseconds less, because gRPC counts from a clock that it read a moment ago.
    """
    for least, step in ((100.0, 1.0), (10.0, 0.1), (1.0, 0.01)):
        if seconds >= least:
            return math.floor(seconds / step) * step - _STALE_CLOCK_S
    return seconds
