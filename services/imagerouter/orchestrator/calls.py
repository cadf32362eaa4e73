"""The orchestrator's calls to the other services. Each is timed, and its hop is kept for the receipt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import grpc
from opentelemetry import trace

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.adapter.v1 import adapter_service_pb2_grpc as adapter_grpc
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as evaluator
from imagerouter.api.evaluator.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as normalizer
from imagerouter.api.normalizer.v1 import normalizer_service_pb2_grpc as normalizer_grpc
from imagerouter.api.router.v1 import router_service_pb2 as router
from imagerouter.api.router.v1 import router_service_pb2_grpc as router_grpc
from imagerouter.runtime.clock import Clock
from imagerouter.runtime.errors import Unavailable
from imagerouter.runtime.status import from_rpc_error

Reply = TypeVar("Reply")
HopSink = Callable[[images.Hop], None]

# Every call but Generate is quick, safe to repeat, and waits for a peer that is being replaced rather than fail at
# once. Generate is bound by the image, not by a figure here.
_QUICK_S = 10.0
_EVALUATE_S = 60.0


@dataclass(frozen=True)
class Peers:
    """Channels to the services that the orchestrator calls; adapters by provider."""

    normalizer: grpc.aio.Channel
    router: grpc.aio.Channel
    evaluator: grpc.aio.Channel
    adapters: Mapping[str, grpc.aio.Channel]

    async def close(self) -> None:
        """Close every channel."""
        channels = (self.normalizer, self.router, self.evaluator, *self.adapters.values())
        await asyncio.gather(*(channel.close() for channel in channels))


class Calls:
    """Typed calls to the peers on behalf of one image; every call's hop goes to `sink`."""

    def __init__(self, peers: Peers, clock: Clock, sink: HopSink) -> None:
        self._peers = peers
        self._clock = clock
        self._sink = sink

    async def normalize(self, request: normalizer.NormalizeRequest) -> normalizer.NormalizeResponse:
        """Turn a request into a task."""
        stub = normalizer_grpc.NormalizerServiceStub(self._peers.normalizer)
        return await self._unary(
            "normalizer", "Normalize", lambda: stub.Normalize(request, timeout=_QUICK_S, wait_for_ready=True)
        )

    async def merge(self, request: normalizer.MergeInstructionsRequest) -> normalizer.MergeInstructionsResponse:
        """Turn a chain's instructions into one."""
        stub = normalizer_grpc.NormalizerServiceStub(self._peers.normalizer)
        return await self._unary(
            "normalizer",
            "MergeInstructions",
            lambda: stub.MergeInstructions(request, timeout=_QUICK_S, wait_for_ready=True),
        )

    async def route(self, request: router.RouteRequest) -> router.RouteResponse:
        """Rank the models."""
        stub = router_grpc.RouterServiceStub(self._peers.router)
        return await self._unary("router", "Route", lambda: stub.Route(request, timeout=_QUICK_S, wait_for_ready=True))

    async def evaluate(self, request: evaluator.EvaluateRequest) -> evaluator.EvaluateResponse:
        """Look at the outputs of an attempt."""
        stub = evaluator_grpc.EvaluatorServiceStub(self._peers.evaluator)
        return await self._unary(
            "evaluator",
            "Evaluate",
            lambda: stub.Evaluate(request, timeout=_EVALUATE_S, wait_for_ready=True),
            request.attempt_id,
        )

    async def reach(self, provider: str) -> None:
        """Wait until there is a connection to a provider's adapter."""
        await self._adapter(provider).channel_ready()

    def _adapter(self, provider: str) -> grpc.aio.Channel:
        channel = self._peers.adapters.get(provider)
        if channel is None:
            raise Unavailable(
                f"no adapter is configured for {provider}", metadata={"dependency": f"adapter-{provider}"}
            )
        return channel

    async def generate(self, request: adapter.GenerateRequest) -> AsyncGenerator[adapter.GenerateResponse, None]:
        """Execute an attempt; yields its events. Closing the iterator cancels the call. Raises AioRpcError as it is:
        what an interrupted attempt means is for the caller to say."""
        provider = request.route.provider
        channel = self._adapter(provider)
        hop = _Timed(self._clock, f"adapter-{provider}", "Generate", request.attempt_id)
        call = adapter_grpc.AdapterServiceStub(channel).Generate(request)
        code = "OK"
        try:
            async for event in call:
                yield event
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            call.cancel()
            raise
        finally:
            self._sink(hop.done(code))

    async def _unary(
        self, service: str, method: str, call: Callable[[], Awaitable[Reply]], attempt_id: str = ""
    ) -> Reply:
        hop = _Timed(self._clock, service, method, attempt_id)
        code = "OK"
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise from_rpc_error(error, dependency=service) from error
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        finally:
            self._sink(hop.done(code))


class _Timed:
    """A hop under way."""

    def __init__(self, clock: Clock, service: str, method: str, attempt_id: str) -> None:
        self._start: datetime = clock()
        self._began = time.perf_counter()
        self._hop = images.Hop(service=service, method=method, attempt_id=attempt_id)
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            self._hop.span_id = trace.format_span_id(context.span_id)

    def done(self, code: str) -> images.Hop:
        """The hop, ended now with status `code`."""
        self._hop.start_time.FromDatetime(self._start)
        self._hop.duration.FromNanoseconds(int((time.perf_counter() - self._began) * 1e9))
        self._hop.code = code
        return self._hop
