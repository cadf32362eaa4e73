"""The Gemini emulator, driven by Google's own SDK and by raw HTTP."""

import base64
import json
import urllib.error
import urllib.request
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from google.genai import errors, types
from google.genai.client import AsyncClient
from PIL import Image

from imagerouter.emulators.process import EmulatorProcess

MODEL = "gemini-3-pro-image"


def config(ratio: str | None = "1:1", size: str | None = "1K", **more: Any) -> types.GenerateContentConfig:
    """An image-only request."""
    image = types.ImageConfig(aspect_ratio=ratio, image_size=size)
    return types.GenerateContentConfig(response_modalities=["IMAGE"], image_config=image, **more)


def opened(part: types.Part) -> Image.Image:
    """The picture of a part."""
    assert part.inline_data is not None
    image = Image.open(BytesIO(part.inline_data.data or b""))
    image.load()
    return image


def parts(reply: types.GenerateContentResponse) -> list[types.Part]:
    """The first candidate's parts."""
    assert reply.candidates
    assert reply.candidates[0].content is not None
    return reply.candidates[0].content.parts or []


def post(
    emulator: EmulatorProcess,
    body: Any,
    model: str = MODEL,
    verb: str = "generateContent",
    key: str = "k",
    path: str = "v1beta",
) -> tuple[int, Any]:
    """A raw request: HTTP status and JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-goog-api-key": key, "content-type": "application/json"} if key else {}
    request = urllib.request.Request(f"{emulator.url}/{path}/models/{model}:{verb}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def text(prompt: str = "a fox", **generation: Any) -> dict[str, Any]:
    """A raw request's body."""
    return {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "generationConfig": generation}


@pytest.mark.parametrize(
    ("model", "ratio", "size", "pixels"),
    [
        (MODEL, "1:1", "1K", (1024, 1024)),
        (MODEL, "16:9", None, (1376, 768)),
        (MODEL, "4:5", "2K", (1856, 2304)),
        ("gemini-nano-banana-2.1", "4:1", "1K", (2048, 512)),
        ("gemini-3.1-flash-lite-image", "21:9", None, (1584, 672)),
        ("gemini-2.5-flash-image", "3:2", None, (1248, 832)),
    ],
)
async def test_ratio_and_size_give_the_tables_pixels(
    gemini_client: AsyncClient, model: str, ratio: str, size: str | None, pixels: tuple[int, int]
) -> None:
    """The provider's pixel table, inverses included; without a size, 1K."""
    reply = await gemini_client.models.generate_content(model=model, contents="a fox", config=config(ratio, size))

    assert opened(parts(reply)[-1]).size == pixels
    assert reply.model_version == model


async def test_usage_and_journal_agree_to_the_micro_dollar(
    gemini_client: AsyncClient, gemini_emulator: EmulatorProcess
) -> None:
    """Image tokens by the table, thoughts outside the candidates, all of it in the journal's price."""
    reply = await gemini_client.models.generate_content(model=MODEL, contents="x" * 40, config=config("1:1", "2K"))

    usage = reply.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.candidates_token_count) == (10, 1120)
    thoughts = usage.thoughts_token_count or 0
    assert usage.total_token_count == 10 + 1120 + thoughts
    assert {each.modality: each.token_count for each in usage.candidates_tokens_details or []} == {"IMAGE": 1120}
    (line,) = gemini_emulator.executions()
    assert line["price_micros"] == 10 * 2 + 1120 * 120 + thoughts * 12
    assert reply.response_id


async def test_thoughts_come_when_asked_for_and_the_picture_comes_last(gemini_client: AsyncClient) -> None:
    """A thought, an interim picture, then the one that counts, with its signature."""
    thinking = types.ThinkingConfig(include_thoughts=True)
    reply = await gemini_client.models.generate_content(
        model=MODEL, contents="a fox", config=config(thinking_config=thinking)
    )

    found = parts(reply)
    assert [bool(part.thought) for part in found] == [True, True, False]
    assert opened(found[1]).size == opened(found[2]).size
    assert found[2].thought_signature


