"""Scripted peers: real gRPC servers on loopback that say what the test tells them to.

Do use them to bring the orchestrator into a situation that the real services would reach only by luck. Don't use them
to test routing or evaluation: tests/e2e runs the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.adapter.v1 import adapter_service_pb2_grpc as adapter_grpc
from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as evaluator
from imagerouter.api.evaluator.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.images.v1 import images_service_pb2_grpc as images_grpc
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as normalizer
from imagerouter.api.normalizer.v1 import normalizer_service_pb2_grpc as normalizer_grpc
from imagerouter.api.router.v1 import router_service_pb2 as router
from imagerouter.api.router.v1 import router_service_pb2_grpc as router_grpc
from imagerouter.client import ImageRouter
from imagerouter.ledger import Ledger, open_ledger
from imagerouter.orchestrator.calls import Peers
from imagerouter.orchestrator.limits import Limits, load_limits
from imagerouter.orchestrator.main import new_id
from imagerouter.orchestrator.outages import Outages
from imagerouter.orchestrator.plan import Planner
from imagerouter.orchestrator.runs import Runs
from imagerouter.orchestrator.service import ImageServicer
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.errors import InvalidField, PreconditionFailed
from imagerouter.runtime.server import Server
from imagerouter.runtime.settings import ServiceSettings
from imagerouter.storage import ArtifactStore, open_store

PRICE = 40_000
UPPER = 60_000


def succeeded(cost: int = PRICE, outputs: int = 1) -> attempt_pb2.Outcome:
    """A provider made pictures."""
    outcome = attempt_pb2.Outcome(
        kind=attempt_pb2.OUTCOME_KIND_SUCCEEDED, phase=attempt_pb2.PHASE_CHARGED, cost_micros=cost
    )
    for index in range(outputs):
        outcome.artifacts.add(digest=f"{index + 1:064x}", size_bytes=3, media_type="image/png")
    return outcome


def ended(kind: str, phase: str, cost: int = 0) -> attempt_pb2.Outcome:
    """A provider call that ended otherwise."""
    return attempt_pb2.Outcome(
        kind=attempt_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{kind}"),
        phase=attempt_pb2.Phase.Value(f"PHASE_{phase}"),
        cost_micros=cost,
    )


@dataclass
class Script:
    """What the peers say, and what they were asked. `outcomes` and `verdicts` are used up from the front; after that
    every attempt succeeds and every output is accepted."""

    outcomes: list[attempt_pb2.Outcome] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    models: tuple[str, ...] = ("alpha", "beta", "gamma")
    count: int = 1
    generated: list[adapter.GenerateRequest] = field(default_factory=list)
    routed: list[router.RouteRequest] = field(default_factory=list)
    normalized: list[normalizer.NormalizeRequest] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedNormalizer(normalizer_grpc.NormalizerServiceServicer):
    """Takes every prompt as it is."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def Normalize(self, request: normalizer.NormalizeRequest, context: Any) -> normalizer.NormalizeResponse:
        """A task of the request's own words."""
        self.script.normalized.append(request)
        if not request.prompt:
            raise InvalidField("prompt", "is empty")
        task = task_pb2.Task(
            tenant=request.tenant,
            prompt=request.prompt,
            mode=task_pb2.MODE_EDIT if request.references else task_pb2.MODE_GENERATE,
            references=request.references,
            constraints=request.constraints,
            output=task_pb2.OutputSpec(count=max(1, request.output.count), aspect_ratio="1:1"),
        )
        if request.HasField("lineage"):
            task.lineage.CopyFrom(request.lineage)
        return normalizer.NormalizeResponse(task=task)

    async def MergeInstructions(
        self, request: normalizer.MergeInstructionsRequest, context: Any
    ) -> normalizer.MergeInstructionsResponse:
        """All instructions in a row."""
        return normalizer.MergeInstructionsResponse(prompt="; ".join(request.instructions))


class ScriptedRouter(router_grpc.RouterServiceServicer):
    """Goes through the models in order: the next one for each fallback or escalation."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def Route(self, request: router.RouteRequest, context: Any) -> router.RouteResponse:
        """The model after the last one tried, or the same one for a retry."""
        self.script.routed.append(request)
        tried = [summary.route.model for summary in request.history]
        left = [model for model in self.script.models if model not in tried]
        if request.step in (route_pb2.STEP_RETRY, route_pb2.STEP_CONTINUE):
            left = [tried[-1]]
        if not left:
            raise PreconditionFailed("no model is left", reason="NO_ROUTE")
        decision = route_pb2.Decision(
            decision_id=request.decision_id, step=request.step, reason="scripted", policy_version="s", propensity=1
        )
        if request.task.lineage.depth >= 5:
            decision.chain_action = route_pb2.CHAIN_ACTION_RESET
        wanted = request.count or request.task.output.count
        for model in left:
            decision.routes.add(
                provider="openai",
                model=model,
                parameters=route_pb2.RouteParameters(count=min(wanted, self.script.count)),
                estimates=route_pb2.Estimates(cost_micros=PRICE, upper_cost_micros=UPPER),
            )
        return router.RouteResponse(decision=decision)


class ScriptedAdapter(adapter_grpc.AdapterServiceServicer):
    """Ends attempts as scripted; while `hold` is set and not fired it keeps them waiting."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def Generate(self, request: adapter.GenerateRequest, context: Any) -> AsyncIterator[adapter.GenerateResponse]:
        """One attempt."""
        self.script.generated.append(request)
        self.script.begun.set()
        yield adapter.GenerateResponse(accepted=adapter.Accepted(adapter="scripted"))
        if self.script.hold is not None:
            try:
                await self.script.hold.wait()
            except asyncio.CancelledError:
                self.script.cancelled.set()
                raise
        wanted = request.route.parameters.count
        outcome = self.script.outcomes.pop(0) if self.script.outcomes else succeeded(outputs=wanted)
        yield adapter.GenerateResponse(outcome=outcome)


