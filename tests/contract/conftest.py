"""Emulators as processes, one for each provider and test session, forgetful between tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.emulator_process import Emulator


@pytest.fixture(scope="session")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Emulator]]:
    """A running emulator for each provider."""
    folder: Path = tmp_path_factory.mktemp("emulators")
    with Emulator("openai", folder) as openai, Emulator("google", folder) as google:
        yield {"openai": openai, "google": google}


@pytest.fixture
def emulator_of(emulators: dict[str, Emulator]) -> dict[str, Emulator]:
    """The same, without faults, history and journal."""
    for emulator in emulators.values():
        emulator.reset()
    return emulators