async def test_chat_edits_its_own_picture_turn_by_turn(gemini_client: AsyncClient) -> None:
    """The SDK sends signatures back; each turn changes the last picture and keeps most of it."""
    chat = gemini_client.chats.create(model=MODEL, config=config())
    first = opened(parts(await chat.send_message("a fox in a meadow"))[-1])
    reply = await chat.send_message("add a red balloon to the left")
    second = opened(parts(reply)[-1])

    change = np.abs(np.asarray(second.convert("RGB"), np.int16) - np.asarray(first.convert("RGB"), np.int16)).max(
        axis=2
    )
    assert 0.005 < (change > 24).mean() < 0.3
    details = {each.modality: each.token_count for each in reply.usage_metadata.prompt_tokens_details or []}  # type: ignore[union-attr]
    assert details["IMAGE"] == 560


async def test_picture_without_its_signature_is_refused(gemini_emulator: EmulatorProcess) -> None:
    """The real service's words, positions counted from one; the first generation knows no signatures."""
    _status, reply = post(gemini_emulator, text())
    part = reply["candidates"][0]["content"]["parts"][-1]
    history = [
        *text()["contents"],
        {"role": "model", "parts": [{"text": "Here"}, part]},
        *text("add a hat")["contents"],
    ]

    kept = post(gemini_emulator, {"contents": history})
    part.pop("thoughtSignature")
    lost = post(gemini_emulator, {"contents": history})
    old = post(gemini_emulator, {"contents": history}, model="gemini-2.5-flash-image")

    assert (kept[0], old[0]) == (200, 200)
    assert lost[0] == 400
    assert lost[1]["error"]["status"] == "INVALID_ARGUMENT"
    assert (
        lost[1]["error"]["message"]
        == "Image part is missing a thought_signature in content position 2, part position 2."
    )


async def test_both_base64_alphabets_and_both_spellings_are_read(
    gemini_emulator: EmulatorProcess, photo: bytes
) -> None:
    """URL-safe and standard, padded or not, snake and camel: one request, one answer."""
    answers = []
    for encode, key, mime in (
        (base64.b64encode, "inline_data", "mime_type"),
        (base64.urlsafe_b64encode, "inlineData", "mimeType"),
    ):
        data = encode(photo).decode().rstrip("=" if key == "inlineData" else "")
        body = {"contents": [{"parts": [{"text": "make it night"}, {key: {mime: "image/png", "data": data}}]}]}
        status, reply = post(gemini_emulator, body)
        assert status == 200
        answers.append(reply["candidates"])

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "path", ["v1", "v1beta", "v1beta1/publishers/google", "v1beta1/projects/p/locations/global/publishers/google"]
)
async def test_every_path_of_the_service_is_served(gemini_emulator: EmulatorProcess, path: str) -> None:
    """The Developer API's versions, and Vertex's longer paths."""
    assert post(gemini_emulator, text(), path=path)[0] == 200


async def test_stream_gives_the_picture_whole_in_the_last_chunk(gemini_client: AsyncClient) -> None:
    """Words first; the last chunk has the picture, the reason and the usage."""
    stream = await gemini_client.models.generate_content_stream(
        model=MODEL, contents="a fox", config=types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])
    )
    chunks = [chunk async for chunk in stream]

    assert [bool(part.inline_data) for chunk in chunks for part in parts(chunk)] == [False, True]
    assert chunks[0].usage_metadata is None
    assert chunks[-1].candidates
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "contents is not specified"),
        (b"{nope", "Invalid JSON payload"),
        ({**text(), "frob": 1}, 'Unknown name "frob"'),
        (text(imageConfig={"aspectRatio": "7:3"}), "aspect_ratio must be one of"),
        (text(imageConfig={"aspectRatio": "1:8"}), "aspect_ratio must be one of"),
        (text(imageConfig={"imageSize": "512"}), "image_size must be one of"),
        (text(imageConfig={"imageSize": "1k"}), "image_size must be one of"),
        (text(image_config={"output_mime_type": "image/png"}), 'Unknown name "output_mime_type"'),
        (text(candidateCount=2), "Multiple candidates"),
        (text(temperature=2.5), "temperature must be in the range"),
        (text(responseModalities=["PICTURE"]), "Invalid value at"),
        (text(thinkingConfig={"thinkingLevel": "HIGH"}), "Thinking level HIGH is not supported"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}, "valid role"),
        ({"contents": [{"role": "user", "parts": []}]}, "parts must not be empty"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "must have one initialized field"),
        ({"contents": [*text()["contents"], {"role": "model", "parts": [{"text": "a"}]}]}, "end with a user turn"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "***"}}]}]},
            "Base64 decoding failed",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]},
            "Unable to process input image",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/gif", "data": "AAAA"}}]}]},
            "Unsupported MIME type",
        ),
    ],
)
async def test_bad_requests_are_refused_in_the_services_words(
    gemini_emulator: EmulatorProcess, body: Any, message: str
) -> None:
    """400 INVALID_ARGUMENT that says why; nothing is billed."""
    status, reply = post(gemini_emulator, body)

    assert (status, reply["error"]["code"], reply["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert message in reply["error"]["message"]
    assert gemini_emulator.executions() == []


async def test_too_many_references_are_refused(gemini_emulator: EmulatorProcess, photo: bytes) -> None:
    """Fourteen, or three for the first generation."""
    small = BytesIO()
    Image.new("RGB", (64, 64), (200, 40, 40)).save(small, "PNG")
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(small.getvalue()).decode()}}

    def asked(count: int, model: str) -> int:
        return post(gemini_emulator, {"contents": [{"parts": [{"text": "combine"}, *[part] * count]}]}, model)[0]

    assert [asked(14, MODEL), asked(15, MODEL)] == [200, 400]
    assert [asked(3, "gemini-2.5-flash-image"), asked(4, "gemini-2.5-flash-image")] == [200, 400]


