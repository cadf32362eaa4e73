"""What every adapter must do, held against the providers' emulators: real processes, real SDKs, real gRPC."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from PIL import Image, ImageDraw

from imagerouter.adapter.registry import PROVIDERS
from imagerouter.api.adapter.v1 import adapter_service_pb2 as pb
from imagerouter.api.common.v1 import task_pb2
from tests.contract.emulator_process import Emulator
from tests.integration.adapter.running_adapter import RunningAdapter, running_adapter
from tests.unit.adapter.adapter_calls import UPPER, make_request, words_of

Emulators = dict[str, Emulator]

MODELS = {"openai": "gpt-image-2", "google": "gemini-nano-banana-2.1"}
SMALL: dict[str, dict[str, Any]] = {
    "openai": {"size": "1024x1024", "quality": "low"},
    "google": {"aspect_ratio": "1:1", "image_size": "1K"},
}
EACH = pytest.mark.parametrize("provider", list(MODELS))

# kind, phase, and whether the emulator counts it as executed and billed
FAULTS: dict[str, dict[str, tuple[str, str]]] = {
    "drop_before_execution": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "reset_before_execution": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "drop_before_headers": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "reset_before_headers": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "drop_mid_body": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "reset_mid_body": dict.fromkeys(MODELS, ("CONNECTION_FAILED", "SENT_UNKNOWN")),
    "slow_headers": dict.fromkeys(MODELS, ("TIMEOUT", "SENT_UNKNOWN")),
    "slow_queue": dict.fromkeys(MODELS, ("TIMEOUT", "SENT_UNKNOWN")),
    "broken_json": dict.fromkeys(MODELS, ("MALFORMED_REPLY", "CHARGED")),
    "empty_body": dict.fromkeys(MODELS, ("MALFORMED_REPLY", "CHARGED")),
    "not_an_image": dict.fromkeys(MODELS, ("MALFORMED_REPLY", "CHARGED")),
    "http_502_html": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "SENT_UNKNOWN")),
    "http_503_html": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "SENT_UNKNOWN")),
    "http_504_html": dict.fromkeys(MODELS, ("TIMEOUT", "SENT_UNKNOWN")),
    "rate_limited": dict.fromkeys(MODELS, ("RATE_LIMITED", "REJECTED")),
    "rate_limited_bare": dict.fromkeys(MODELS, ("RATE_LIMITED", "REJECTED")),
    "insufficient_quota": dict.fromkeys(MODELS, ("QUOTA_EXHAUSTED", "REJECTED")),
    "invalid_request": dict.fromkeys(MODELS, ("INVALID_REQUEST", "REJECTED")),
    "unauthorized": dict.fromkeys(MODELS, ("UNAUTHORIZED", "REJECTED")),
    "model_not_found": dict.fromkeys(MODELS, ("MODEL_UNAVAILABLE", "REJECTED")),
    "http_500": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "REJECTED")),
    "http_503": dict.fromkeys(MODELS, ("PROVIDER_ERROR", "REJECTED")),
    "billing_hard_limit": {"openai": ("QUOTA_EXHAUSTED", "REJECTED")},
    "moderation_input": {"openai": ("REFUSED", "REJECTED")},
    "moderation_output": {"openai": ("REFUSED", "REJECTED")},
    "content_policy": {"openai": ("REFUSED", "REJECTED")},
    "unverified": {"openai": ("UNAUTHORIZED", "REJECTED")},
    "http_408": {"openai": ("TIMEOUT", "SENT_UNKNOWN")},
    "http_409": {"openai": ("PROVIDER_ERROR", "SENT_UNKNOWN")},
    "generation_failed": {"openai": ("PROVIDER_ERROR", "REJECTED")},
    "data_null": {"openai": ("NO_OUTPUT", "CHARGED")},
    "quota_per_day": {"google": ("QUOTA_EXHAUSTED", "REJECTED")},
    "failed_precondition": {"google": ("UNAUTHORIZED", "REJECTED")},
    "api_key_invalid": {"google": ("UNAUTHORIZED", "REJECTED")},
    "forbidden": {"google": ("UNAUTHORIZED", "REJECTED")},
    "http_499": {"google": ("PROVIDER_ERROR", "SENT_UNKNOWN")},
    "http_504": {"google": ("TIMEOUT", "SENT_UNKNOWN")},
    "text_only": {"google": ("NO_OUTPUT", "CHARGED")},
    "no_image": {"google": ("NO_OUTPUT", "CHARGED")},
    "no_parts": {"google": ("NO_OUTPUT", "CHARGED")},
    "blocked_safety": {"google": ("REFUSED", "CHARGED")},
    "blocked_other": {"google": ("REFUSED", "CHARGED")},
    "blocked_prohibited": {"google": ("REFUSED", "CHARGED")},
    "blocked_image_safety": {"google": ("REFUSED", "CHARGED")},
    "finish_image_safety": {"google": ("REFUSED", "CHARGED")},
    "finish_image_prohibited": {"google": ("REFUSED", "CHARGED")},
    "finish_recitation": {"google": ("REFUSED", "CHARGED")},
    "finish_image_other": {"google": ("PROVIDER_ERROR", "CHARGED")},
    "finish_malformed": {"google": ("PROVIDER_ERROR", "CHARGED")},
    "finish_max_tokens": {"google": ("INVALID_REQUEST", "CHARGED")},
    "finish_continuation": {"google": ("NO_OUTPUT", "CHARGED")},
}
UNREADABLE = {"broken_json", "empty_body"}


@asynccontextmanager
async def adapter_of(provider: str, emulators: Emulators, **options: Any) -> AsyncIterator[RunningAdapter]:
    """An adapter in front of the provider's emulator."""
    async with running_adapter(provider, emulators[provider].url, **options) as adapter:
        yield adapter


