"""The OpenAI emulator, driven by OpenAI's own SDK."""

import base64
import json
from io import BytesIO
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image

from imagerouter.emulators.process import EmulatorProcess

MODEL = "gpt-image-2"


def opened(b64: str | None) -> Image.Image:
    """The picture of a reply."""
    image = Image.open(BytesIO(base64.b64decode(b64 or "")))
    image.load()
    return image


def png(image: Image.Image) -> bytes:
    """The picture as PNG."""
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "kind", "name"),
    [("1024x1024", "png", "PNG"), ("1536x864", "jpeg", "JPEG"), ("816x1456", "webp", "WEBP")],
)
async def test_generate_gives_the_size_and_format_asked_for(
    openai_client: AsyncOpenAI, size: str, kind: str, name: str
) -> None:
    """Pixels and format are the request's, and the reply repeats what it resolved."""
    reply = await openai_client.images.generate(
        model=MODEL,
        prompt="a lighthouse",
        size=size,
        output_format=kind,
        quality="low",  # type: ignore[call-overload]
    )

    image = opened(reply.data[0].b64_json)
    assert (f"{image.width}x{image.height}", image.format) == (size, name)
    assert (reply.size, reply.output_format, reply.quality, reply.background) == (size, kind, "low", "opaque")


async def test_usage_and_journal_agree_to_the_micro_dollar(
    openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess
) -> None:
    """What the reply says was used is what the journal priced; n multiplies all of it."""
    reply = await openai_client.images.generate(
        model=MODEL,
        prompt="x" * 40,
        size="1024x1024",
        quality="medium",
        n=2,
        extra_headers={"X-Client-Request-Id": "c-1"},
    )

    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (2 * 16, 2 * 1756)
    (line,) = openai_emulator.executions()
    assert line["price_micros"] == 2 * 16 * 5 + 2 * 1756 * 30
    assert (line["correlation_id"], line["n"], line["size"], line["quality"]) == ("c-1", 2, "1024x1024", "medium")
    on_disk = [json.loads(each) for each in openai_emulator.journal.read_text().splitlines()]
    assert on_disk == [line]


async def test_same_request_same_bytes_and_n_pictures_differ(openai_client: AsyncOpenAI) -> None:
    """Deterministic, and no two pictures of one reply are the same."""
    replies = [
        await openai_client.images.generate(model=MODEL, prompt="a fox", size="1024x640", n=n) for n in (2, 2, 1)
    ]
    first, again, single = ([each.b64_json for each in reply.data or []] for reply in replies)

    assert first == again
    assert len({*first, *single}) == 3 - (single[0] in first)
    assert first[0] != first[1]


async def test_auto_follows_the_prompt_and_the_image(openai_client: AsyncOpenAI, photo: bytes) -> None:
    """size=auto is a tall sheet for a poster, and the input's own size for an edit."""
    poster = await openai_client.images.generate(model=MODEL, prompt="A poster for a jazz night", quality="low")
    edit = await openai_client.images.edit(model=MODEL, image=photo, prompt="make it night", quality="low")

    assert opened(poster.data[0].b64_json).height > opened(poster.data[0].b64_json).width
    assert opened(edit.data[0].b64_json).size == (1024, 1024)


async def test_transparent_background(openai_client: AsyncOpenAI) -> None:
    """The picture has an alpha channel that is used."""
    reply = await openai_client.images.generate(
        model=MODEL, prompt="a fox sticker", background="transparent", size="1024x640", quality="low"
    )

    assert reply.background == "transparent"
    assert np.asarray(opened(reply.data[0].b64_json).getchannel("A")).min() == 0


async def test_edit_with_a_mask_leaves_everything_else_as_it_was(openai_client: AsyncOpenAI, photo: bytes) -> None:
    """Outside the mask not a pixel changes; inside, the edit is seen."""
    mask = Image.new("RGBA", (1024, 1024), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (100, 100, 500, 500))

    reply = await openai_client.images.edit(
        model=MODEL,
        image=("photo.png", photo, "image/png"),
        mask=("mask.png", png(mask), "image/png"),
        prompt="add a red balloon",
        size="1024x1024",
    )

    before = np.asarray(Image.open(BytesIO(photo)).convert("RGB"), dtype=np.int16)
    change = np.abs(np.asarray(opened(reply.data[0].b64_json).convert("RGB"), dtype=np.int16) - before).max(axis=2)
    assert (change[100:500, 100:500] > 24).mean() > 0.02
    change[100:500, 100:500] = 0
    assert change.max() == 0


async def test_edit_takes_several_images_and_bills_each(openai_client: AsyncOpenAI, photo: bytes) -> None:
    """`image[]` repeated: every reference is input tokens."""
    one = await openai_client.images.edit(model=MODEL, image=[photo], prompt="combine", quality="low")
    two = await openai_client.images.edit(model=MODEL, image=[photo, photo], prompt="combine", quality="low")

    assert one.usage is not None
    assert two.usage is not None
    assert one.usage.input_tokens_details.image_tokens == 1024
    assert two.usage.input_tokens_details.image_tokens == 2048


