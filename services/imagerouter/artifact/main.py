"""The artifact service as a process."""

from __future__ import annotations

from imagerouter.api.artifact.v1 import artifact_service_pb2 as pb
from imagerouter.api.artifact.v1.artifact_service_pb2_grpc import add_ArtifactServiceServicer_to_server
from imagerouter.artifact.service import ArtifactService
from imagerouter.artifact.settings import ArtifactSettings
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import load_settings
from imagerouter.runtime.telemetry import telemetry
from imagerouter.storage import open_store

SERVICE = pb.DESCRIPTOR.services_by_name["ArtifactService"].full_name


async def serve() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(ArtifactSettings)
    async with telemetry("artifact"):
        store = open_store(settings.artifact_store)
        service = ArtifactService(store, max_bytes=settings.max_artifact_bytes)
        server = Server(settings, name="artifact")
        server.add(SERVICE, add_ArtifactServiceServicer_to_server, service, ready=store.ready)
        await server.serve()


def main() -> None:
    """Run the process."""
    run(serve)


if __name__ == "__main__":
    main()