@pytest.mark.parametrize(
    ("fault", "provider"), [(fault, provider) for fault, expected in FAULTS.items() for provider in expected]
)
async def test_a_fault_is_one_post_and_its_documented_outcome(
    emulator_of: Emulators, fault: str, provider: str
) -> None:
    """One request at the provider for each failure; kind and phase as documented; the bill agrees with the journal."""
    emulator = emulator_of[provider]
    emulator.fault(preset=fault)
    request = make_request(MODELS[provider], **SMALL[provider])
    timeout_s = 0.5 if fault.startswith("slow") else 20.0
    async with adapter_of(provider, emulator_of, read_timeout_s=timeout_s) as adapter:
        outcome = await adapter.outcome(request)
    posts = await emulator.posts(request.attempt_id)
    billed = emulator.price_of(request.attempt_id)

    assert words_of(outcome) == FAULTS[fault][provider]
    assert len(posts) == 1
    if words_of(outcome)[1] in ("REJECTED", "NOT_SENT"):
        assert (outcome.cost_micros, billed) == (0, None)
    elif fault in UNREADABLE:
        assert (outcome.cost_micros, outcome.cost_estimated) == (UPPER, True)
        assert billed is not None
    elif words_of(outcome)[1] == "CHARGED":
        assert (outcome.cost_micros, outcome.cost_estimated) == (billed, False)


@EACH
def test_a_dozen_kinds_of_failure_are_covered(provider: str) -> None:
    """The table above has at least twelve different failures for each provider."""
    assert len([fault for fault, expected in FAULTS.items() if provider in expected]) >= 12


@EACH
async def test_every_fault_of_the_emulator_is_covered(emulator_of: Emulators, provider: str) -> None:
    """A fault that is added to an emulator needs a documented outcome here."""
    elsewhere = {"blank_image", "wrong_size", "truncated_image", "thought_flagged_image", "stream_error"}
    streamed = {name for name in emulator_of[provider].presets() if name.startswith("sse_")}
    covered = {fault for fault, expected in FAULTS.items() if provider in expected}

    assert set(emulator_of[provider].presets()) - covered - streamed - elsewhere == set()


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


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("sse_error_nested", ("PROVIDER_ERROR", "REJECTED")),
        ("sse_error_flat", ("PROVIDER_ERROR", "REJECTED")),
        ("sse_no_completed", ("MALFORMED_REPLY", "SENT_UNKNOWN")),
        ("sse_slow_events", ("TIMEOUT", "SENT_UNKNOWN")),
        ("drop_mid_body", ("CONNECTION_FAILED", "SENT_UNKNOWN")),
        ("rate_limited", ("RATE_LIMITED", "REJECTED")),
    ],
)
async def test_a_stream_that_fails(emulator_of: Emulators, fault: str, expected: tuple[str, str]) -> None:
    """A stream without its last event is no success, whichever way it ends; one request each."""
    emulator_of["openai"].fault(preset=fault)
    request = make_request(previews=2, **SMALL["openai"])
    timeout_s = 1.5 if expected[0] == "TIMEOUT" else 20.0
    async with adapter_of("openai", emulator_of, read_timeout_s=timeout_s) as adapter:
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == expected
    assert len(await emulator_of["openai"].posts(request.attempt_id)) == 1


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
@pytest.mark.parametrize("fault", ["rate_limited"])
async def test_a_wait_is_handed_on(emulator_of: Emulators, provider: str, fault: str) -> None:
    """What the provider asks us to wait is in the outcome."""
    emulator_of[provider].fault(preset=fault)
    async with adapter_of(provider, emulator_of) as adapter:
        outcome = await adapter.outcome(make_request(MODELS[provider], **SMALL[provider]))

    assert 12 <= outcome.retry_after.ToTimedelta().total_seconds() <= 12.5


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
