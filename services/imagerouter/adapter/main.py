"""An adapter as a process."""

from __future__ import annotations

from imagerouter.adapter.execution import Executor
from imagerouter.adapter.outputs import OutputStore
from imagerouter.adapter.pictures import Decoder
from imagerouter.adapter.readiness import Readiness
from imagerouter.adapter.registry import Connection, open_provider
from imagerouter.adapter.service import AdapterServicer
from imagerouter.adapter.settings import AdapterSettings
from imagerouter.api.adapter.v1 import adapter_service_pb2 as pb
from imagerouter.api.adapter.v1.adapter_service_pb2_grpc import add_AdapterServiceServicer_to_server
from imagerouter.catalogue import load_catalogue
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import load_settings
from imagerouter.runtime.telemetry import telemetry
from imagerouter.storage import open_store

SERVICE = pb.DESCRIPTOR.services_by_name["AdapterService"].full_name


async def serve() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(AdapterSettings)
    name = f"adapter-{settings.provider}"
    async with telemetry(name):
        store = open_store(settings.artifact_store)
        connection = Connection(
            base_url=settings.base_url,
            api_key=settings.api_key,
            api_version=settings.provider_api_version,
            connect_timeout_s=settings.provider_connect_timeout_s,
            max_connections=2 * settings.method_limits.get("Generate", settings.inflight_limit),
            clock=utc_now,
        )
        provider = open_provider(settings.provider, connection, Decoder(settings.parse_concurrency))
        try:
            servicer = AdapterServicer(  # type: ignore[abstract]  # what is not built is the generated base
                Executor(provider, store, OutputStore(store), utc_now),
                load_catalogue(),
                heartbeat_s=settings.heartbeat_s,
                remembered_attempts=settings.remembered_attempts,
                read_timeout_override_s=settings.provider_timeout_s,
            )
            server = Server(settings, name=name)
            server.add(SERVICE, add_AdapterServiceServicer_to_server, servicer, ready=Readiness(provider, store).ready)
            await server.serve()
        finally:
            await provider.close()


def main() -> None:
    """Run the process."""
    run(serve)


if __name__ == "__main__":
    main()
