"""An emulator as an ASGI application, and serving it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from imagerouter.catalogue import load_catalogue
from imagerouter.emulators import control
from imagerouter.emulators.engine import Engine
from imagerouter.emulators.gemini.api import GeminiApi
from imagerouter.emulators.openai.api import OpenAiApi
from imagerouter.emulators.wire import BreakableProtocol

# The provider's API and the path that an SDK's base URL ends in. "gemini" is another name for "google".
_APIS: dict[str, tuple[Callable[[Engine], Any], str]] = {"openai": (OpenAiApi, "/v1"), "google": (GeminiApi, "")}
_ALIASES = {"gemini": "google"}
PROVIDERS = (*_APIS, *_ALIASES)
_GRACE_S = 5


@dataclass(frozen=True)
class Bound:
    """Where an emulator listens. `base_url` is what the provider's SDK is given."""

    provider: str
    url: str
    base_url: str
    journal: str
    pid: int


def application(engine: Engine) -> Starlette:
    """The ASGI application of an engine: `/_control`, and everything else is the provider's."""
    api, _path = _APIS[engine.provider]
    return Starlette(routes=[Mount("/_control", routes=control.routes(engine)), Mount("/", app=api(engine))])


@contextlib.asynccontextmanager
async def running(
    provider: str,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    journal: Path,
    speed: float = 1.0,
    seed: int = 0,
    extra_models: Sequence[str] = (),
) -> AsyncIterator[tuple[Bound, Engine, asyncio.Future[None]]]:
    """Serve in this event loop while the context is open.

    `journal` is the folder of `<provider>.jsonl`; `port` 0 takes a free one. The future ends if the server does.
    """
    name = _ALIASES.get(provider, provider)
    engine = Engine(
        name, load_catalogue(), journal / f"{name}.jsonl", speed=speed, seed=seed, extra_models=extra_models
    )
    listener = socket.create_server((host, port), backlog=512)
    config = uvicorn.Config(
        application(engine),
        http=BreakableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        engine.studio.warm_up()
        await asyncio.wait({serving, server.up}, return_when=asyncio.FIRST_COMPLETED)
        address = listener.getsockname()
        url = f"http://{address[0]}:{address[1]}"
        yield Bound(name, url, url + _APIS[name][1], str(engine.journal.path), os.getpid()), engine, serving
    finally:
        server.should_exit = True
        await serving
        listener.close()
        engine.close()


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: whoever runs the loop decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set_result(None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    provider: str,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    journal: Path,
    speed: float = 1.0,
    seed: int = 0,
    extra_models: Sequence[str] = (),
    out: TextIO = sys.stdout,
) -> None:
    """Serve until SIGTERM or SIGINT; the ready line, one JSON object with `Bound`'s fields, goes to `out`."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _settle, stop)
    async with running(provider, host, port, journal=journal, speed=speed, seed=seed, extra_models=extra_models) as (
        bound,
        _engine,
        serving,
    ):
        out.write(json.dumps({"ready": True, **bound.__dict__}) + "\n")
        out.flush()
        await asyncio.wait({stop, serving}, return_when=asyncio.FIRST_COMPLETED)


def _settle(future: asyncio.Future[None]) -> None:
    # A second signal finds it settled.
    if not future.done():
        future.set_result(None)