@pytest.mark.parametrize(("key", "status"), [("", 403), ("invalid-1", 401)])
async def test_keys_are_asked_for(gemini_emulator: EmulatorProcess, key: str, status: int) -> None:
    """Without a key 403, with a wrong one 401."""
    got, reply = post(gemini_emulator, text(), key=key)

    assert (got, reply["error"]["code"]) == (status, status)


@pytest.mark.parametrize("model", ["gemini-3.1-flash-image", "gemini-3-pro-image-preview", "no-such-model"])
async def test_models_that_are_off_are_not_found(gemini_client: AsyncClient, model: str) -> None:
    """Shut down, preview and misspelt: 404 NOT_FOUND."""
    with pytest.raises(errors.ClientError) as caught:
        await gemini_client.models.generate_content(model=model, contents="a fox", config=config())

    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


async def test_models_are_listed_and_described(gemini_client: AsyncClient) -> None:
    """The offered ones, and each by its name."""
    names = [model.name async for model in await gemini_client.models.list()]

    assert "models/gemini-3-pro-image" in names
    assert "models/gemini-3.1-flash-image" not in names
    assert (await gemini_client.models.get(model=MODEL)).name == f"models/{MODEL}"


@pytest.mark.parametrize(
    ("preset", "code", "status"),
    [
        ("rate_limited", 429, "RESOURCE_EXHAUSTED"),
        ("rate_limited_bare", 429, "RESOURCE_EXHAUSTED"),
        ("insufficient_quota", 429, "RESOURCE_EXHAUSTED"),
        ("unauthorized", 401, "UNAUTHENTICATED"),
        ("forbidden", 403, "PERMISSION_DENIED"),
        ("model_not_found", 404, "NOT_FOUND"),
        ("failed_precondition", 400, "FAILED_PRECONDITION"),
        ("http_499", 499, "CANCELLED"),
        ("http_500", 500, "INTERNAL"),
        ("http_503", 503, "UNAVAILABLE"),
        ("http_504", 504, "DEADLINE_EXCEEDED"),
        ("http_503_html", 503, "Service Unavailable"),
    ],
)
async def test_refusals_are_the_sdk_errors_they_stand_for(
    gemini_client: AsyncClient, gemini_emulator: EmulatorProcess, preset: str, code: int, status: str
) -> None:
    """One POST, the code and status, free of charge; RetryInfo only where the preset has it."""
    gemini_emulator.fault(preset)

    with pytest.raises(errors.APIError) as caught:
        await gemini_client.models.generate_content(model=MODEL, contents="a fox", config=config())

    assert (caught.value.code, caught.value.status) == (code, status)
    assert ("retryDelay" in str(caught.value.details)) == (preset == "rate_limited")
    assert len(gemini_emulator.requests()) == 1
    assert gemini_emulator.executions() == []


