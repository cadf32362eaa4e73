"""The main job through every hop."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli import reconcile
from imagerouter.client import parse_request
from tests.e2e.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
POSTER = json.loads((ROOT / "services/imagerouter/cli/demo_data/poster.json").read_text())


async def pixels(running: Running, image: images.Image, index: int = 0) -> Image.Image:
    """An output, decoded."""
    return Image.open(io.BytesIO(await running.router.download(image.artifacts[index]))).convert("RGB")


async def test_poster(running: Running) -> None:
    """A text-heavy poster goes to the GPT Image family, at a quality that keeps to eight seconds, in its ratio."""
    image = await running.router.create_from(parse_request(POSTER))
    picture = await pixels(running, image)
    route = image.receipt.decisions[0].routes[0]

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert route.model.startswith("gpt-image")
    assert route.estimates.latency_p50_ms <= 8000
    assert abs(picture.width / picture.height - 4 / 5) < 0.02
    assert len(picture.resize((64, 80)).getcolors(64 * 80) or ()) > 50
    excluded = {exclusion.model: exclusion.detail for exclusion in image.receipt.decisions[0].exclusions}
    assert "8000" in excluded["gpt-image-2"]


async def test_edit_keeps_to_the_photograph(running: Running, photo: Path) -> None:
    """An edit that must keep its subject goes to Nano Banana Pro first; the photo is changed and recognisable."""
    request = parse_request({"prompt": "Give the cat a red bow tie", "constraints": {"preserve_subject": True}})
    request.references.add(artifact=await running.router.upload(photo))
    image = await running.router.create_from(request)
    edited = (await pixels(running, image)).resize((90, 60))
    original = Image.open(photo).convert("RGB").resize((90, 60))
    difference = ImageChops.difference(edited, original).convert("L")
    mean = sum(value * count for value, count in enumerate(difference.histogram())) / (90 * 60)

    assert image.receipt.attempts[0].route.model == "gemini-3-pro-image"
    assert 1 < mean < 90


async def test_a_chain_of_six_restarts_from_its_anchor(running: Running, photo: Path) -> None:
    """The fifth edit of an edited picture is made from the anchor instead, with all instructions in one."""
    parent = ""
    depths = []
    steps = []
    for turn in range(6):
        request = images.CreateImageRequest(prompt=f"Add {turn + 2} red balloons to the sky", parent=parent)
        if not parent:
            request.references.add(artifact=await running.router.upload(photo))
        image = await running.router.create_from(request)
        assert image.state == images.IMAGE_STATE_SUCCEEDED
        depths.append(image.task.lineage.depth)
        steps.append(route_pb2.Step.Name(image.receipt.decisions[-1].step))
        parent = image.name

    assert depths == [0, 1, 2, 3, 4, 0]
    assert steps[-1] == "STEP_RESET"


async def test_bulk_takes_the_cheapest_adequate_tier(running: Running) -> None:
    """Eight cheap variations are eight different files, for less than the standard model would take for one."""
    request = parse_request({"prompt": "Eight quick cheap variations of a flat lantern icon", "output": {"count": 8}})
    image = await running.router.create_from(request)

    assert len({artifact.digest for artifact in image.artifacts}) == 8
    assert image.task.features.bulk
    assert image.receipt.cost_micros < 8 * 40_000


async def test_a_miss_escalates(running: Running) -> None:
    """A picture of the wrong size is not passed off as the right one: a higher tier makes it."""
    for provider in ("openai", "google"):
        await running.suite.order_fault(provider, {"preset": "wrong_size", "times": 1})
    request = parse_request({"prompt": "A poster that says 'OPEN'", "output": {"quality": "draft"}})
    image = await running.router.create_from(request)
    first, second = image.receipt.evaluations[0], image.receipt.attempts[1]

    assert first.verdict == evaluation_pb2.VERDICT_ESCALATE
    assert second.step == route_pb2.STEP_ESCALATION
    assert second.route.tier > image.receipt.attempts[0].route.tier


async def test_a_refusal_is_not_routed_around(running: Running) -> None:
    """Invariant 3: one provider refuses, no other is asked."""
    await running.suite.order_fault("openai", {"preset": "moderation_input", "times": 1})
    google = len(running.requests("google"))
    image = await running.router.create_from(parse_request({"prompt": "A poster that says 'OPEN'"}))

    assert image.state == images.IMAGE_STATE_FAILED
    assert image.error.metadata["stage"] == "input"
    assert len(image.receipt.attempts) == 1
    assert len(running.requests("google")) == google


async def test_fifty_equal_calls(running: Running) -> None:
    """The same request_id fifty times at once: one provider execution, fifty equal answers."""
    before = len(running.journal("openai")) + len(running.journal("google"))
    answers = await asyncio.gather(
        *(running.router.create("A paper lantern at dusk", request_id="e2e-fifty") for _ in range(50))
    )

    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len(running.journal("openai")) + len(running.journal("google")) == before + 1


async def test_cancelling_closes_the_connection_to_the_provider(running: Running) -> None:
    """Invariant 6, with tracing on: hanging up on CreateImage reaches the provider."""
    for provider in ("openai", "google"):
        await running.suite.order_fault(provider, {"preset": "slow_headers", "times": 1})
    before = {provider: len(running.requests(provider)) for provider in ("openai", "google")}

    def fresh() -> list[dict[str, object]]:
        return [entry for provider, count in before.items() for entry in running.requests(provider)[count:]]

    call = asyncio.create_task(running.router.create("A slow fox", request_id="e2e-cancel"))
    while not await asyncio.to_thread(fresh):
        await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(5):
        while not any(entry["disconnected"] for entry in await asyncio.to_thread(fresh)):
            await asyncio.sleep(0.05)
    listed = await running.router.list(page_size=1)
    events = [event async for event in running.router.watch(listed.images[0].name)]
    image = events[-1].ended

    assert image.state == images.IMAGE_STATE_CANCELLED
    assert image.receipt.attempts[0].state == attempt_pb2.ATTEMPT_STATE_UNKNOWN
    assert len(fresh()) == 1


async def test_a_client_that_nobody_here_wrote(running: Running) -> None:
    """`buf curl` finds the service by reflection and makes an image."""
    command = [
        *(str(Path(sys.executable).parent / "buf"), "curl", "--http2-prior-knowledge", "--protocol", "grpc"),
        *("--data", json.dumps({"prompt": "A red fox in the snow", "mode": "MODE_GENERATE"})),
        f"http://{running.suite.address('orchestrator')}/imagerouter.api.images.v1.ImageService/CreateImage",
    ]
    result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, timeout=60)
    reply = json.loads(result.stdout)

    assert result.returncode == 0, result.stderr
    assert reply["image"]["state"] == "IMAGE_STATE_SUCCEEDED"
    assert len(reply["image"]["artifacts"][0]["digest"]) == 64


async def test_explain_agrees_with_what_is_done(running: Running) -> None:
    """Invariant 7: the same request gets the same decision, explained or carried out."""
    request = parse_request({"prompt": "A watercolour of three lemons", "output": {"size_tier": "2k"}})
    explained = (await running.router.explain(request)).decision
    decided = (await running.router.create_from(request)).receipt.decisions[0]

    assert [route.model for route in explained.routes] == [route.model for route in decided.routes]
    assert explained.routes[0] == decided.routes[0]
    assert explained.policy_version == decided.policy_version


async def test_two_events_streams_are_the_same(running: Running) -> None:
    """A late watcher sees what an early one saw, in order and without gaps; one that lost its place goes on."""
    running_image = await running.router.create("Two foxes", constraints=task_pb2.Constraints())
    first = [event async for event in running.router.watch(running_image.name)]
    rest = [event async for event in running.router.watch(running_image.name, after_sequence=2)]

    assert [event.sequence for event in first] == list(range(1, len(first) + 1))
    assert rest == first[2:]
    assert [event.WhichOneof("event") for event in first] == [
        "accepted", "decision", "attempt_sent", "attempt_ended", "evaluation", "ended",
    ]  # fmt: skip


async def test_the_books_agree(running: Running) -> None:
    """Invariants 1 and 4: ledger and journals agree to the micro-dollar on everything this suite has made so far."""
    made = []
    token = ""
    while True:
        page = await running.router.list(page_size=100, page_token=token)
        made += [await running.router.get(image.name) for image in page.images]
        token = page.next_page_token
        if not token:
            break
    books = reconcile.compare(made, running.suite.options.data / "journal")

    assert books.journal > 0
    assert books.balanced, "\n".join(books.lines())
