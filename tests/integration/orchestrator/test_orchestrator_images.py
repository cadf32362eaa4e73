"""ImageService over gRPC, with scripted peers and a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from imagerouter.api.common.v1 import attempt_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import ImageRouter
from imagerouter.orchestrator.limits import load_limits
from imagerouter.runtime.errors import ImageRouterError
from tests.integration.orchestrator.scripted import PRICE, UPPER, Script, Stage, ended, stage, succeeded

LIMITS = load_limits()
FAST = LIMITS.model_copy(update={"waits": LIMITS.waits.model_copy(update={"retry_backoff_s": 0.01})})


@pytest.fixture
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, Script(), FAST) as started:
        yield started


@pytest.fixture
async def router(staged: Stage) -> AsyncIterator[ImageRouter]:
    async with ImageRouter(staged.target) as client:
        yield client


def steps(image: images.Image) -> list[tuple[str, str]]:
    """What was tried, and why."""
    return [
        (route_pb2.Step.Name(attempt.step).removeprefix("STEP_"), attempt.route.model)
        for attempt in image.receipt.attempts
    ]


async def test_an_image_is_made(router: ImageRouter) -> None:
    """The plain case: one decision, one attempt, accepted, paid for once, every hop on the receipt."""
    image = await router.create("a fox", request_id="r1")

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert steps(image) == [("INITIAL", "alpha")]
    assert len(image.artifacts) == 1
    assert image.receipt.cost_micros == PRICE
    assert image.receipt.reserved_micros == 0
    assert [f"{hop.service}.{hop.method}" for hop in image.receipt.hops] == [
        "normalizer.Normalize",
        "router.Route",
        "adapter-openai.Generate",
        "evaluator.Evaluate",
    ]


async def test_retry_fallback_and_escalation(staged: Stage, router: ImageRouter) -> None:
    """A failure is retried, a second one falls back, a miss escalates; each step is a decision of its own."""
    staged.script.outcomes = [ended("PROVIDER_ERROR", "REJECTED"), ended("PROVIDER_ERROR", "REJECTED"), succeeded()]
    staged.script.verdicts = ["ESCALATE"]
    image = await router.create("a fox")

    assert steps(image) == [("INITIAL", "alpha"), ("RETRY", "alpha"), ("FALLBACK", "beta"), ("ESCALATION", "gamma")]
    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert image.receipt.cost_micros == 2 * PRICE
    assert len({attempt.decision_id for attempt in image.receipt.attempts}) == 4


async def test_refusal_ends_the_image(staged: Stage, router: ImageRouter) -> None:
    """Invariant 3: a refusal is not routed around."""
    staged.script.outcomes = [ended("REFUSED", "REJECTED")]
    image = await router.create("a fox")

    assert image.state == images.IMAGE_STATE_FAILED
    assert len(staged.script.generated) == 1
    assert image.error.metadata["provider"] == "openai"


async def test_unknown_outcome_keeps_its_reservation(staged: Stage, router: ImageRouter) -> None:
    """Invariant 1: what may have been executed is not sent again, and its money stays set aside."""
    staged.script.outcomes = [ended("TIMEOUT", "SENT_UNKNOWN")]
    image = await router.create("a fox")

    assert steps(image) == [("INITIAL", "alpha"), ("FALLBACK", "beta")]
    assert image.receipt.attempts[0].state == attempt_pb2.ATTEMPT_STATE_UNKNOWN
    assert image.receipt.reserved_micros == UPPER
    assert len({request.attempt_id for request in staged.script.generated}) == 2


async def test_budget_stops_the_image_before_it_is_exceeded(staged: Stage, router: ImageRouter) -> None:
    """Invariant 4: an attempt that the budget does not cover is not sent."""
    staged.script.verdicts = ["ESCALATE", "ESCALATE"]
    image = await router.create("a fox", constraints=task_pb2.Constraints(max_cost_micros=PRICE + UPPER - 1))

    assert image.state == images.IMAGE_STATE_FAILED
    assert len(staged.script.generated) == 1
    assert image.receipt.cost_micros == PRICE


async def test_many_outputs_are_made_side_by_side(staged: Stage, router: ImageRouter) -> None:
    """A count beyond one call's is split into attempts of one decision; a failed share is made up for."""
    staged.script.count = 3
    staged.script.outcomes = [ended("PROVIDER_ERROR", "REJECTED")]
    image = await router.create("foxes", output=task_pb2.OutputSpec(count=8))

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert len(image.artifacts) == 8
    assert [attempt.route.parameters.count for attempt in image.receipt.attempts][:3] == [3, 3, 2]
    assert len(image.receipt.attempts) == 4


