"""The evaluator as a process."""

from __future__ import annotations

import asyncio

from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as pb
from imagerouter.api.evaluator.v1.evaluator_service_pb2_grpc import add_EvaluatorServiceServicer_to_server
from imagerouter.evaluator.evaluation import Evaluator
from imagerouter.evaluator.pool import SandboxPool
from imagerouter.evaluator.service import EvaluatorService
from imagerouter.evaluator.settings import EvaluatorSettings
from imagerouter.evaluator.thresholds import load_thresholds
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import load_settings
from imagerouter.runtime.telemetry import telemetry
from imagerouter.storage import open_store

SERVICE = pb.DESCRIPTOR.services_by_name["EvaluatorService"].full_name


async def serve() -> None:
    """Serve until SIGTERM. The sandboxes are warm before the first call is taken."""
    settings = load_settings(EvaluatorSettings)
    thresholds = load_thresholds()
    async with (
        telemetry("evaluator"),
        SandboxPool(
            thresholds.limits.limits(),
            workers=settings.sandbox_workers,
            timeout_s=settings.sandbox_timeout_s,
            images_per_worker=settings.sandbox_images,
        ) as pool,
    ):
        store = open_store(settings.artifact_store)
        fetches = asyncio.Semaphore(2 * settings.sandbox_workers)
        evaluator = Evaluator(store=store, pool=pool, thresholds=thresholds, clock=utc_now, fetches=fetches)

        async def ready() -> bool:
            return await pool.ready() and await store.ready()

        server = Server(settings, name="evaluator")
        server.add(SERVICE, add_EvaluatorServiceServicer_to_server, EvaluatorService(evaluator), ready=ready)
        await server.serve()


def main() -> None:
    """Run the process."""
    run(serve)


if __name__ == "__main__":
    main()
