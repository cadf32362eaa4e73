"""What every adapter must do, held against the providers' emulators: real processes, real SDKs, real gRPC."""

from __future__ import annotations

import asyncio
import io
import os
import time
from typing import Any

import pytest
from PIL import Image, ImageDraw

from imagerouter.adapter.registry import PROVIDERS
from imagerouter.api.adapter.v1 import adapter_service_pb2 as pb
from imagerouter.api.common.v1 import task_pb2
from tests.contract.adapter_bench import EACH, MODELS, SMALL, Emulators, adapter_of
from tests.integration.adapter.running_adapter import RunningAdapter, running_adapter
from tests.unit.adapter.adapter_calls import make_request, words_of

COMBINATIONS: list[tuple[str, dict[str, Any]]] = [
    ("gpt-image-2", {"size": "1024x1024", "quality": "low"}),
    ("gpt-image-2", {"size": "1024x1280", "quality": "medium"}),
    ("gpt-image-2", {"size": "1536x864", "quality": "high", "output_format": "jpeg"}),
    ("gpt-image-2", {"size": "1024x1024", "quality": "low", "count": 3}),
    ("gpt-image-2", {"size": "1024x1024", "quality": "low", "previews": 2}),
    ("gpt-image-2", {"size": "1024x1024", "quality": "low", "background": "transparent", "output_format": "webp"}),
    ("gpt-image-2.5-flare", {"size": "1024x1024", "quality": "medium"}),
    ("gpt-image-2.6-sunburst", {"size": "1024x1024", "quality": "low"}),
    ("gpt-image-1.5", {"size": "1024x1536", "quality": "medium"}),
    ("gpt-image-1-mini", {"size": "1024x1024", "quality": "low"}),
    ("gemini-nano-banana-2.1", {"aspect_ratio": "4:5", "image_size": "1K"}),
    ("gemini-nano-banana-2.1", {"aspect_ratio": "16:9", "image_size": "2K"}),
    ("gemini-nano-banana-2.1", {"aspect_ratio": "1:8", "image_size": "1K", "prompt": "東京のデザイン集会のポスター"}),
    ("gemini-3-pro-image", {"aspect_ratio": "1:1", "image_size": "1K"}),
    ("gemini-3-pro-image", {"aspect_ratio": "21:9", "image_size": "1K"}),
    ("gemini-3.1-flash-lite-image", {"aspect_ratio": "1:1"}),
]


@pytest.mark.parametrize(
    ("model", "wish"), COMBINATIONS, ids=[f"{n}-{model}" for n, (model, _) in enumerate(COMBINATIONS)]
)
async def test_cost_is_the_journals_price(emulator_of: Emulators, model: str, wish: dict[str, Any]) -> None:
    """Worked out from usage and the catalogue, each cost is the provider's bill, to the micro-dollar."""
    request = make_request(model, **wish)
    provider = request.route.provider
    async with adapter_of(provider, emulator_of) as adapter:
        outcome = await adapter.outcome(request)
        sizes = [Image.open(io.BytesIO(await adapter.store.get("acme", one.digest))).size for one in outcome.artifacts]

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert outcome.cost_micros == emulator_of[provider].price_of(request.attempt_id)
    assert outcome.cost_micros > 0
    assert not outcome.cost_estimated
    assert len(sizes) == (wish.get("count", 1))
    if size := wish.get("size"):
        assert {f"{width}x{height}" for width, height in sizes} == {size}


def picture(colour: str, size: tuple[int, int] = (256, 256), *, hole: bool = False) -> bytes:
    """A PNG of one colour, with a transparent square in it if `hole`."""
    image = Image.new("RGBA", size, colour)
    if hole:
        ImageDraw.Draw(image).rectangle((64, 64, 192, 192), fill=(0, 0, 0, 0))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


async def edit_request(adapter: RunningAdapter, provider: str, *pictures: bytes) -> pb.GenerateRequest:
    """An edit of the first of the pictures."""
    request = make_request(MODELS[provider], prompt="make it blue", mode=task_pb2.MODE_EDIT, **SMALL[provider])
    for index, data in enumerate(pictures):
        role = task_pb2.REFERENCE_ROLE_SUBJECT if index else task_pb2.REFERENCE_ROLE_BASE
        request.task.references.add(artifact=await adapter.store.put("acme", data), role=role)
    return request