async def test_fifty_equal_calls_are_one_image(staged: Stage) -> None:
    """The same request_id fifty times at once: one execution, fifty equal answers."""
    staged.script.hold = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, staged.script.hold.set)
    async with ImageRouter(staged.target) as client:
        answers = await asyncio.gather(*(client.create("a fox", request_id="same") for _ in range(50)))

    assert len(staged.script.generated) == 1
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1


async def test_request_id_with_another_payload(router: ImageRouter) -> None:
    """A request_id stands for one payload; the deadline is no part of it."""
    first = await router.create("a fox", request_id="r")
    later = Timestamp(seconds=4_000_000_000)
    again = await router.create("a fox", request_id="r", constraints=task_pb2.Constraints(deadline=later))
    with pytest.raises(ImageRouterError) as caught:
        await router.create("a wolf", request_id="r")

    assert again.name == first.name
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert caught.value.fields[0].field == "request_id"


async def test_short_deadline_returns_running_and_the_work_goes_on(staged: Stage, router: ImageRouter) -> None:
    """A caller who waits less than the work takes gets RUNNING; the image is finished all the same."""
    staged.script.hold = asyncio.Event()
    image = await router.create("a fox", timeout_s=1)
    staged.script.hold.set()
    events = [event async for event in router.watch(image.name)]

    assert image.state == images.IMAGE_STATE_RUNNING
    assert events[-1].ended.state == images.IMAGE_STATE_SUCCEEDED
    assert not staged.script.cancelled.is_set()


async def test_cancelling_the_call_reaches_the_adapter(staged: Stage, router: ImageRouter) -> None:
    """Invariant 6: the caller hangs up, the adapter's stream is closed, the attempt is on record as unknown."""
    staged.script.hold = asyncio.Event()
    call = asyncio.create_task(router.create("a fox", request_id="gone"))
    while not staged.script.generated:
        await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait_for(staged.script.cancelled.wait(), 5)
    found = await staged.ledger.find_request("default", "gone")
    assert found
    [event async for event in router.watch(f"images/{found[0]}")]
    image = await router.get(f"images/{found[0]}")

    assert image.state == images.IMAGE_STATE_CANCELLED
    assert image.receipt.attempts[0].state == attempt_pb2.ATTEMPT_STATE_UNKNOWN


async def test_one_of_two_callers_hanging_up_cancels_nothing(staged: Stage, router: ImageRouter) -> None:
    """An image that somebody still waits for goes on."""
    staged.script.hold = asyncio.Event()
    first = asyncio.create_task(router.create("a fox", request_id="two"))
    while not staged.script.generated:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(router.create("a fox", request_id="two"))
    await asyncio.sleep(0.3)
    first.cancel()
    await asyncio.sleep(0.3)
    staged.script.hold.set()

    assert (await second).state == images.IMAGE_STATE_SUCCEEDED


async def test_cancel_image(staged: Stage, router: ImageRouter) -> None:
    """CancelImage stops the work and answers with the cancelled image; a second time it changes nothing."""
    staged.script.hold = asyncio.Event()
    running = await router.create("a fox", timeout_s=1)
    image = await router.cancel(running.name)
    again = await router.cancel(running.name)

    assert image.state == again.state == images.IMAGE_STATE_CANCELLED
    assert staged.script.cancelled.is_set()


async def test_a_dead_owner_s_image_is_resumed(staged: Stage, router: ImageRouter) -> None:
    """What was SENT when its orchestrator died becomes unknown and is never resent; the image is carried on."""
    staged.script.hold = asyncio.Event()
    running = await router.create("a fox", timeout_s=1)
    active = staged.runs.active[running.name.removeprefix("images/")]
    active.task.cancel()
    await asyncio.gather(active.task, return_exceptions=True)
    staged.script.hold.set()
    await staged.ledger.release_lease(running.name.removeprefix("images/"), "test", 1, staged.runs.clock())
    await staged.runs.sweep()
    events = [event async for event in router.watch(running.name)]
    image = events[-1].ended

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert [attempt.state for attempt in image.receipt.attempts] == [
        attempt_pb2.ATTEMPT_STATE_UNKNOWN,
        attempt_pb2.ATTEMPT_STATE_SUCCEEDED,
    ]


