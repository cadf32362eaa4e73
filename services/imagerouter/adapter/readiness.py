"""When an adapter may be sent work: its SDK is loaded, and its object store answers."""

from __future__ import annotations

import asyncio

from imagerouter.adapter.provider import Provider
from imagerouter.storage import ArtifactStore


class Readiness:
    """Warms the provider once, at the first question, and asks the store each time.

    The provider itself is not asked: an outage of it is for the router to know of, not for Kubernetes.
    """

    def __init__(self, provider: Provider, store: ArtifactStore) -> None:
        self._provider = provider
        self._store = store
        self._warming: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        """Say whether work may come. Warming takes a second of imports, during which the answer is no."""
        if self._warming is None or (self._warming.done() and self._warming.exception() is not None):
            self._warming = asyncio.create_task(self._provider.warm(), name="warm-provider")
        if not self._warming.done():
            await asyncio.wait({self._warming}, timeout=0.1)
        return self._warming.done() and self._warming.exception() is None and await self._store.ready()