class ScriptedEvaluator(evaluator_grpc.EvaluatorServiceServicer):
    """Gives the scripted verdicts."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def Evaluate(self, request: evaluator.EvaluateRequest, context: Any) -> evaluator.EvaluateResponse:
        """The next verdict on all outputs alike."""
        refused = request.outcome.kind == attempt_pb2.OUTCOME_KIND_REFUSED
        word = "STOP" if refused else self.script.verdicts.pop(0) if self.script.verdicts else "ACCEPT"
        evaluation = evaluation_pb2.Evaluation(
            attempt_id=request.attempt_id, verdict=evaluation_pb2.Verdict.Value(f"VERDICT_{word}"), reason="scripted"
        )
        for ref in request.outcome.artifacts:
            evaluation.outputs.add(artifact=ref, accepted=word == "ACCEPT")
        return evaluator.EvaluateResponse(evaluation=evaluation)


@dataclass
class Stage:
    """An orchestrator among scripted peers."""

    script: Script
    ledger: Ledger
    runs: Runs
    store: ArtifactStore
    target: str

    def channel(self) -> grpc.aio.Channel:
        """A channel to the orchestrator."""
        return open_channel(self.target)

    async def begin(
        self, client: ImageRouter, request_id: str = "r", tenant: str = "default"
    ) -> tuple[asyncio.Task[images.Image], str]:
        """Ask for an image, and wait until an adapter is at work on it; the call, and the image's id."""
        self.script.begun.clear()
        call = asyncio.create_task(client.create("a fox", request_id=request_id))
        await asyncio.wait_for(self.script.begun.wait(), 5)
        found = await self.ledger.find_request(tenant, request_id)
        assert found
        return call, found[0]

    async def crash(self, image_id: str, epoch: int = 1) -> None:
        """End a run as if its process had died, and its lease had run out since."""
        active = self.runs.active[image_id]
        active.task.cancel()
        await asyncio.gather(active.task, return_exceptions=True)
        await self.ledger.release_lease(image_id, self.runs.owner, epoch, self.runs.clock())

    async def ended(self, image_id: str) -> images.Image:
        """An image when it has ended."""
        async with asyncio.timeout(5):
            async for event in self.ledger.watch(image_id, poll_s=0.05):
                if event.HasField("ended"):
                    return event.ended
        raise AssertionError(image_id)


@asynccontextmanager
async def stage(folder: Path, script: Script, limits: Limits | None = None, **cast: Any) -> AsyncIterator[Stage]:
    """Start the peers and an orchestrator on them; stop everything afterwards."""
    async with stages(folder, script, limits, **cast) as (only,):
        yield only


@asynccontextmanager
async def stages(
    folder: Path,
    script: Script,
    limits: Limits | None = None,
    *,
    ledger_url: str = "",
    owners: Sequence[str] = ("test",),
    normalizer_servicer: normalizer_grpc.NormalizerServiceServicer | None = None,
    adapter_servicer: adapter_grpc.AdapterServiceServicer | None = None,
    evaluator_servicer: evaluator_grpc.EvaluatorServiceServicer | None = None,
) -> AsyncIterator[list[Stage]]:
    """Start the peers and an orchestrator for each of `owners`, replicas on one ledger: SQLite unless a URL is given.
    Their leases are renewed only if the test keeps them (`runs.keep`)."""
    limits = limits or load_limits()
    settings = ServiceSettings(drain_settle_s=0)
    ledger_url = ledger_url or f"sqlite+aiosqlite:///{folder / 'ledger.db'}"
    async with AsyncExitStack() as stack:

        async def started(name: str, service: str, register: Any, servicer: object) -> str:
            server = Server(settings, name=name)
            server.add(f"imagerouter.api.{service}", register, servicer)
            port = await server.start()
            stack.push_async_callback(server.stop, 0)
            return f"127.0.0.1:{port}"

        addresses = [
            await started(
                "normalizer",
                "normalizer.v1.NormalizerService",
                normalizer_grpc.add_NormalizerServiceServicer_to_server,
                normalizer_servicer or ScriptedNormalizer(script),
            ),
            await started(
                "router",
                "router.v1.RouterService",
                router_grpc.add_RouterServiceServicer_to_server,
                ScriptedRouter(script),
            ),
            await started(
                "evaluator",
                "evaluator.v1.EvaluatorService",
                evaluator_grpc.add_EvaluatorServiceServicer_to_server,
                evaluator_servicer or ScriptedEvaluator(script),
            ),
            await started(
                "adapter",
                "adapter.v1.AdapterService",
                adapter_grpc.add_AdapterServiceServicer_to_server,
                adapter_servicer or ScriptedAdapter(script),
            ),
        ]
        normal, route, judge, adapt = (open_channel(address) for address in addresses)
        peers = Peers(normal, route, judge, {"openai": adapt})
        stack.push_async_callback(peers.close)
        store = open_store(f"file://{folder / 'artifacts'}")
        replicas = []
        for owner in owners:
            ledger = await stack.enter_async_context(await open_ledger(ledger_url))
            runs = Runs(ledger, peers, limits, Outages(limits.outage.seconds), utc_now, new_id, owner, 15.0)
            stack.push_async_callback(runs.drain, asyncio.Event())
            servicer = ImageServicer(ledger, Planner(ledger, store, new_id), runs)
            target = await started(
                "orchestrator", "images.v1.ImageService", images_grpc.add_ImageServiceServicer_to_server, servicer
            )
            replicas.append(Stage(script, ledger, runs, store, target))
        yield replicas
