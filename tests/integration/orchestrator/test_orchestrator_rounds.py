"""Rounds: the attempts made side by side under one decision. A round is one try, and no more than the money covers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.client import ImageRouter
from imagerouter.orchestrator.limits import load_limits
from tests.integration.orchestrator.scripted import PRICE, UPPER, Script, Stage, ended, stage

LIMITS = load_limits()
FAST = LIMITS.model_copy(update={"waits": LIMITS.waits.model_copy(update={"retry_backoff_s": 0.01})})
AT_ONCE = LIMITS.attempts.max_parallel
FOXES = task_pb2.OutputSpec(count=AT_ONCE)


@pytest.fixture
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    """One provider call makes one output."""
    async with stage(tmp_path, Script(), FAST) as started:
        yield started


@pytest.fixture
async def router(staged: Stage) -> AsyncIterator[ImageRouter]:
    async with ImageRouter(staged.target) as client:
        yield client


def rounds(image: images.Image) -> list[tuple[str, int]]:
    """Each decision's step, and how many attempts were made under it."""
    attempts = image.receipt.attempts
    return [
        (
            route_pb2.Step.Name(decision.step).removeprefix("STEP_"),
            sum(attempt.decision_id == decision.decision_id for attempt in attempts),
        )
        for decision in image.receipt.decisions
    ]


async def test_a_round_that_fails_is_one_try(staged: Stage, router: ImageRouter) -> None:
    """A hiccup that strikes every share at once is over at the next try, as it is for an image with one share."""
    staged.script.outcomes = [ended("PROVIDER_ERROR", "REJECTED")] * AT_ONCE
    image = await router.create("foxes", output=FOXES)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert rounds(image) == [("INITIAL", AT_ONCE), ("RETRY", AT_ONCE)]
    assert image.receipt.cost_micros == AT_ONCE * PRICE


async def test_rounds_that_fail_are_bounded(staged: Stage, router: ImageRouter) -> None:
    """As many rounds as an image may have tries, and no more."""
    staged.script.models = tuple("abcdefgh")
    staged.script.outcomes = [ended("PROVIDER_ERROR", "REJECTED")] * 10 * AT_ONCE
    image = await router.create("foxes", output=FOXES)

    assert image.state == images.IMAGE_STATE_FAILED
    assert [made for _, made in rounds(image)] == [AT_ONCE] * LIMITS.attempts.max
    assert image.receipt.cost_micros == image.receipt.reserved_micros == 0


async def test_a_round_is_no_larger_than_the_money(staged: Stage, router: ImageRouter) -> None:
    """A budget that covers all outputs, but not all their reservations at once, makes them one round after another."""
    budget = (AT_ONCE - 1) * PRICE + UPPER
    assert budget < AT_ONCE * UPPER
    image = await router.create("foxes", output=FOXES, constraints=task_pb2.Constraints(max_cost_micros=budget))
    made = rounds(image)

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert len(image.artifacts) == AT_ONCE
    assert image.receipt.cost_micros == AT_ONCE * PRICE <= budget
    assert made[0] == ("INITIAL", budget // UPPER)
    assert all(step == "CONTINUE" for step, _ in made[1:])


async def test_what_a_round_may_have_cost_bounds_the_next(staged: Stage, router: ImageRouter) -> None:
    """A share of unknown outcome keeps its reservation: the next round has that much less to spend."""
    staged.script.outcomes = [ended("TIMEOUT", "SENT_UNKNOWN")]
    budget = (AT_ONCE + 1) * UPPER - 1
    image = await router.create("foxes", output=FOXES, constraints=task_pb2.Constraints(max_cost_micros=budget))

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert rounds(image) == [("INITIAL", AT_ONCE), ("FALLBACK", 1)]
    assert image.receipt.reserved_micros == UPPER
    assert image.receipt.cost_micros + image.receipt.reserved_micros <= budget


async def test_a_budget_for_no_share_fails(staged: Stage, router: ImageRouter) -> None:
    """Where the money covers not even one, nothing is sent."""
    constraints = task_pb2.Constraints(max_cost_micros=UPPER - 1)
    image = await router.create("foxes", output=FOXES, constraints=constraints)

    assert image.state == images.IMAGE_STATE_FAILED
    assert not staged.script.generated
