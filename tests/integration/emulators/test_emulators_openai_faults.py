"""Faults on order at the OpenAI emulator, as OpenAI's SDK meets them."""

import asyncio
import json

import openai
import pytest
from openai import AsyncOpenAI

from imagerouter.emulators.process import EmulatorProcess

MODEL = "gpt-image-2"


async def generate(client: AsyncOpenAI, prompt: str = "a fox") -> object:
    """A small picture."""
    return await client.images.generate(model=MODEL, prompt=prompt, size="1024x640", quality="low")


@pytest.mark.parametrize(
    ("preset", "error", "code", "outcome", "billed"),
    [
        ("rate_limited", openai.RateLimitError, "rate_limit_exceeded", "429", 0),
        ("insufficient_quota", openai.RateLimitError, "insufficient_quota", "429", 0),
        ("billing_hard_limit", openai.BadRequestError, "billing_hard_limit_reached", "400", 0),
        ("moderation_input", openai.BadRequestError, "moderation_blocked", "400", 0),
        ("unauthorized", openai.AuthenticationError, "invalid_api_key", "401", 0),
        ("unverified", openai.PermissionDeniedError, None, "403", 0),
        ("model_not_found", openai.NotFoundError, "model_not_found", "404", 0),
        ("http_408", openai.APIStatusError, None, "408", 0),
        ("http_409", openai.ConflictError, None, "409", 0),
        ("http_500", openai.InternalServerError, "server_error", "500", 0),
        ("generation_failed", openai.InternalServerError, "image_generation_failed", "500", 0),
        ("http_502_html", openai.InternalServerError, None, "502", 0),
        ("http_503_html", openai.InternalServerError, None, "503", 0),
        ("drop_before_execution", openai.APIConnectionError, None, "dropped", 0),
        ("reset_before_execution", openai.APIConnectionError, None, "dropped", 0),
        ("drop_before_headers", openai.APIConnectionError, None, "dropped", 1),
        ("reset_before_headers", openai.APIConnectionError, None, "dropped", 1),
        ("drop_mid_body", openai.APIConnectionError, None, "cut", 1),
        ("reset_mid_body", openai.APIConnectionError, None, "cut", 1),
        ("broken_json", json.JSONDecodeError, None, "200", 1),
        ("empty_body", json.JSONDecodeError, None, "200", 1),
    ],
)
async def test_fault_is_the_sdk_error_it_stands_for(
    openai_client: AsyncOpenAI,
    openai_emulator: EmulatorProcess,
    preset: str,
    error: type[Exception],
    code: str | None,
    outcome: str,
    billed: int,
) -> None:
    """One POST, the error's class and code, and it costs only if the work was done; the next request is well."""
    openai_emulator.fault(preset)

    with pytest.raises(error) as caught:
        await generate(openai_client)

    assert getattr(caught.value, "code", None) == code
    (record,) = openai_emulator.requests()
    assert (record["outcome"], record["fault"]) == (outcome, preset)
    assert len(openai_emulator.executions()) == billed
    assert (await openai_client.models.list()).data


async def test_rate_limits_say_when_to_come_back(openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess) -> None:
    """retry-after in seconds and milliseconds, or neither."""
    for preset, expected in (("rate_limited", ("12", "12000")), ("rate_limited_bare", (None, None))):
        openai_emulator.fault(preset)
        with pytest.raises(openai.RateLimitError) as caught:
            await generate(openai_client)

        headers = caught.value.response.headers
        assert (headers.get("retry-after"), headers.get("retry-after-ms")) == expected
        assert MODEL in caught.value.message


async def test_data_null_parses_without_a_picture(openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess) -> None:
    """A 200 with `data: null` is no error to the SDK, and it was billed."""
    openai_emulator.fault("data_null")

    reply = await openai_client.images.generate(model=MODEL, prompt="a fox", size="1024x640", quality="low")

    assert reply.data is None
    assert len(openai_emulator.executions()) == 1