async def test_json_edit_with_a_data_url_is_the_same_edit(openai_client: AsyncOpenAI, photo: bytes) -> None:
    """The JSON form gives the very bytes of the multipart form."""
    from openai.types import ImagesResponse

    url = "data:image/png;base64," + base64.b64encode(photo).decode()
    body = {"model": MODEL, "prompt": "make it snow", "quality": "low", "images": [{"image_url": url}]}
    by_json = await openai_client.post("/images/edits", body=body, cast_to=ImagesResponse)
    by_form = await openai_client.images.edit(model=MODEL, prompt="make it snow", quality="low", image=photo)

    assert by_json.data[0].b64_json == by_form.data[0].b64_json


@pytest.mark.parametrize("operation", ["generate", "edit"])
async def test_stream_sends_pictures_in_the_making_and_bills_them(
    openai_client: AsyncOpenAI, photo: bytes, operation: str
) -> None:
    """Two partial images, then the completed one with usage: 100 output tokens more each."""
    common: dict[str, Any] = {
        "model": MODEL,
        "prompt": "a fox",
        "quality": "low",
        "size": "1024x1024",
        "stream": True,
        "partial_images": 2,
    }
    if operation == "edit":
        stream = await openai_client.images.edit(image=photo, **common)
    else:
        stream = await openai_client.images.generate(**common)

    events = [event async for event in stream]

    kind = "image_edit" if operation == "edit" else "image_generation"
    assert [event.type for event in events] == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert events[-1].usage.output_tokens == 196 + 200
    final, *partial = (np.asarray(opened(event.b64_json).convert("L"), dtype=np.int16) for event in reversed(events))
    near, far = (np.abs(each - final).mean() for each in partial)
    assert 0 < near < far


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": ""}, "prompt", "missing_required_parameter"),
        ({"prompt": "x" * 32_001}, "prompt", "string_above_max_length"),
        ({"prompt": 7}, "prompt", "invalid_type"),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 11}, "n", "integer_above_max_value"),
        ({"n": "2"}, "n", "invalid_type"),
        ({"size": "1792x936"}, "size", "invalid_value"),
        ({"size": "3856x1024"}, "size", "invalid_value"),
        ({"size": "3200x1024"}, "size", "invalid_value"),
        ({"size": "512x512"}, "size", "invalid_value"),
        ({"size": "3840x3840"}, "size", "invalid_value"),
        ({"size": "large"}, "size", "invalid_value"),
        ({"model": "gpt-image-1.5", "size": "1536x864"}, "size", "invalid_value"),
        ({"quality": "ultra"}, "quality", "invalid_value"),
        ({"quality": "xhigh"}, "quality", "invalid_value"),
        ({"background": "green"}, "background", "invalid_value"),
        ({"background": "transparent", "output_format": "jpeg"}, "background", "unsupported_value"),
        ({"output_format": "gif"}, "output_format", "invalid_value"),
        ({"model": "gpt-image-2.6-flare", "output_format": "gif"}, "output_format", "unsupported_value"),
        ({"output_compression": 50}, "output_compression", "invalid_png_output_compression"),
        ({"output_compression": 101, "output_format": "jpeg"}, "output_compression", "integer_above_max_value"),
        ({"moderation": "off"}, "moderation", "invalid_value"),
        ({"partial_images": 4, "stream": True}, "partial_images", "integer_above_max_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"response_format": "b64_json"}, "response_format", "unknown_parameter"),
        ({"style": "vivid"}, "style", "unknown_parameter"),
        ({"seed": 1}, "seed", "unknown_parameter"),
        ({"complexity": "low"}, "complexity", "unknown_parameter"),
    ],
)
async def test_bad_values_are_refused_with_their_code(
    openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess, body: dict[str, Any], param: str, code: str
) -> None:
    """A 400 of the SDK's BadRequestError naming the parameter, and nothing is billed."""
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.post(
            "/images/generations", body={"model": MODEL, "prompt": "a fox", **body}, cast_to=object
        )

    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.request_id is not None
    assert openai_emulator.executions() == []


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({"model": "gpt-image-2", "size": "1024x640", "quality": "low"}, "1024x640"),
        ({"model": "gpt-image-2-2026-04-21", "size": "640x1024", "quality": "low"}, "640x1024"),
        ({"model": "gpt-image-2.5-flare", "size": "1392x480", "quality": "max"}, "1392x480"),
        ({"model": "gpt-image-2.6-sunburst", "size": "1024x1024", "complexity": "low"}, "1024x1024"),
        ({"model": "gpt-image-1.5", "size": "1024x1536", "quality": "low"}, "1024x1536"),
        ({"model": "gpt-image-1-mini", "quality": "low", "moderation": "low", "user": "u"}, "1024x1024"),
    ],
)
async def test_edges_of_what_is_allowed_pass(openai_client: AsyncOpenAI, body: dict[str, Any], size: str) -> None:
    """The least pixels, the widest ratio, every model's own qualities."""
    reply = await openai_client.post("/images/generations", body={"prompt": "a fox", **body}, cast_to=dict[str, Any])

    assert reply["size"] == size


