"""Run an emulator: `python -m imagerouter.emulators.main openai --port 8801 --journal ./journal --speed 0.02`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from imagerouter.emulators.server import PROVIDERS, serve


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="imagerouter emulate", description=__doc__)
    command.add_argument("provider", choices=PROVIDERS)
    command.add_argument("--host", default="127.0.0.1")
    command.add_argument("--port", type=int, default=0, help="0 takes a free one; the ready line names it")
    command.add_argument("--journal", type=Path, default=Path("journal"), help="folder of <provider>.jsonl")
    command.add_argument("--speed", type=float, default=1.0, help="factor on the real latencies; 0 is no waiting")
    command.add_argument("--seed", type=int, default=0, help="another seed draws other pictures")
    command.add_argument(
        "--with-model", action="append", default=[], metavar="ID", help="offer a model that is switched off"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Parse `argv` and serve until SIGTERM or SIGINT."""
    options = parser().parse_args(argv)
    asyncio.run(
        serve(
            options.provider,
            options.host,
            options.port,
            journal=options.journal,
            speed=options.speed,
            seed=options.seed,
            extra_models=options.with_model,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