@pytest.mark.parametrize(
    ("preset", "seen", "billed"),
    [
        ("sse_error_nested", "raises", 0),
        ("sse_error_flat", "error", 0),
        ("sse_no_completed", "image_generation.partial_image", 1),
        ("drop_mid_body", "raises", 1),
    ],
)
async def test_streams_fail_in_the_ways_streams_fail(
    openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess, preset: str, seen: str, billed: int
) -> None:
    """Nested errors raise APIError, flat ones come as an event, a missing end is silent, a cut raises."""
    openai_emulator.fault(preset)
    stream = await openai_client.images.generate(
        model=MODEL, prompt="a fox", size="1024x640", quality="low", stream=True, partial_images=1
    )

    kinds = []
    failure: Exception | None = None
    try:
        async for event in stream:
            kinds.append(event.type)
    except openai.APIError as error:
        failure = error

    if seen == "raises":
        assert failure is not None
    else:
        assert failure is None
        assert kinds[-1] == seen
    assert len(openai_emulator.executions()) == billed


async def test_hidden_retries_would_be_counted(openai_emulator: EmulatorProcess) -> None:
    """A client left at its default retries sends three requests: the history shows each, with its number."""
    openai_emulator.fault("http_500", times=3)
    async with AsyncOpenAI(api_key="sk-test", base_url=openai_emulator.base_url) as client:
        with pytest.raises(openai.InternalServerError):
            await client.images.generate(model=MODEL, prompt="a", extra_headers={"X-Client-Request-Id": "c-9"})

    records = openai_emulator.requests(correlation_id="c-9")
    assert [each["headers"]["x-stainless-retry-count"] for each in records] == ["0", "1", "2"]


async def test_leaving_does_not_stop_the_bill_unless_nothing_had_begun(
    openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess
) -> None:
    """A client that leaves while queueing pays nothing; one that leaves during the work pays; both are noticed."""
    impatient = openai_client.with_options(timeout=0.4)
    for preset, billed in (("slow_queue", 0), ("slow_headers", 1)):
        openai_emulator.reset()
        openai_emulator.fault(preset)
        with pytest.raises(openai.APITimeoutError):
            await generate(impatient)
        for _ in range(100):
            (record,) = openai_emulator.requests()
            if record["outcome"]:
                break
            await asyncio.sleep(0.02)

        assert (record["outcome"], record["disconnected"]) == ("gone", True)
        assert record["executed"] == bool(billed)
        assert len(openai_emulator.executions()) == billed


async def test_faults_can_be_aimed_and_listed_and_taken_back(
    openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess
) -> None:
    """A rule for one prompt leaves others alone, and a rule that was taken back does nothing."""
    aimed = openai_emulator.fault("http_500", match={"prompt": "unlucky"}, times=None)
    other = openai_emulator.fault("http_503", times=None)
    openai_emulator.control(f"faults/{other}", method="DELETE")

    with pytest.raises(openai.InternalServerError):
        await generate(openai_client, "an unlucky fox")

    assert await generate(openai_client, "a lucky fox")
    assert [rule["id"] for rule in openai_emulator.control("faults")["faults"]] == [aimed]


async def test_bad_orders_are_refused(openai_emulator: EmulatorProcess) -> None:
    """The control endpoint says what it does not understand."""
    with pytest.raises(ValueError, match="no preset 'nothing'"):
        openai_emulator.control("faults", {"preset": "nothing"})
    with pytest.raises(ValueError, match="speed"):
        openai_emulator.control("speed", {"speed": -1})


async def test_the_loop_answers_while_it_draws(openai_client: AsyncOpenAI, openai_emulator: EmulatorProcess) -> None:
    """A large picture in the making does not keep a small question waiting."""
    drawing = asyncio.create_task(
        openai_client.images.generate(model=MODEL, prompt="a city poster", size="3840x2160", quality="low")
    )
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    await openai_client.models.list()
    waited = asyncio.get_running_loop().time() - began
    await drawing

    assert waited < 1.0
    openai_emulator.reset()
