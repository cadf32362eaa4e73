"""Sandboxes and the evaluator, for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from imagerouter.api.evaluator.v1.evaluator_service_pb2_grpc import add_EvaluatorServiceServicer_to_server
from imagerouter.evaluator.evaluation import Evaluator
from imagerouter.evaluator.main import SERVICE
from imagerouter.evaluator.measurement import Limits
from imagerouter.evaluator.pool import SandboxPool
from imagerouter.evaluator.service import EvaluatorService
from imagerouter.evaluator.settings import EvaluatorSettings
from imagerouter.evaluator.thresholds import load_thresholds
from imagerouter.runtime.server import Server
from imagerouter.storage import ArtifactStore

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = load_thresholds().limits.limits()


def pool(
    *, workers: int = 1, timeout_s: float = 15.0, images_per_worker: int = 200, limits: Limits = LIMITS
) -> SandboxPool:
    """Make a pool; enter it to start it."""
    return SandboxPool(limits, workers=workers, timeout_s=timeout_s, images_per_worker=images_per_worker)


def slow(cpu_s: float = 60.0) -> Limits:
    """Allow pictures that take seconds to decode."""
    return replace(LIMITS, max_pixels=2_000_000_000, max_side=60_000, cpu_s=cpu_s)


@asynccontextmanager
async def served(store: ArtifactStore, sandboxes: SandboxPool, **changes: Any) -> AsyncIterator[int]:
    """Serve an evaluator on a free port."""
    evaluator = Evaluator(
        store=store, pool=sandboxes, thresholds=load_thresholds(), clock=lambda: NOW, fetches=asyncio.Semaphore(4)
    )
    server = Server(EvaluatorSettings(**changes), name="evaluator")
    server.add(SERVICE, add_EvaluatorServiceServicer_to_server, EvaluatorService(evaluator), ready=sandboxes.ready)
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