@pytest.mark.parametrize(
    ("order", "block", "finish", "has_parts"),
    [
        ({"preset": "blocked_safety"}, "SAFETY", None, False),
        ({"block_reason": "JAILBREAK"}, "JAILBREAK", None, False),
        ({"preset": "finish_image_safety"}, None, "IMAGE_SAFETY", False),
        ({"finish_reason": "IMAGE_RECITATION"}, None, "IMAGE_RECITATION", False),
        ({"finish_reason": "PUP_LIMITED_DISABLED"}, None, "PUP_LIMITED_DISABLED", False),
        ({"preset": "no_image"}, None, "NO_IMAGE", True),
        ({"preset": "text_only"}, None, "STOP", True),
        ({"preset": "no_parts"}, None, "STOP", False),
    ],
)
async def test_answers_without_a_picture_bill_what_their_usage_says(
    gemini_client: AsyncClient,
    gemini_emulator: EmulatorProcess,
    order: dict[str, str],
    block: str | None,
    finish: str | None,
    has_parts: bool,
) -> None:
    """A proper 200; usage has no image tokens, a blocked prompt only its own, and the journal has the same."""
    gemini_emulator.fault(**order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        reply = await gemini_client.models.generate_content(model=MODEL, contents="a fox", config=config())

    assert (reply.prompt_feedback.block_reason if reply.prompt_feedback else None) == block
    assert (reply.candidates[0].finish_reason if reply.candidates else None) == finish
    assert bool(reply.candidates and parts(reply)) == has_parts
    (line,) = gemini_emulator.executions()
    usage = reply.usage_metadata
    assert usage is not None
    words = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    assert line["usage"]["output_image"] == 0
    assert line["usage"]["output_text"] == words
    assert (words == 0) == (block is not None)


@pytest.mark.parametrize(
    ("phrase", "block", "finish"),
    [("[[emulate:moderation]]", "PROHIBITED_CONTENT", None), ("[[emulate:moderation-output]]", None, "IMAGE_SAFETY")],
)
async def test_trigger_phrases_are_refused(
    gemini_client: AsyncClient, phrase: str, block: str | None, finish: str | None
) -> None:
    """The same phrases as OpenAI's, in Gemini's ways."""
    reply = await gemini_client.models.generate_content(model=MODEL, contents=f"a fox {phrase}", config=config())

    assert (reply.prompt_feedback.block_reason if reply.prompt_feedback else None) == block
    assert (reply.candidates[0].finish_reason if reply.candidates else None) == finish


@pytest.mark.parametrize(
    ("preset", "billed"), [("drop_before_headers", 1), ("reset_mid_body", 1), ("drop_before_execution", 0)]
)
async def test_broken_connections_are_one_post(
    gemini_client: AsyncClient, gemini_emulator: EmulatorProcess, preset: str, billed: int
) -> None:
    """The SDK sees a transport error, once; it is billed if the work was done."""
    gemini_emulator.fault(preset)

    with pytest.raises(Exception) as caught:  # noqa: PT011 - the transport's own class, which is not the SDK's
        await gemini_client.models.generate_content(model=MODEL, contents="a fox", config=config())

    assert not isinstance(caught.value, errors.APIError)
    assert len(gemini_emulator.requests()) == 1
    assert len(gemini_emulator.executions()) == billed


async def test_stream_error_reaches_the_client_as_its_code(
    gemini_client: AsyncClient, gemini_emulator: EmulatorProcess
) -> None:
    """An error in the middle of a stream is raised, and free: the provider itself failed."""
    gemini_emulator.fault("stream_error")
    both = types.GenerateContentConfig(response_modalities=["TEXT", "IMAGE"])
    stream = await gemini_client.models.generate_content_stream(model=MODEL, contents="a fox", config=both)

    with pytest.raises(errors.ServerError) as caught:
        _ = [chunk async for chunk in stream]

    assert caught.value.code == 503
    assert gemini_emulator.executions() == []


async def test_thought_flag_on_the_final_picture(gemini_client: AsyncClient, gemini_emulator: EmulatorProcess) -> None:
    """The one reported oddity: the last picture is the answer, flagged as a thought or not."""
    gemini_emulator.fault("thought_flagged_image")

    reply = await gemini_client.models.generate_content(model=MODEL, contents="a fox", config=config())

    assert parts(reply)[-1].thought
    assert opened(parts(reply)[-1]).size == (1024, 1024)