@EACH
@pytest.mark.parametrize("count", [1, 3])
async def test_edits(emulator_of: Emulators, provider: str, count: int) -> None:
    """Edits with one and several references come back changed, at the journal's price, as an edit."""
    pictures = [picture(colour) for colour in ("red", "green", "white")[:count]]
    async with adapter_of(provider, emulator_of) as adapter:
        request = await edit_request(adapter, provider, *pictures)
        outcome = await adapter.outcome(request)
    [line] = emulator_of[provider].lines(request.attempt_id)

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert outcome.artifacts[0].digest != request.task.references[0].artifact.digest
    assert (line["operation"], line["price_micros"]) == ("edit", outcome.cost_micros)
    assert outcome.usage.input_image_tokens > 0


async def test_an_edit_with_a_mask(emulator_of: Emulators) -> None:
    """The mask goes along with the base; the emulator holds it to its rules."""
    async with adapter_of("openai", emulator_of) as adapter:
        request = await edit_request(adapter, "openai", picture("red"))
        request.task.mask.artifact.CopyFrom(await adapter.store.put("acme", picture("black", hole=True)))
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert outcome.cost_micros == emulator_of["openai"].price_of(request.attempt_id)


async def test_a_mask_that_the_provider_refuses(emulator_of: Emulators) -> None:
    """A mask of another size is an invalid request, free of charge."""
    async with adapter_of("openai", emulator_of) as adapter:
        request = await edit_request(adapter, "openai", picture("red"))
        request.task.mask.artifact.CopyFrom(await adapter.store.put("acme", picture("black", (128, 128), hole=True)))
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == ("INVALID_REQUEST", "REJECTED")
    assert emulator_of["openai"].price_of(request.attempt_id) is None


async def test_a_mask_where_there_are_none(emulator_of: Emulators) -> None:
    """A model without masks is not asked to ignore one."""
    async with adapter_of("google", emulator_of) as adapter:
        request = await edit_request(adapter, "google", picture("red"))
        request.task.mask.artifact.CopyFrom(await adapter.store.put("acme", picture("black", hole=True)))
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == ("INVALID_REQUEST", "NOT_SENT")
    assert not await emulator_of["google"].posts(request.attempt_id)


async def test_previews(emulator_of: Emulators) -> None:
    """OpenAI's pictures in the making arrive as artifacts, before the outcome; each is paid for."""
    request = make_request(previews=3, **SMALL["openai"])
    async with adapter_of("openai", emulator_of) as adapter:
        events = await adapter.events(request)
    kinds = [event.WhichOneof("event") for event in events if not event.HasField("heartbeat")]

    assert kinds == ["accepted", "preview", "preview", "preview", "outcome"]
    assert [event.preview.index for event in events if event.HasField("preview")] == [0, 1, 2]
    assert events[-1].outcome.cost_micros == emulator_of["openai"].price_of(request.attempt_id)


async def test_previews_of_an_edit(emulator_of: Emulators) -> None:
    """An edit is streamed by events of its own name."""
    async with adapter_of("openai", emulator_of) as adapter:
        request = await edit_request(adapter, "openai", picture("red"))
        request.previews = 1
        events = await adapter.events(request)

    assert sum(event.HasField("preview") for event in events) == 1
    assert words_of(events[-1].outcome) == ("SUCCEEDED", "CHARGED")
    assert events[-1].outcome.cost_micros == emulator_of["openai"].price_of(request.attempt_id)


async def test_previews_where_there_are_none(emulator_of: Emulators) -> None:
    """Gemini sends none: the picture is made all the same, and the receipt says so."""
    request = make_request(MODELS["google"], previews=2, **SMALL["google"])
    async with adapter_of("google", emulator_of) as adapter:
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert [(note.field, note.requested) for note in outcome.negotiations] == [("previews", "2")]


async def test_a_final_picture_that_is_flagged_as_a_thought(emulator_of: Emulators) -> None:
    """Gemini has marked finished pictures as thoughts: the picture counts."""
    emulator_of["google"].fault(preset="thought_flagged_image")
    async with adapter_of("google", emulator_of) as adapter:
        outcome = await adapter.outcome(make_request(MODELS["google"], **SMALL["google"]))

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")


