"""The orchestrator's process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import uuid

from imagerouter.api.images.v1 import images_service_pb2_grpc as images_grpc
from imagerouter.ledger import Ledger, open_ledger
from imagerouter.orchestrator.calls import Peers
from imagerouter.orchestrator.limits import load_limits
from imagerouter.orchestrator.outages import Outages
from imagerouter.orchestrator.plan import Planner
from imagerouter.orchestrator.runs import Runs
from imagerouter.orchestrator.service import ImageServicer
from imagerouter.orchestrator.settings import OrchestratorSettings
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import load_settings
from imagerouter.runtime.telemetry import telemetry
from imagerouter.storage import open_store

NAME = "orchestrator"
# Calls are cut off by our own server when the grace is over; a little before that is late enough to say so.
_HAND_BACK_S = 1.0
_READS = (
    "/imagerouter.api.normalizer.v1.NormalizerService/Normalize",
    "/imagerouter.api.normalizer.v1.NormalizerService/MergeInstructions",
    "/imagerouter.api.router.v1.RouterService/Route",
    "/imagerouter.api.evaluator.v1.EvaluatorService/Evaluate",
)


async def serve() -> None:
    """Settings, telemetry, ledger, store, channels, runs, servicer; then serve until told to stop."""
    settings = load_settings(OrchestratorSettings)
    async with telemetry(NAME), await open_ledger(settings.ledger_url.get_secret_value()) as ledger:
        store = open_store(settings.artifact_store)
        limits = load_limits(settings.limits_file)
        peers = Peers(
            normalizer=open_channel(settings.normalizer_target, retry_reads=_READS),
            router=open_channel(settings.router_target, retry_reads=_READS),
            evaluator=open_channel(settings.evaluator_target, retry_reads=_READS),
            adapters={provider: open_channel(target) for provider, target in settings.adapter_targets.items()},
        )
        owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        outages = Outages(limits.outage.seconds)
        runs = Runs(ledger, peers, limits, outages, utc_now, new_id, owner, settings.lease_s)
        servicer = ImageServicer(ledger, Planner(ledger, store, new_id), runs)
        server = Server(settings, name=NAME)
        server.add(
            "imagerouter.api.images.v1.ImageService",
            images_grpc.add_ImageServiceServicer_to_server,
            servicer,
            ready=ledger.ping,
        )

        async def begin_drain() -> None:
            runs.begin_drain(settings.drain_settle_s + settings.drain_grace_s - _HAND_BACK_S)

        server.on_drain(begin_drain)
        keeping = asyncio.create_task(runs.keep(settings.sweep_s))
        try:
            await server.serve()
        finally:
            hurry = asyncio.Event()  # a second signal: hand back at once what still runs
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, hurry.set)
            await runs.drain(hurry)
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            await peers.close()


async def migrate() -> str:
    """Bring the ledger's schema up to date; the revision it has then."""
    return await Ledger.migrate(load_settings(OrchestratorSettings).ledger_url.get_secret_value())


def new_id() -> str:
    """A fresh UUID for images, decisions and attempts."""
    return str(uuid.uuid4())


def main() -> None:
    """`imagerouter serve orchestrator`."""
    run(serve)
