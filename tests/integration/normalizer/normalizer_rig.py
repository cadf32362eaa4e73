"""The normalizer on a free port of this process."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

from imagerouter.api.normalizer.v1.normalizer_service_pb2_grpc import add_NormalizerServiceServicer_to_server
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.main import SERVICE
from imagerouter.normalizer.service import NormalizerService
from imagerouter.normalizer.settings import NormalizerSettings
from imagerouter.runtime.server import Server
from imagerouter.storage import ArtifactStore


@asynccontextmanager
async def served(store: ArtifactStore, limits: Limits | None = None, **changes: Any) -> AsyncIterator[int]:
    """Serve the normalizer on a free port."""
    server = Server(NormalizerSettings(**changes), name="normalizer")
    server.add(SERVICE, add_NormalizerServiceServicer_to_server, NormalizerService(store, limits), ready=store.ready)
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def picture(form: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (640, 480), **options: Any) -> bytes:
    """Encode a plain picture."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()
