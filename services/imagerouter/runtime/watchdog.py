"""Is the event loop alive? A loop that wakes up seconds late cannot answer anybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from imagerouter.runtime import observe

_PERIOD_S = 0.1
_STRIKES = 3


async def watch_loop(
    set_alive: Callable[[bool], Awaitable[None]], *, lag_s: float, period_s: float = _PERIOD_S
) -> None:
    """Measure how late the loop wakes up; not alive above `lag_s` three times in a row. Runs until cancelled.

    One stall is not enough: restarting a process over it would lose attempts that are paid for.
    """
    strikes = 0
    alive = True
    while True:
        due = time.monotonic() + period_s
        await asyncio.sleep(period_s)
        lag = max(0.0, time.monotonic() - due)
        observe.loop_lag.record(lag)
        strikes = strikes + 1 if lag > lag_s else 0
        if alive != (strikes < _STRIKES):
            alive = strikes < _STRIKES
            await set_alive(alive)
