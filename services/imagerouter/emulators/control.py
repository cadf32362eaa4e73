"""The control endpoints under `/_control`: faults on order, the history of requests, the journal, the speed."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerouter.emulators.engine import Engine
from imagerouter.emulators.faults import presets


def routes(engine: Engine) -> list[Route]:
    """The routes, to be mounted at `/_control`."""
    control = Control(engine)
    return [
        Route("/", control.overview),
        Route("/faults", control.faults, methods=["GET", "POST", "DELETE"]),
        Route("/faults/{rule_id:int}", control.remove_fault, methods=["DELETE"]),
        Route("/presets", control.presets),
        Route("/requests", control.requests),
        Route("/journal", control.journal),
        Route("/speed", control.speed, methods=["GET", "POST"]),
        Route("/reset", control.reset, methods=["POST"]),
    ]


class Control:
    """Handlers over an engine. Anything wrong in a request is a 400 that says what."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def overview(self, _request: Request) -> Response:
        """What this process is and how much it has done."""
        engine = self.engine
        lines = engine.journal.lines()
        return JSONResponse(
            {
                "provider": engine.provider,
                "speed": engine.speed,
                "seed": engine.seed,
                "catalogue": engine.catalogue.version,
                "models": [model.id for model in engine.offered()],
                "requests": engine.history.total,
                "executions": len(lines),
                "price_micros": sum(line["price_micros"] for line in lines),
                "journal": str(engine.journal.path),
            }
        )

    async def faults(self, request: Request) -> Response:
        """List, add (one rule or a list of them) or drop the rules."""
        if request.method == "POST":
            try:
                sent = await request.json()
                orders = sent if isinstance(sent, list) else [sent]
                added = [self.engine.faults.add(order) for order in orders]
            except (ValueError, AttributeError) as error:
                return _bad(str(error))
            return JSONResponse({"faults": [rule.model_dump() for rule in added]}, 201)
        if request.method == "DELETE":
            self.engine.faults.clear()
        return JSONResponse({"faults": [rule.model_dump() for rule in self.engine.faults.rules]})

    async def remove_fault(self, request: Request) -> Response:
        """Drop one rule."""
        found = self.engine.faults.remove(request.path_params["rule_id"])
        return JSONResponse({"removed": found}, 200 if found else 404)

    async def presets(self, _request: Request) -> Response:
        """The named faults."""
        return JSONResponse(presets(self.engine.provider))

    async def requests(self, request: Request) -> Response:
        """The history; `?correlation_id=` and `?path=` narrow it."""
        query = request.query_params
        found = self.engine.history.records(query.get("correlation_id", ""), query.get("path", ""))
        return JSONResponse({"total": self.engine.history.total, "requests": found})

    async def journal(self, request: Request) -> Response:
        """The journal's lines and their sum; `?correlation_id=` narrows it."""
        wanted = request.query_params.get("correlation_id")
        lines = [line for line in self.engine.journal.lines() if wanted in (None, line["correlation_id"])]
        total = sum(line["price_micros"] for line in lines)
        return JSONResponse({"price_micros": total, "executions": lines})

    async def speed(self, request: Request) -> Response:
        """Read or set the speed factor: `{"speed": 0.02}`."""
        if request.method == "POST":
            speed = await _number(request, "speed")
            if speed is None or speed < 0:
                return _bad("speed must be a number, 0 or more")
            self.engine.speed = speed
        return JSONResponse({"speed": self.engine.speed})

    async def reset(self, _request: Request) -> Response:
        """Forget faults, history and journal."""
        self.engine.faults.clear()
        self.engine.history.reset()
        await self.engine.journal.reset()
        return JSONResponse({"reset": True})


async def _number(request: Request, name: str) -> float | None:
    try:
        body: Any = await request.json()
        return float(body[name])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _bad(message: str) -> Response:
    return JSONResponse({"error": message}, 400)
