"""What is away for a moment, silent or broken: an image gets over it or says so, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as evaluator
from imagerouter.api.evaluator.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import ImageRouter
from imagerouter.orchestrator.limits import load_limits
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.errors import Unavailable
from imagerouter.runtime.server import Server
from imagerouter.runtime.settings import ServiceSettings
from tests.integration.orchestrator.scripted import (
    PRICE,
    UPPER,
    Script,
    ScriptedAdapter,
    ScriptedEvaluator,
    Stage,
    stage,
    succeeded,
)

SECRET = "Sphinx of black quartz"
LIMITS = load_limits()
WAITS = {"waits": LIMITS.waits.model_copy(update={"retry_backoff_s": 0.01})}
FAST = LIMITS.model_copy(update=WAITS)
IMPATIENT = LIMITS.model_copy(update={**WAITS, "adapter": LIMITS.adapter.model_copy(update={"silence_s": 0.3})})
CONNECTION_FAILED = attempt_pb2.OUTCOME_KIND_CONNECTION_FAILED
INTERNAL = error_reason_pb2.ERROR_REASON_INTERNAL


@pytest.fixture
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, Script(), FAST) as started:
        yield started


@pytest.fixture
async def router(staged: Stage) -> AsyncIterator[ImageRouter]:
    async with ImageRouter(staged.target) as client:
        yield client


def states(image: images.Image) -> list[str]:
    return [
        attempt_pb2.AttemptState.Name(attempt.state).removeprefix("ATTEMPT_STATE_")
        for attempt in image.receipt.attempts
    ]


# The ledger.


@pytest.fixture(params=["before", "after"])
def away_for_a_moment(
    staged: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[int]]:
    """Have a write of the ledger fail twice: its database went away before the commit, or after it, unheard."""

    def break_(name: str) -> list[int]:
        real = getattr(staged.ledger, name)
        calls: list[int] = []

        async def write(*given: Any, **named: Any) -> Any:
            calls.append(len(calls) + 1)
            if len(calls) > 2:
                return await real(*given, **named)
            if request.param == "after":
                await real(*given, **named)
            raise Unavailable("the ledger did not answer", retry_after_s=0.01)

        monkeypatch.setattr(staged.ledger, name, write)
        return calls

    return break_


@pytest.mark.parametrize("write", ["finish_attempt", "record_evaluation", "finish_image"])
async def test_what_is_known_is_written(
    staged: Stage, router: ImageRouter, away_for_a_moment: Callable[[str], list[int]], write: str
) -> None:
    """An outcome, a finding and an end are written in spite of a ledger that is away for a moment: the caller has his
    image, it was paid for once, and the story of it is told once."""
    calls = away_for_a_moment(write)
    image = await router.create("a fox")
    told = [event.WhichOneof("event") async for event in router.watch(image.name)]

    assert len(calls) == 3
    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert states(image) == ["SUCCEEDED"]
    assert (image.receipt.cost_micros, image.receipt.reserved_micros) == (PRICE, 0)
    assert len(staged.script.generated) == 1
    assert told == ["accepted", "decision", "attempt_sent", "attempt_ended", "evaluation", "ended"]


async def test_hops_decide_nothing(
    staged: Stage, router: ImageRouter, away_for_a_moment: Callable[[str], list[int]]
) -> None:
    """Hops that cannot be noted down cost the receipt a few lines, and the image nothing."""
    calls = away_for_a_moment("record_hop")
    image = await router.create("a fox")
    hops = [f"{hop.service}.{hop.method}" for hop in image.receipt.hops]

    assert calls
    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert len(hops) == len(set(hops))


# The evaluator.


@pytest.fixture
async def spare_port() -> int:
    """A port of loopback that nobody listens on any more."""
    server = Server(ServiceSettings(drain_settle_s=0), name="gone")
    port = await server.start()
    await server.stop(0)
    return port


async def test_an_evaluator_that_is_replaced_is_waited_for(staged: Stage, router: ImageRouter, spare_port: int) -> None:
    """An output is looked at by the evaluator that comes back: what was paid for is not thrown away for a restart."""
    channel = open_channel(f"127.0.0.1:{spare_port}")
    staged.runs.peers = replace(staged.runs.peers, evaluator=channel)
    call, image_id = await staged.begin(router)
    async with asyncio.timeout(5):
        async for event in staged.ledger.watch(image_id):
            if event.HasField("attempt_ended"):
                break
    async with asyncio.timeout(5):  # the first connection is refused
        while channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await asyncio.sleep(0.01)
    too_early = call.done()
    server = Server(ServiceSettings(listen=f"127.0.0.1:{spare_port}", drain_settle_s=0), name="evaluator")
    server.add(
        "imagerouter.api.evaluator.v1.EvaluatorService",
        evaluator_grpc.add_EvaluatorServiceServicer_to_server,
        ScriptedEvaluator(staged.script),
    )
    await server.start()
    image = await asyncio.wait_for(call, 10)
    await channel.close()
    await server.stop(0)

    assert not too_early
    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert states(image) == ["SUCCEEDED"]


class AbortingEvaluator(ScriptedEvaluator):
    """Fails as a proxy or a defect would."""

    def __init__(self, script: Script, fault: grpc.StatusCode | Exception) -> None:
        super().__init__(script)
        self.fault = fault

    async def Evaluate(self, request: evaluator.EvaluateRequest, context: Any) -> evaluator.EvaluateResponse:
        if isinstance(self.fault, Exception):
            raise self.fault
        await context.abort(self.fault, SECRET)
        raise AssertionError


async def test_an_image_says_what_was_away(tmp_path: Path) -> None:
    """A failure that names nobody is named for whom we called; the foreign text stays out of it."""
    script = Script()
    cast = {"evaluator_servicer": AbortingEvaluator(script, grpc.StatusCode.UNAVAILABLE)}
    async with stage(tmp_path, script, FAST, **cast) as staged, ImageRouter(staged.target) as router:
        image = await router.create("a fox")

    assert image.state == images.IMAGE_STATE_FAILED
    assert image.error.reason == error_reason_pb2.ERROR_REASON_DEPENDENCY_UNAVAILABLE
    assert image.error.metadata["dependency"] == "evaluator"
    assert SECRET not in str(image)
    assert image.receipt.cost_micros == PRICE


# The adapter.


class SilentAdapter(ScriptedAdapter):
    """Says `words` about its first attempt, and then nothing; the others it ends as scripted."""

    def __init__(self, script: Script, *words: adapter.GenerateResponse) -> None:
        super().__init__(script)
        self.words = words

    async def Generate(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if self.script.generated:
            async for event in super().Generate(request, context):
                yield event
            return
        self.script.generated.append(request)
        for word in self.words:
            yield word
        try:
            await asyncio.Event().wait()
        finally:
            self.script.cancelled.set()


ACCEPTED = adapter.GenerateResponse(accepted=adapter.Accepted(adapter="silent"))
PREVIEW = adapter.GenerateResponse(preview=adapter.Preview(index=0))


@pytest.mark.parametrize("words", [(), (ACCEPTED,), (ACCEPTED, PREVIEW)], ids=["nothing", "accepted", "preview"])
async def test_a_silent_adapter_is_given_up(tmp_path: Path, words: tuple[adapter.GenerateResponse, ...]) -> None:
    """An adapter that misses its heartbeats may have sent the attempt: it is cut off, the outcome is unknown, its
    money stays set aside, and the image goes on elsewhere."""
    script = Script()
    cast = {"adapter_servicer": SilentAdapter(script, *words)}
    async with stage(tmp_path, script, IMPATIENT, **cast) as staged, ImageRouter(staged.target) as router:
        image = await asyncio.wait_for(router.create("a fox"), 10)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert states(image) == ["UNKNOWN", "SUCCEEDED"]
    assert image.receipt.attempts[0].outcome.kind == CONNECTION_FAILED
    assert image.receipt.attempts[1].route.model == "beta"
    assert (image.receipt.cost_micros, image.receipt.reserved_micros) == (PRICE, UPPER)
    assert script.cancelled.is_set()


async def test_silence_after_the_outcome_changes_nothing(tmp_path: Path) -> None:
    """What the adapter said of the attempt holds, though its stream does not end."""
    script = Script()
    cast = {"adapter_servicer": SilentAdapter(script, ACCEPTED, adapter.GenerateResponse(outcome=succeeded()))}
    async with stage(tmp_path, script, IMPATIENT, **cast) as staged, ImageRouter(staged.target) as router:
        image = await asyncio.wait_for(router.create("a fox"), 10)

    assert states(image) == ["SUCCEEDED"]
    assert len(script.generated) == 1


class SlowAdapter(ScriptedAdapter):
    """Takes three times as long as silence may last, with heartbeats."""

    async def Generate(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for _ in range(30):
            yield adapter.GenerateResponse(heartbeat=adapter.Heartbeat())
            await asyncio.sleep(IMPATIENT.adapter.silence_s / 10)
        async for event in super().Generate(request, context):
            yield event


async def test_a_slow_provider_is_no_silent_adapter(tmp_path: Path) -> None:
    """As long as heartbeats come, an attempt may take its time."""
    script = Script()
    cast = {"adapter_servicer": SlowAdapter(script)}
    async with stage(tmp_path, script, IMPATIENT, **cast) as staged, ImageRouter(staged.target) as router:
        image = await router.create("a fox")

    assert states(image) == ["SUCCEEDED"]


# Ourselves.


def breaks(*_: Any) -> None:
    raise RuntimeError(SECRET)


async def test_a_defect_ends_the_image(staged: Stage, router: ImageRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that breaks would break at every replica: the image fails as INTERNAL, without a word of the defect's own,
    and with what it has cost."""
    monkeypatch.setattr(staged.runs.outages, "saw", breaks)
    image = await router.create("a fox", request_id="r")

    assert image.state == images.IMAGE_STATE_FAILED
    assert image.error.reason == INTERNAL
    assert SECRET not in str(image)
    assert not image.error.metadata
    assert image.receipt.cost_micros == PRICE
    assert await router.create("a fox", request_id="r") == image
    assert not staged.runs.active


