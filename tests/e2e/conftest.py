"""The whole suite, as `imagerouter up` starts it: processes on loopback with emulators for providers.

Do drive it through its public API, its command and the emulators' control endpoints. Don't reach into a service.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from imagerouter.cli.suite import Suite, SuiteOptions
from imagerouter.client import ImageRouter
from tests.e2e.otlp import SpanSink, receiving


@dataclass
class Running:
    """A running suite, a client of it, and the spans it exports."""

    suite: Suite
    router: ImageRouter
    spans: SpanSink

    def journal(self, provider: str) -> list[dict[str, Any]]:
        """Every execution that a provider would have billed."""
        return list(self.control(provider, "journal")["executions"])

    def requests(self, provider: str) -> list[dict[str, Any]]:
        """Every request that a provider got."""
        return list(self.control(provider, "requests")["requests"])

    def control(self, provider: str, what: str) -> dict[str, Any]:
        """What an emulator's control endpoint says."""
        url = f"http://{self.suite.address(f'emulator-{provider}')}/_control/{what}"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return dict(json.load(reply))

    def calm(self) -> None:
        """Take back every fault."""
        for provider in ("openai", "google"):
            url = f"http://{self.suite.address(f'emulator-{provider}')}/_control/faults"
            with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=5):
                pass


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One suite for all tests that do not stop parts of it."""
    async with receiving() as sink:
        options = SuiteOptions(
            tmp_path_factory.mktemp("suite"),
            speed=0.01,
            settings={"IMAGEROUTER_REFLECTION": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
        )
        async with Suite(options) as suite:
            target, artifacts = suite.target("orchestrator"), suite.target("artifact")
            async with ImageRouter(target, artifacts=artifacts) as router:
                yield Running(suite, router, sink)


@pytest.fixture(autouse=True)
def without_faults(request: pytest.FixtureRequest) -> None:
    """A test that ordered faults leaves none to the next."""
    if "running" in request.fixturenames:
        request.getfixturevalue("running").calm()


@pytest.fixture(scope="session")
def photo() -> Path:
    """A photograph of a cat, CC0."""
    return Path(__file__).resolve().parents[2] / "services/imagerouter/cli/demo_data/cat.png"
