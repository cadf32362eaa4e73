"""The normalizer as a process."""

from __future__ import annotations

from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.api.normalizer.v1.normalizer_service_pb2_grpc import add_NormalizerServiceServicer_to_server
from imagerouter.normalizer.service import NormalizerService
from imagerouter.normalizer.settings import NormalizerSettings
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import load_settings
from imagerouter.runtime.telemetry import telemetry
from imagerouter.storage import open_store

SERVICE = pb.DESCRIPTOR.services_by_name["NormalizerService"].full_name


async def serve() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(NormalizerSettings)
    async with telemetry("normalizer"):
        store = open_store(settings.artifact_store)
        server = Server(settings, name="normalizer")
        server.add(SERVICE, add_NormalizerServiceServicer_to_server, NormalizerService(store), ready=store.ready)
        await server.serve()


def main() -> None:
    """Run the process."""
    run(serve)


if __name__ == "__main__":
    main()
