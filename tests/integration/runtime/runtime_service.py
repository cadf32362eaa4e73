"""A service in a process of its own, put together as every `main.py` is.

`Unary` sleeps for as many seconds as it is asked to, or passes the call on if RIG_TARGET is set; `Read` spawns work
that ends by writing RIG_FILE; `Answers` streams until the drain begins.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from opentelemetry import trace
from runtime_rig import SERVICE, Stub, register, text

from imagerouter.runtime import names
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.server import Server, run
from imagerouter.runtime.settings import ServiceSettings, load_settings
from imagerouter.runtime.telemetry import telemetry


async def serve() -> None:
    settings = load_settings(ServiceSettings)
    name = os.environ.get("RIG_NAME", "rig")
    async with telemetry(name), AsyncExitStack() as stack:
        server = Server(settings, name=name)
        target = os.environ.get("RIG_TARGET")
        inner = Stub(await stack.enter_async_context(open_channel(target))) if target else None
        tracer = trace.get_tracer(names.INSTRUMENTATION)

        async def unary(request: Any, context: Any) -> Any:
            if inner is not None:
                with tracer.start_as_current_span(names.SPAN_ROUTE_DECIDE) as span:
                    span.add_event(names.EVENT_DECISION, {names.DECISION_CONFIDENCE: 0.5})
                return await inner.Unary(request)
            await asyncio.sleep(float(request.value))
            return text(name)

        async def work() -> None:
            await asyncio.sleep(0.5)
            Path(os.environ["RIG_FILE"]).write_text("done")

        async def read(request: Any, context: Any) -> Any:
            server.spawn(work(), name="work")
            return request

        async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
            yield text("first")
            await server.draining.wait()
            yield text("last")

        server.add(SERVICE, register, {"Unary": unary, "Read": read, "Answers": answers})
        await server.serve()


if __name__ == "__main__":
    run(serve)
