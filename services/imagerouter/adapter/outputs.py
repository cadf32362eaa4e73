"""Pictures into the object store. They are paid for, so a store that stumbles is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from imagerouter.api.common.v1 import artifact_pb2
from imagerouter.runtime.errors import ImageRouterError, Unavailable
from imagerouter.runtime.log import get_log
from imagerouter.storage import ArtifactStore

_log = get_log(__name__)

_PAUSES_S: Final = (0.2, 1.0, 3.0, 6.0)


class OutputStore:
    """Writes outputs of attempts. Writing is idempotent (names are digests), so trying again is safe."""

    def __init__(self, store: ArtifactStore, pauses_s: Sequence[float] = _PAUSES_S) -> None:
        self._store = store
        self._pauses_s = pauses_s

    async def images(self, tenant: str, images: Sequence[bytes]) -> list[artifact_pb2.ArtifactRef]:
        """Store the images in their order. One that cannot be stored is left out, and logged."""
        stored = [await self._put(tenant, image, self._pauses_s) for image in images]
        return [reference for reference in stored if reference is not None]

    async def preview(self, tenant: str, image: bytes) -> artifact_pb2.ArtifactRef | None:
        """Store a picture in the making; None if that fails. It is tried once: the next one is on its way."""
        return await self._put(tenant, image, ())

    async def _put(self, tenant: str, image: bytes, pauses_s: Sequence[float]) -> artifact_pb2.ArtifactRef | None:
        for pause in (*pauses_s, None):
            try:
                return await self._store.put(tenant, image)
            except Unavailable as error:
                if pause is None:
                    _log.error("output_not_stored", reason=error.reason, size_bytes=len(image))
                    return None
                await asyncio.sleep(pause)
            except ImageRouterError as error:
                _log.error("output_not_stored", reason=error.reason, size_bytes=len(image))
                return None
        return None
