"""Writes that must not be given up: what is known about money is written, however long the ledger is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imagerouter.ledger import LostLease
from imagerouter.runtime.errors import Unavailable

T = TypeVar("T")
_PAUSE_S = 1.0


async def until_written(write: Callable[[], Awaitable[T]]) -> T:
    """Repeat a write that the ledger documents as safe to repeat, until it answers.

    Giving up would make a known outcome unknown, and have it paid for again. LostLease ends the waiting: then another
    replica has the image.
    """
    while True:
        try:
            return await write()
        except LostLease:
            raise
        except Unavailable as error:
            await asyncio.sleep(error.retry_after_s or _PAUSE_S)
