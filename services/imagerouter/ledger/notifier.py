"""Wakes this process's watchers when an image changes. Other replicas' changes are found by polling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Notifier:
    """Tells listeners that something about an image was written. It carries no data: the ledger has it."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    def notify(self, image_id: str) -> None:
        """Wake everyone who listens to an image."""
        for listener in self._listeners.get(image_id, ()):
            listener.set()

    @contextmanager
    def listen(self, image_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set at every change from now on. Clear it before reading, so that none is missed."""
        listener = asyncio.Event()
        self._listeners.setdefault(image_id, set()).add(listener)
        try:
            yield listener
        finally:
            rest = self._listeners[image_id]
            rest.discard(listener)
            if not rest:
                del self._listeners[image_id]


async def wait(listener: asyncio.Event, timeout_s: float) -> bool:
    """Wait for a change. False if there was none in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await listener.wait()
    except TimeoutError:
        return False
    return True
