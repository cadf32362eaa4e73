"""The router as a process."""

from __future__ import annotations

import sys

from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.api.router.v1.router_service_pb2_grpc import add_RouterServiceServicer_to_server
from imagerouter.catalogue import Catalogue, CatalogueError, load_catalogue
from imagerouter.router.load import LoadedPolicy, PolicyError, load_policy
from imagerouter.router.service import RouterService
from imagerouter.router.settings import RouterSettings
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import EXIT_CONFIG, load_settings
from imagerouter.runtime.telemetry import telemetry

SERVICE = router_service_pb2.DESCRIPTOR.services_by_name["RouterService"].full_name


async def serve() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(RouterSettings)
    loaded, catalogue = load_data(settings)
    async with telemetry("router"):
        server = Server(settings, name="router")
        server.add(SERVICE, add_RouterServiceServicer_to_server, RouterService(loaded, catalogue))
        await server.serve()


def load_data(settings: RouterSettings) -> tuple[LoadedPolicy, Catalogue]:
    """Read catalogue and policy, or say on standard error all that is wrong with them and exit with 78."""
    try:
        catalogue = load_catalogue(settings.catalogue_dir)
        return load_policy(catalogue, settings.policy_file), catalogue
    except (CatalogueError, PolicyError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_CONFIG)


def main() -> None:
    """Run the process."""
    run(serve)


if __name__ == "__main__":
    main()