def masks() -> list[tuple[str, bytes, str]]:
    """Masks that are wrong, each in its own way."""
    clear = Image.new("RGBA", (512, 512))
    jpeg = BytesIO()
    Image.new("RGB", (1024, 1024)).save(jpeg, "JPEG")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (1024, 1024, 4), dtype=np.uint8), "RGBA")
    return [
        ("size", png(clear), "invalid_mask_image_format"),
        ("alpha", png(Image.new("RGB", (1024, 1024))), "invalid_mask_image_format"),
        ("jpeg", jpeg.getvalue(), "invalid_mask_image_format"),
        ("large", png(noise), "file_too_large"),
    ]


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
async def test_bad_files_are_refused_with_their_code(openai_client: AsyncOpenAI, photo: bytes) -> None:
    """Masks of the wrong size, kind or weight; references that are none, or too many."""
    tiny = png(Image.new("RGB", (64, 64)))
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"image": photo, "mask": ("m.png", mask, "image/png")}, "mask", code) for _name, mask, code in masks()
    ]
    cases += [
        ({"image": b"not a picture"}, "image", "invalid_image_file"),
        ({"image": [tiny] * 17}, "image", "array_above_max_length"),
        ({"image": photo, "extra_body": {"input_fidelity": "high"}}, "input_fidelity", "unsupported_value"),
        (
            {"image": photo, "markup": ("m.png", png(Image.new("RGBA", (1024, 1024))), "image/png")},
            "markup",
            "unknown_parameter",
        ),
    ]
    for arguments, param, code in cases:
        with pytest.raises(openai.BadRequestError) as caught:
            await openai_client.images.edit(model=MODEL, prompt="add a hat", **arguments)

        assert (caught.value.param, caught.value.code) == (param, code)


async def test_markup_excludes_mask_and_needs_a_model_that_knows_it(openai_client: AsyncOpenAI, photo: bytes) -> None:
    """2.5 takes a markup, but not together with a mask."""
    overlay = ("m.png", png(Image.new("RGBA", (1024, 1024), (255, 0, 0, 90))), "image/png")

    reply = await openai_client.images.edit(
        model="gpt-image-2.5-flare", image=photo, markup=overlay, prompt="night", quality="low"
    )
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.images.edit(
            model="gpt-image-2.5-flare", image=photo, markup=overlay, mask=overlay, prompt="night"
        )

    assert reply.data is not None
    assert caught.value.code == "mutually_exclusive"


@pytest.mark.parametrize("model", ["gpt-image-1", "dall-e-3", "no-such-model"])
async def test_models_that_are_gone_are_not_found(openai_client: AsyncOpenAI, model: str) -> None:
    """A retired model and a misspelt one are the same 404."""
    with pytest.raises(openai.NotFoundError) as caught:
        await openai_client.images.generate(model=model, prompt="a fox")

    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(("key", "code"), [("sk-invalid-1", "invalid_api_key"), ("pk-1", "invalid_api_key")])
async def test_bad_keys_are_refused(openai_client: AsyncOpenAI, key: str, code: str) -> None:
    """401 for a wrong key, which is not repeated."""
    with pytest.raises(openai.AuthenticationError) as caught:
        await openai_client.with_options(api_key=key).images.generate(model=MODEL, prompt="a fox")

    assert caught.value.code == code
    assert key not in str(caught.value)


async def test_models_are_listed_and_described(openai_client: AsyncOpenAI) -> None:
    """Every offered model with its snapshots; none that is gone."""
    names = {model.id async for model in openai_client.models.list()}

    assert {"gpt-image-2", "gpt-image-2-2026-04-21", "gpt-image-2.6-flare"} <= names
    assert "gpt-image-1" not in names
    assert (await openai_client.models.retrieve("gpt-image-2")).id == "gpt-image-2"


async def test_headers_are_those_of_the_service(openai_client: AsyncOpenAI) -> None:
    """Request id, processing time, rate limits."""
    raw = await openai_client.images.with_raw_response.generate(
        model=MODEL, prompt="a fox", quality="low", size="1024x640"
    )

    assert raw.headers["x-request-id"].startswith("req_")
    assert int(raw.headers["openai-processing-ms"]) >= 0
    for kind in ("requests", "tokens", "input-images"):
        assert int(raw.headers[f"x-ratelimit-remaining-{kind}"]) <= int(raw.headers[f"x-ratelimit-limit-{kind}"])


@pytest.mark.parametrize(
    ("stage", "phrase"), [("input", "[[emulate:moderation]]"), ("output", "[[emulate:moderation-output]]")]
)
async def test_trigger_phrases_are_refused_by_moderation(
    openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess, stage: str, phrase: str
) -> None:
    """moderation_blocked with its stage and categories, free of charge."""
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.images.generate(model=MODEL, prompt=f"a fox {phrase}")

    assert caught.value.code == "moderation_blocked"
    assert caught.value.body["moderation_details"]["moderation_stage"] == stage  # type: ignore[index]
    assert openai_emulator.executions() == []
