"""serve, emulate, up: processes that stay."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imagerouter.cli.connect import ADDRESSES, DATA
from imagerouter.cli.output import complaints, console


class Service(StrEnum):
    """The deployables."""

    ORCHESTRATOR = "orchestrator"
    NORMALIZER = "normalizer"
    ROUTER = "router"
    ADAPTER = "adapter"
    EVALUATOR = "evaluator"
    ARTIFACT = "artifact"


class Emulated(StrEnum):
    """The providers that have an emulator."""

    OPENAI = "openai"
    GOOGLE = "google"


def serve(service: Annotated[Service, typer.Argument(help="Which one.")]) -> None:
    """Run one service, configured by IMAGEROUTER_* variables."""
    # Lazily, so that a router image needs no SDK and an adapter image no pixels.
    importlib.import_module(f"imagerouter.{service.value}.main").main()


def migrate() -> None:
    """Bring the ledger's schema up to date (IMAGEROUTER_LEDGER_URL). Needed for Postgres; SQLite does it by itself."""
    from imagerouter.orchestrator.main import migrate as bring_up_to_date

    console.print(f"ledger at revision {asyncio.run(bring_up_to_date())}")


def up(
    data: Annotated[Path, typer.Option(help="Folder for ledger, artifacts, journals and logs.")] = DATA,
    port: Annotated[int, typer.Option(help="Port of the orchestrator; 0 takes any.")] = 50050,
    artifact_port: Annotated[int, typer.Option(help="Port of the artifact service; 0 takes any.")] = 50051,
    speed: Annotated[float, typer.Option(help="Factor on the emulators' latencies; 1 is as slow as life.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the emulators.")] = 0,
    live: Annotated[
        list[str] | None, typer.Option(help="Call this provider for real (openai, google), with the key in "
                                            "OPENAI_API_KEY or GEMINI_API_KEY.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the ready line as JSON.")] = False,
) -> None:  # fmt: skip
    """Run every service and both emulators as processes on loopback, until Ctrl-C."""
    from imagerouter.cli.suite import PROVIDERS, PartFailed, Suite, SuiteOptions

    for provider in live or []:
        if provider not in PROVIDERS:
            raise typer.BadParameter(f"{provider} is not one of {', '.join(PROVIDERS)}", param_hint="--live")
        if not os.environ.get(PROVIDERS[provider]):
            raise typer.BadParameter(f"{PROVIDERS[provider]} is not set; without --live an emulator answers")

    async def keep() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        options = SuiteOptions(
            data, port, artifact_port, speed, seed, tuple(live or ()), {"IMAGEROUTER_REFLECTION": "1"}
        )
        async with Suite(options) as suite:
            addresses = {name: suite.address(name) for name in suite.parts}
            file = data / ADDRESSES
            file.write_text(json.dumps(addresses, indent=2) + "\n")
            try:
                _announce(addresses, suite.logs, as_json=as_json)
                return await _until(stop, suite)
            finally:
                file.unlink(missing_ok=True)
                complaints.print("draining", style="dim")

    async def _until(stop: asyncio.Event, suite: Suite) -> int:
        stopped = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(suite.first_to_end())
        done, pending = await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if ended in done and not stop.is_set():
            name = ended.result()
            complaints.print(f"[bold red]{name} ended by itself[/]; see {suite.log_of(name)}")
            return 1
        return 0

    try:
        code = asyncio.run(keep())
    except (PartFailed, OSError) as error:
        complaints.print(f"[bold red]{error}[/]")
        raise typer.Exit(1) from error
    raise typer.Exit(code)


def _announce(addresses: dict[str, str], logs: Path, *, as_json: bool) -> None:
    if as_json:
        console.print_json(json.dumps({"ready": True, "addresses": addresses, "logs": str(logs)}), indent=None)
        return
    for name, address in addresses.items():
        console.print(f"  {name:<18} {address}", highlight=False)
    console.print(f"  logs in {logs}", style="dim", highlight=False)
    console.print("[bold green]ready[/]: try  imagerouter create 'A red fox in the snow'", highlight=False)


def emulate(
    provider: Annotated[Emulated, typer.Argument(help="Whose API.")],
    port: Annotated[int, typer.Option(help="Port; 0 takes any.")] = 0,
    journal: Annotated[Path, typer.Option(help="Folder of the journal of billed executions.")] = DATA / "journal",
    speed: Annotated[float, typer.Option(help="Factor on latencies.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Run a provider's emulator."""
    from imagerouter.emulators.main import main as emulator

    arguments = [provider.value, "--port", str(port), "--journal", str(journal)]
    arguments += ["--speed", str(speed), "--seed", str(seed)]
    raise typer.Exit(emulator(arguments) or 0)