async def test_a_deep_chain_restarts_from_its_anchor(staged: Stage, router: ImageRouter) -> None:
    """At depth five the policy asks for a reset: the anchor is edited with all instructions at once, and is the new
    beginning of the chain."""
    image = await router.create("a fox")
    anchor = image.artifacts[0]
    for turn in range(5):
        image = await router.create(f"turn {turn}", parent=image.name)
    after = await router.create("turn 5", parent=image.name)

    assert image.task.prompt == "; ".join(f"turn {turn}" for turn in range(5))
    assert image.task.references[0].artifact == anchor
    assert image.receipt.decisions[0].step == route_pb2.STEP_RESET
    assert [warning.code for warning in image.task.warnings] == ["CHAIN_RESET"]
    assert after.task.lineage.depth == 1
    assert after.task.lineage.anchor == image.artifacts[0]


async def test_explain_leaves_nothing_behind(staged: Stage, router: ImageRouter) -> None:
    """ExplainRoute decides as CreateImage would, and neither spends nor writes."""
    reply = await router.explain(images.CreateImageRequest(prompt="a fox"))
    listed = await router.list()

    assert reply.decision.routes[0].model == "alpha"
    assert not staged.script.generated
    assert not listed.images


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        (images.CreateImageRequest(), "INVALID_ARGUMENT", "prompt"),
        (images.CreateImageRequest(prompt="x", request_id="a b"), "INVALID_ARGUMENT", "request_id"),
        (images.CreateImageRequest(prompt="x", parent="../../etc"), "INVALID_ARGUMENT", "parent"),
        (images.CreateImageRequest(prompt="x", parent="images/none"), "NOT_FOUND", "parent"),
        (
            images.CreateImageRequest(prompt="x", constraints=task_pb2.Constraints(deadline=Timestamp(seconds=1))),
            "DEADLINE_EXCEEDED",
            "constraints.deadline",
        ),
        (
            images.CreateImageRequest(prompt="x", constraints=task_pb2.Constraints(deadline=Timestamp(seconds=2**62))),
            "INVALID_ARGUMENT",
            "constraints.deadline",
        ),
        (images.CreateImageRequest(prompt="x", references=[{}]), "INVALID_ARGUMENT", "references[0]"),
        (
            images.CreateImageRequest(prompt="x", references=[{"inline": b"<html>"}]),
            "INVALID_ARGUMENT",
            "references[0].inline",
        ),
        (
            images.CreateImageRequest(prompt="x", references=[{"inline": b"\x89PNG" * 70_000}]),
            "INVALID_ARGUMENT",
            "references[0].inline",
        ),
        (images.CreateImageRequest(prompt="x", references=[{"inline": b"x"}] * 17), "INVALID_ARGUMENT", "references"),
        (images.CreateImageRequest(prompt="x", labels={"k": "v" * 257}), "INVALID_ARGUMENT", "labels"),
    ],
    ids=[
        "no prompt",
        "bad request_id",
        "bad parent",
        "unknown parent",
        "past deadline",
        "impossible deadline",
        "reference without source",
        "inline not an image",
        "inline too large",
        "too many references",
        "label too long",
    ],
)
async def test_bad_input(
    staged: Stage, router: ImageRouter, request_: images.CreateImageRequest, code: str, field: str
) -> None:
    """A caller's mistake is named by its field, reaches no adapter, and leaves no row."""
    with pytest.raises(ImageRouterError) as caught:
        await router.create_from(request_)

    assert caught.value.code.name == code
    assert [violation.field for violation in caught.value.fields] == [field]
    assert not staged.script.generated
    assert not (await router.list()).images


async def test_a_refused_request_leaves_its_id_free(router: ImageRouter) -> None:
    """A request_id is not used up by a request that was refused for its content."""
    with pytest.raises(ImageRouterError):
        await router.create("", request_id="mend")
    image = await router.create("a fox", request_id="mend")

    assert image.state == images.IMAGE_STATE_SUCCEEDED


async def test_tenants_do_not_see_one_another(staged: Stage, router: ImageRouter) -> None:
    """Another tenant's image is NOT_FOUND, and its request_id is free."""
    image = await router.create("a fox", request_id="r")
    async with ImageRouter(staged.target, tenant="other") as other:
        with pytest.raises(ImageRouterError) as caught:
            await other.get(image.name)
        theirs = await other.create("a wolf", request_id="r")

    assert caught.value.reason == "IMAGE_NOT_FOUND"
    assert theirs.name != image.name
