"""How the command finds a suite: by option, by environment, or by what `imagerouter up` left behind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import typer

from imagerouter.cli.output import complain
from imagerouter.client import ImageRouter
from imagerouter.runtime.errors import ImageRouterError, Unavailable

DATA = Path(".imagerouter")
ADDRESSES = "suite.json"
R = TypeVar("R")


@dataclass(frozen=True)
class Where:
    """Addresses of the two public services, and the tenant that calls are for."""

    orchestrator: str
    artifacts: str
    tenant: str

    def connect(self) -> ImageRouter:
        """A client; an async context."""
        return ImageRouter(self.orchestrator, artifacts=self.artifacts, tenant=self.tenant)


def find(data: Path = DATA) -> Where:
    """The suite to talk to: IMAGEROUTER_TARGET and IMAGEROUTER_ARTIFACT_TARGET, else the one running from `data`."""
    known: dict[str, str] = {}
    file = data / ADDRESSES
    if file.exists():
        known = json.loads(file.read_text())
    orchestrator = os.environ.get("IMAGEROUTER_TARGET") or known.get("orchestrator", "")
    if not orchestrator:
        raise Unavailable(
            "no suite is running here; start one with `imagerouter up`, or set IMAGEROUTER_TARGET",
            metadata={"dependency": "orchestrator"},
        )
    artifacts = os.environ.get("IMAGEROUTER_ARTIFACT_TARGET") or known.get("artifact", "")
    return Where(orchestrator, artifacts, os.environ.get("IMAGEROUTER_TENANT", ""))


def run(action: Callable[[ImageRouter], Awaitable[R]], *, as_json: bool) -> R:
    """Connect, act, and end the command with exit code 1 and an explanation if that fails."""

    async def connected() -> R:
        async with find().connect() as router:
            return await action(router)

    try:
        return asyncio.run(connected())
    except ImageRouterError as error:
        complain(error, as_json=as_json)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
