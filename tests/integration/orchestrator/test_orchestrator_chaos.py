"""Many images at once, on two replicas, with everything going wrong that peers and callers can do wrong: what must hold
of each image holds all the same.

`IMAGEROUTER_CHAOS_IMAGES` makes it longer, `IMAGEROUTER_CHAOS_SEED` another. The seed settles what each peer says about
each image and what its caller does; when it happens is the machine's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imagerouter.api.adapter.v1 import adapter_service_pb2 as adapter
from imagerouter.api.adapter.v1 import adapter_service_pb2_grpc as adapter_grpc
from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, task_pb2
from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as evaluator
from imagerouter.api.evaluator.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import ImageRouter
from imagerouter.orchestrator.limits import load_limits
from imagerouter.runtime.errors import ImageRouterError, Overloaded, Unavailable
from tests.integration.orchestrator.scripted import UPPER, Script, Stage, ended, stages, succeeded

IMAGES = int(os.environ.get("IMAGEROUTER_CHAOS_IMAGES", "60"))
SEED = int(os.environ.get("IMAGEROUTER_CHAOS_SEED", "20261122"))
AT_ONCE = 16
PACKAGED = load_limits()
LIMITS = PACKAGED.model_copy(update={"waits": PACKAGED.waits.model_copy(update={"retry_backoff_s": 0.01})})

# What an attempt comes to: kind, phase, whether it costs, how often. A kind of None is a call that fails by itself.
FATES: list[tuple[str | None, str, bool, int]] = [
    ("SUCCEEDED", "CHARGED", True, 20),
    ("NO_OUTPUT", "CHARGED", True, 4),
    ("MALFORMED_REPLY", "CHARGED", True, 2),
    ("REFUSED", "CHARGED", True, 1),
    ("REFUSED", "REJECTED", False, 2),
    ("PROVIDER_ERROR", "REJECTED", False, 5),
    ("RATE_LIMITED", "REJECTED", False, 4),
    ("INVALID_REQUEST", "REJECTED", False, 1),
    ("MODEL_UNAVAILABLE", "REJECTED", False, 1),
    ("QUOTA_EXHAUSTED", "REJECTED", False, 1),
    ("CONNECTION_FAILED", "NOT_SENT", False, 2),
    ("TIMEOUT", "SENT_UNKNOWN", False, 3),
    (None, "SENT_UNKNOWN", False, 3),
    (None, "NOT_SENT", False, 2),
]
MISCHIEF = {"none": 10, "impatient": 3, "hangs up": 3, "cancels": 3, "little time": 3, "little money": 5, "killed": 4}
# Somebody cut these off, so that what the provider said may not have been heard.
CUT_OFF = {"hangs up", "cancels", "killed"}


def dice(*what: object) -> random.Random:
    """Chance that depends on the seed and on what it is for, and not on the order of events."""
    return random.Random(":".join(map(str, (SEED, *what))))


@dataclass
class ChaoticAdapter(adapter_grpc.AdapterServiceServicer):
    """Ends attempts in every way; `said` is how, by attempt."""

    seen: Counter[str] = field(default_factory=Counter)
    said: dict[str, attempt_pb2.Outcome] = field(default_factory=dict)
    turns: Counter[str] = field(default_factory=Counter)

    async def Generate(self, request: adapter.GenerateRequest, context: Any) -> AsyncIterator[adapter.GenerateResponse]:
        """One attempt."""
        prompt = request.task.prompt
        self.turns[prompt] += 1
        chance = dice("attempt", prompt, self.turns[prompt])
        kind, phase, costs, _ = chance.choices(FATES, [fate[3] for fate in FATES])[0]
        cost = chance.randrange(1, request.route.estimates.upper_cost_micros + 1) if costs else 0
        outcome = ended(kind or "CONNECTION_FAILED", phase, cost)
        if kind == "SUCCEEDED":
            outcome = succeeded(cost, request.route.parameters.count)
        if kind == "RATE_LIMITED":
            outcome.retry_after.FromMilliseconds(chance.choice([20, 60_000]))
        self.seen[request.attempt_id] += 1
        self.said[request.attempt_id] = outcome
        yield adapter.GenerateResponse(accepted=adapter.Accepted(adapter="chaotic"))
        # Whoever is to be cut off at work must be at work.
        cut_off = any(prompt.endswith(mischief) for mischief in CUT_OFF)
        await asyncio.sleep(chance.choice([0.05, 0.2, 0.3] if cut_off else [0, 0.02, 0.1]))
        if kind is None and phase == "NOT_SENT":
            raise Overloaded("too much", metadata={"phase": "not_sent"})
        if kind is None and chance.random() < 0.5:
            raise Unavailable("gone")
        if kind is not None:
            yield adapter.GenerateResponse(outcome=outcome)


@dataclass
class ChaoticEvaluator(evaluator_grpc.EvaluatorServiceServicer):
    """Finds what it likes, except that refusals stop; now and then it is not there."""

    turns: Counter[str] = field(default_factory=Counter)

    async def Evaluate(self, request: evaluator.EvaluateRequest, context: Any) -> evaluator.EvaluateResponse:
        """Look at one attempt."""
        prompt = request.task.prompt
        self.turns[prompt] += 1
        chance = dice("verdict", prompt, self.turns[prompt])
        if chance.random() < 0.01 and not prompt.endswith("killed"):
            raise Unavailable("the evaluator is not there")
        found = evaluation_pb2.Evaluation(attempt_id=request.attempt_id, reason="chance")
        for ref in request.outcome.artifacts:
            found.outputs.add(artifact=ref, accepted=chance.random() < 0.75)
        found.verdict = chance.choice(
            [evaluation_pb2.VERDICT_RETRY, evaluation_pb2.VERDICT_ESCALATE, evaluation_pb2.VERDICT_RESET]
        )
        if request.outcome.kind == attempt_pb2.OUTCOME_KIND_REFUSED:
            found.verdict = evaluation_pb2.VERDICT_STOP
        elif found.outputs and all(output.accepted for output in found.outputs):
            found.verdict = evaluation_pb2.VERDICT_ACCEPT
        return evaluator.EvaluateResponse(evaluation=found)


@dataclass
class Caller:
    """What one caller wants, and what it does besides."""

    number: int
    mischief: str = field(init=False)
    wanted: int = field(init=False)
    budget_micros: int = 0

    def __post_init__(self) -> None:
        self.chance = dice("caller", self.number)
        self.mischief = self.chance.choices(list(MISCHIEF), list(MISCHIEF.values()))[0]
        self.wanted = self.chance.choice([1, 1, 1, 2, 5])
        if self.mischief == "little money":
            self.budget_micros = self.chance.choice([UPPER, UPPER + UPPER // 3, 2 * UPPER])

    @property
    def prompt(self) -> str:
        return f"image {self.number}, {self.mischief}"

    def request(self) -> images.CreateImageRequest:
        limits = task_pb2.Constraints(max_cost_micros=self.budget_micros)
        if self.mischief == "little time":
            limits.max_latency_ms = self.chance.choice([1, 50, 150])
        output = task_pb2.OutputSpec(count=self.wanted)
        return images.CreateImageRequest(
            request_id=f"c{self.number}", prompt=self.prompt, constraints=limits, output=output
        )

    async def act(self, replicas: list[Stage], clients: list[ImageRouter], said: ChaoticAdapter) -> None:
        """Ask for the image at one of the replicas, and misbehave."""
        first = self.chance.randrange(2)
        replica, client, other = replicas[first], clients[first], clients[1 - first]
        in_s, at_work = self.chance.choice([(0, False), (0.1, False), (0, True), (0.02, True), (0.1, True)])
        call = asyncio.create_task(
            client.create_from(self.request(), timeout_s=0.3 if self.mischief == "impatient" else 30)
        )
        if self.mischief in CUT_OFF:
            image_id = await self._on_record(replica, call)
            while at_work and not said.turns[self.prompt] and not call.done():
                await asyncio.sleep(0.01)
            await asyncio.sleep(in_s)
            if self.mischief == "hangs up":
                call.cancel()
            elif self.mischief == "cancels":
                await self.chance.choice([client, other]).cancel(f"images/{image_id}")
            elif await _kill(replica, image_id):
                call.cancel()  # a crash takes its connections with it
        with contextlib.suppress(ImageRouterError, asyncio.CancelledError):
            await call

    async def _on_record(self, replica: Stage, call: asyncio.Task[images.Image]) -> str:
        """Wait until the image is on record; its id."""
        while (found := await replica.ledger.find_request("default", f"c{self.number}")) is None:
            assert not call.done(), call
            await asyncio.sleep(0.01)
        return found[0]


async def _kill(replica: Stage, image_id: str) -> bool:
    """End a run as a crash would, without a word to the ledger, and let its lease run out at once. False if the run has
    ended by itself."""
    active = replica.runs.active.get(image_id)
    if active is None:
        return False
    active.task.cancel()
    await asyncio.gather(active.task, return_exceptions=True)
    with contextlib.suppress(ImageRouterError):
        await replica.ledger.release_lease(image_id, replica.runs.owner, active.run.work.epoch, replica.runs.clock())
    return True


def faults_of(caller: Caller, image: images.Image, events: list[images.ImageEvent], said: ChaoticAdapter) -> list[str]:
    """What is not as it must be."""
    receipt, attempts = image.receipt, list(image.receipt.attempts)
    verdicts = {found.attempt_id: found.verdict for found in receipt.evaluations}
    unknown = [each for each in attempts if each.state == attempt_pb2.ATTEMPT_STATE_UNKNOWN]
    misses = [each for each in attempts if verdicts.get(each.attempt_id) != evaluation_pb2.VERDICT_ACCEPT]
    accepted = [output for found in receipt.evaluations for output in found.outputs if output.accepted]
    rounds = Counter(each.decision_id for each in attempts)
    budget = caller.budget_micros or LIMITS.defaults.budget_micros
    late = image.deadline.ToDatetime() + timedelta(seconds=2)
    after_first = [each for each in attempts if each.decision_id != receipt.decisions[0].decision_id]
    made = image.state == images.IMAGE_STATE_SUCCEEDED
    cancelled = image.state == images.IMAGE_STATE_CANCELLED
    kinds = [event.WhichOneof("event") for event in events]
    checks = {
        "ends": made or cancelled or image.state == images.IMAGE_STATE_FAILED,
        "has what was wanted, or an error": len(image.artifacts) == caller.wanted if made else image.error.reason != 0,
        "gives only what was accepted": len(image.artifacts) == min(len(accepted), caller.wanted),
        "is cancelled only by its caller": not cancelled or caller.mischief in {"hangs up", "cancels"},
        "no attempt is left open": all(each.HasField("outcome") and each.state > 2 for each in attempts),
        "attempts are bounded": len({each.decision_id for each in misses}) <= LIMITS.attempts.max,
        "rounds are bounded": max(rounds.values(), default=0) <= LIMITS.attempts.max_parallel,
        "attempts are numbered": [each.number for each in attempts] == list(range(1, len(attempts) + 1)),
        "nothing is begun late": all(each.create_time.ToDatetime() < late for each in after_first),
        "cost is the sum of the attempts'": receipt.cost_micros == sum(each.outcome.cost_micros for each in attempts),
        "unknown costs nothing": all(each.outcome.cost_micros == 0 for each in unknown),
        "only unknown is reserved": receipt.reserved_micros == sum(each.reserved_micros for each in unknown),
        "the budget holds": receipt.cost_micros + receipt.reserved_micros <= budget,
        "events have no gap": [event.sequence for event in events] == list(range(1, len(events) + 1)),
        "events begin and end": (kinds[0], kinds[-1], kinds.count("ended")) == ("accepted", "ended", 1),
        "each attempt ends once": Counter(kinds)["attempt_ended"] == len(attempts),
        "each decision is told": Counter(kinds)["decision"] == len(receipt.decisions),
    }
    wrong = [name for name, holds in checks.items() if not holds]
    for each in attempts:
        wrong += [f"attempt {each.number}: {fault}" for fault in _attempt_faults(caller, each, said)]
    refused = [each for each in attempts if each.outcome.kind == attempt_pb2.OUTCOME_KIND_REFUSED]
    if refused:
        if receipt.decisions[-1].decision_id not in {each.decision_id for each in refused}:
            wrong.append("a refusal was not the end")
        if not cancelled and image.error.reason not in (
            error_reason_pb2.ERROR_REASON_REFUSED,
            error_reason_pb2.ERROR_REASON_DEPENDENCY_UNAVAILABLE,  # the evaluator was not there
        ):
            wrong.append("a refusal is not the reason")
    return wrong


def _attempt_faults(caller: Caller, attempt: attempt_pb2.Attempt, adapter_: ChaoticAdapter) -> list[str]:
    times, said = adapter_.seen[attempt.attempt_id], adapter_.said.get(attempt.attempt_id)
    if attempt.state == attempt_pb2.ATTEMPT_STATE_UNKNOWN:
        excused = caller.mischief in CUT_OFF or (said and said.phase == attempt_pb2.PHASE_SENT_UNKNOWN)
        return [] if times <= 1 and excused else ["is unknown without a cause"]
    wrong = [] if times <= 1 else [f"was executed {times} times"]
    if said is None:
        if attempt.state != attempt_pb2.ATTEMPT_STATE_REJECTED:
            wrong.append("was never executed, and is not free")
    elif (attempt.outcome.cost_micros, attempt.outcome.phase) != (said.cost_micros, said.phase):
        wrong.append("is not what the provider said")
    return wrong


@pytest.mark.timeout(60 + 2 * IMAGES)
async def test_invariants_hold_in_chaos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Attempts are bounded, executed once and paid for to the micro-dollar; refusals are terminal; nothing is left
    open or reserved; every image ends and tells its story without a gap. Whatever peers, callers and crashes do."""
    with capsys.disabled():
        print(f" seed {SEED}, {IMAGES} images ", end="")
    said, judge = ChaoticAdapter(), ChaoticEvaluator()
    callers = [Caller(number) for number in range(IMAGES)]
    cast = {"adapter_servicer": said, "evaluator_servicer": judge}
    async with stages(
        tmp_path, Script(count=2, models=tuple("abcdef")), LIMITS, owners=("one", "two"), **cast
    ) as replicas:  # type: ignore[arg-type]
        keeping = [asyncio.create_task(replica.runs.keep(0.1)) for replica in replicas]
        async with ImageRouter(replicas[0].target) as one, ImageRouter(replicas[1].target) as two:
            gate = asyncio.Semaphore(AT_ONCE)

            async def acted(caller: Caller) -> None:
                async with gate:
                    await caller.act(replicas, [one, two], said)

            await asyncio.gather(*map(acted, callers))
            stories = [await _story(replicas[0], caller) for caller in callers]
            total = await replicas[0].ledger.sums()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)

    made = [(caller, *story) for caller, story in zip(callers, stories, strict=True) if story]
    faults = {caller.prompt: found for caller, *story in made if (found := faults_of(caller, *story, said))}
    known = {attempt.attempt_id for _, image, _ in made for attempt in image.receipt.attempts}
    assert not faults, f"seed {SEED}: {faults}"
    assert set(said.seen) <= known, f"seed {SEED}: executed without a decision"
    assert total == sum(image.receipt.cost_micros for _, image, _ in made)
    # Otherwise the above says little.
    states = {image.state for _, image, _ in made}
    phases = {attempt.outcome.phase for _, image, _ in made for attempt in image.receipt.attempts}
    assert IMAGES < 50 or (len(states), len(phases), len(made) > 0.8 * IMAGES) == (3, 4, True)


async def _story(replica: Stage, caller: Caller) -> tuple[images.Image, list[images.ImageEvent]] | None:
    """An image when it has ended, with its events; None if its caller hung up before it was on record."""
    found = await replica.ledger.find_request("default", f"c{caller.number}")
    if found is None:
        return None
    async with asyncio.timeout(30):
        events = [event async for event in replica.ledger.watch(found[0], poll_s=0.05)]
    return await replica.ledger.get_image("default", found[0]), events