@EACH
@pytest.mark.parametrize("stage", ["input", "output"])
async def test_refusals(emulator_of: Emulators, provider: str, stage: str) -> None:
    """A prompt that the provider takes offence at is refused, with stage and categories, and costs what is billed."""
    phrase = "[[emulate:moderation]]" if stage == "input" else "[[emulate:moderation-output]]"
    request = make_request(MODELS[provider], prompt=f"a zebra {phrase}", **SMALL[provider])
    async with adapter_of(provider, emulator_of) as adapter:
        outcome = await adapter.outcome(request)

    assert words_of(outcome)[0] == "REFUSED"
    assert outcome.refusal.stage == stage
    assert list(outcome.refusal.categories)
    assert outcome.cost_micros == (emulator_of[provider].price_of(request.attempt_id) or 0)
    assert "zebra" not in str(outcome)


@EACH
async def test_cancelling_reaches_the_provider_within_a_second(emulator_of: Emulators, provider: str) -> None:
    """When the caller hangs up, the provider sees the connection close; nobody asks again."""
    emulator = emulator_of[provider]
    emulator.fault(queue_s=30)
    request = make_request(MODELS[provider], **SMALL[provider])
    async with adapter_of(provider, emulator_of) as adapter:
        call = adapter.stub.Generate(request)
        await call.read()
        async with asyncio.timeout(5):
            while not await emulator.posts(request.attempt_id):
                await asyncio.sleep(0.02)
        call.cancel()
        began = time.monotonic()
        async with asyncio.timeout(5):
            while not (await emulator.posts(request.attempt_id))[0]["disconnected"]:
                await asyncio.sleep(0.02)
        took = time.monotonic() - began

    assert took < 1.0
    assert len(await emulator.posts(request.attempt_id)) == 1


@EACH
async def test_heartbeats(emulator_of: Emulators, provider: str) -> None:
    """While the provider works, the caller hears from the adapter."""
    emulator_of[provider].fault(queue_s=0.6)
    async with adapter_of(provider, emulator_of, heartbeat_s=0.15) as adapter:
        events = await adapter.events(make_request(MODELS[provider], **SMALL[provider]))

    assert sum(event.HasField("heartbeat") for event in events) >= 2
    assert words_of(events[-1].outcome) == ("SUCCEEDED", "CHARGED")


@EACH
async def test_attempts_side_by_side(emulator_of: Emulators, provider: str) -> None:
    """Six attempts at once are six executions with their own ids, and the sum of costs is the journal's."""
    requests = [make_request(MODELS[provider], prompt=f"cat {number}", **SMALL[provider]) for number in range(6)]
    async with adapter_of(provider, emulator_of) as adapter:
        outcomes = await asyncio.gather(*(adapter.outcome(request) for request in requests))
    journal = emulator_of[provider].lines()

    assert {words_of(outcome) for outcome in outcomes} == {("SUCCEEDED", "CHARGED")}
    assert {line["correlation_id"] for line in journal} == {request.attempt_id for request in requests}
    assert sum(outcome.cost_micros for outcome in outcomes) == sum(line["price_micros"] for line in journal)


KEYS = {"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY"}
CHEAPEST: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("gpt-image-1-mini", {"size": "1024x1024", "quality": "low"}),
    "google": ("gemini-3.1-flash-lite-image", {"aspect_ratio": "1:1"}),
}


@pytest.mark.live
@EACH
async def test_the_real_provider(provider: str) -> None:
    """One small picture from the real provider. Costs about a cent; skipped without a key."""
    key = os.environ.get(KEYS[provider])
    if not key:
        pytest.skip(f"{KEYS[provider]} is not set")
    model, wish = CHEAPEST[provider]
    async with running_adapter(provider, PROVIDERS[provider].base_url, key=key, read_timeout_s=None) as adapter:
        outcome = await adapter.outcome(make_request(model, prompt="a red circle on white", **wish))

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert outcome.cost_micros > 0
    assert not outcome.cost_estimated