async def test_a_defect_of_a_peer_ends_the_image(tmp_path: Path) -> None:
    """The same holds for a peer's defect."""
    script = Script()
    cast = {"evaluator_servicer": AbortingEvaluator(script, RuntimeError(SECRET))}
    async with stage(tmp_path, script, FAST, **cast) as staged, ImageRouter(staged.target) as router:
        image = await router.create("a fox")

    assert image.state == images.IMAGE_STATE_FAILED
    assert image.error.reason == INTERNAL
    assert SECRET not in str(image)
    assert not image.error.metadata


async def test_a_defect_while_the_provider_is_at_work_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image with an attempt under way cannot end: whoever takes it over ends the attempt as unknown first, and the
    caller waits for that."""
    script = Script()
    cast = {"adapter_servicer": SilentAdapter(script, ACCEPTED, PREVIEW)}
    async with stage(tmp_path, script, FAST, **cast) as staged, ImageRouter(staged.target) as router:
        with monkeypatch.context() as patch:
            patch.setattr(staged.runs, "_preview", breaks)
            call = asyncio.create_task(router.create("a fox", request_id="r"))
            async with asyncio.timeout(5):
                while not script.generated or staged.runs.active:
                    await asyncio.sleep(0.01)
        found = await staged.ledger.find_request("default", "r")
        assert found
        await staged.ledger.release_lease(found[0], "test", 1, staged.runs.clock())
        await staged.runs.sweep()
        image = await asyncio.wait_for(call, 10)

    assert SECRET not in str(image)
    assert states(image) == ["UNKNOWN", "SUCCEEDED"]
