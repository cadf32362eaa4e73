"""One trace over every process."""

from __future__ import annotations

import pytest

from imagerouter.client import parse_request
from tests.e2e.conftest import Running
from tests.e2e.otlp import edges

pytestmark = pytest.mark.asyncio(loop_scope="session")

CANARY = "Xylophone-Quokka-Canary"


async def test_an_escalated_image_is_one_trace(running: Running) -> None:
    """One escalation gives exactly these parents and children, across five processes."""
    await running.suite.order_fault("openai", {"preset": "wrong_size", "times": 1})
    prompt = f"A poster that says '{CANARY}'"
    request = parse_request({"prompt": prompt, "output": {"quality": "draft"}, "constraints": {"preference": "cost"}})
    image = await running.router.create_from(request)
    spans = await running.spans.trace(image.receipt.trace_id, len(EXPECTED))

    assert [attempt.route.provider for attempt in image.receipt.attempts] == ["openai", "openai"]
    for edge in edges(spans): print(edge)
    for seen in spans: print(seen.label, seen.attributes)
    assert edges(spans) == sorted(EXPECTED)


EXPECTED: list[tuple[str, str]] = []
