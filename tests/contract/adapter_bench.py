"""What the conformance tests of adapters share: models, small wishes, an adapter in front of an emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.contract.emulator_process import Emulator
from tests.integration.adapter.running_adapter import RunningAdapter, running_adapter

Emulators = dict[str, Emulator]

MODELS = {"openai": "gpt-image-2", "google": "gemini-nano-banana-2.1"}
SMALL: dict[str, dict[str, Any]] = {
    "openai": {"size": "1024x1024", "quality": "low"},
    "google": {"aspect_ratio": "1:1", "image_size": "1K"},
}
EACH = pytest.mark.parametrize("provider", list(MODELS))


@asynccontextmanager
async def adapter_of(provider: str, emulators: Emulators, **options: Any) -> AsyncIterator[RunningAdapter]:
    """An adapter in front of the provider's emulator."""
    async with running_adapter(provider, emulators[provider].url, **options) as adapter:
        yield adapter
