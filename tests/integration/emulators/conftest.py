"""One emulator process of each provider for the whole session, wiped before every test."""

from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from imagerouter.emulators.process import EmulatorProcess


@pytest.fixture(scope="session")
def openai_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """OpenAI's emulator, answering as fast as it draws."""
    with EmulatorProcess("openai", journal=tmp_path_factory.mktemp("journal"), speed=0) as process:
        yield process


@pytest.fixture(scope="session")
def gemini_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """Gemini's emulator, answering as fast as it draws; with one model that is switched off by default."""
    folder: Path = tmp_path_factory.mktemp("journal")
    with EmulatorProcess("google", journal=folder, speed=0, extra_models=["gemini-2.5-flash-image"]) as process:
        yield process


@pytest.fixture
def openai_emulator(openai_process: EmulatorProcess) -> EmulatorProcess:
    """OpenAI's emulator without faults, history or journal."""
    openai_process.reset()
    return openai_process


@pytest.fixture
def gemini_emulator(gemini_process: EmulatorProcess) -> EmulatorProcess:
    """Gemini's emulator without faults, history or journal."""
    gemini_process.reset()
    return gemini_process


@pytest.fixture
async def openai_client(openai_emulator: EmulatorProcess) -> AsyncIterator[object]:
    """OpenAI's SDK, without retries."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    # Plain HTTP: reading the certificates for every test would cost more than the test.
    http = DefaultAsyncHttpxClient(verify=False)
    url = openai_emulator.base_url
    async with AsyncOpenAI(api_key="sk-test", base_url=url, max_retries=0, timeout=20, http_client=http) as client:
        yield client


@pytest.fixture
async def gemini_client(gemini_emulator: EmulatorProcess) -> AsyncIterator[object]:
    """Google's SDK, without retries."""
    from google import genai
    from google.genai import types

    options = types.HttpOptions(
        base_url=gemini_emulator.base_url,
        api_version="v1beta",
        timeout=20_000,
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    client = genai.Client(api_key="test", http_options=options)
    yield client.aio
    await client.aio.aclose()
    client.close()


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A 1024 x 1024 picture to edit, as PNG."""
    image = Image.linear_gradient("L").resize((1024, 1024)).convert("RGB")
    ImageDraw.Draw(image).ellipse((320, 320, 720, 720), (200, 60, 50))
    return png(image)


def png(image: Image.Image) -> bytes:
    """The picture as PNG."""
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
