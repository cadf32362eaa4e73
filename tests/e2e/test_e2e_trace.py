"""One trace over every process."""

from __future__ import annotations

import pytest

from imagerouter.client import parse_request
from imagerouter.runtime import names
from tests.e2e.conftest import Running
from tests.e2e.otlp import Seen, edges

pytestmark = pytest.mark.asyncio(loop_scope="session")

CANARY = "Xylophone-Quokka-Canary"


def pair(caller: str, callee: str, method: str, parent: str) -> list[tuple[str, str]]:
    """A call from one process to another: the client's span, and under it the server's."""
    client, server = f"{caller}: CLIENT {method}", f"{callee}: SERVER {method}"
    return [(parent, client), (client, server)]


def attempt(model: str) -> list[tuple[str, str]]:
    """The edges under one attempt of an OpenAI model that was looked at."""
    root = "orchestrator: INTERNAL attempt"
    serving = "adapter-openai: SERVER AdapterService/Generate"
    return [
        ("orchestrator: INTERNAL image", root),
        *pair("orchestrator", "adapter-openai", "AdapterService/Generate", root),
        (serving, f"adapter-openai: CLIENT image_generation {model}"),
        (serving, "adapter-openai: INTERNAL put"),
        *pair("orchestrator", "evaluator", "EvaluatorService/Evaluate", root),
        ("evaluator: SERVER EvaluatorService/Evaluate", "evaluator: INTERNAL evaluate"),
        ("evaluator: INTERNAL evaluate", "evaluator: INTERNAL get"),
    ]


def route(parent: str) -> list[tuple[str, str]]:
    """The edges of one decision."""
    return [
        *pair("orchestrator", "router", "RouterService/Route", parent),
        ("router: SERVER RouterService/Route", "router: INTERNAL decide"),
    ]


async def test_an_escalated_image_is_one_trace(running: Running) -> None:
    """One escalation gives exactly these parents and children, across five processes, with the decision as data and
    nothing of the prompt."""
    await running.suite.order_fault("openai", {"preset": "wrong_size", "times": 1})
    document = {"prompt": f"A poster that says '{CANARY}'", "output": {"quality": "draft"}}
    image = await running.router.create_from(parse_request(document))
    models = [each.route.model for each in image.receipt.attempts]
    begin = "orchestrator: SERVER ImageService/CreateImage"
    expected = [
        ("-", begin),
        *pair("orchestrator", "normalizer", "NormalizerService/Normalize", begin),
        *route(begin),
        (begin, "orchestrator: INTERNAL image"),
        *attempt(models[0]),
        *route("orchestrator: INTERNAL image"),
        *attempt(models[1]),
    ]
    spans = await running.spans.trace(image.receipt.trace_id, len(expected))

    assert [each.route.provider for each in image.receipt.attempts] == ["openai", "openai"]
    assert edges(spans) == sorted(expected)
    decided = [seen for seen in spans if seen.span.name == names.SPAN_ATTEMPT]
    for seen, decision in zip(by_number(decided), image.receipt.decisions, strict=True):
        assert seen.attributes[names.DECISION_CANDIDATES] == [
            f"{each.provider}/{each.model}" for each in decision.routes
        ]
        assert seen.attributes[names.DECISION_CONFIDENCE] == decision.confidence
        assert seen.attributes[names.DECISION_REASON] == decision.reason
        assert seen.attributes[names.POLICY_VERSION] == decision.policy_version
    whole = next(seen for seen in spans if seen.span.name == names.SPAN_IMAGE)
    assert whole.attributes[names.ESCALATED] is True
    assert whole.attributes[names.ESCALATION_FROM] == models[0]
    assert whole.attributes[names.ESCALATION_TO] == models[1]
    assert CANARY not in str([seen.span for seen in spans])


def by_number(attempts: list[Seen]) -> list[Seen]:
    """Attempts' spans in their order."""
    return sorted(attempts, key=lambda seen: int(seen.attributes[names.ATTEMPT_NUMBER]))


async def test_no_sink_has_the_prompt_or_a_key(running: Running) -> None:
    """Invariant 8: neither the logs of any process nor any span holds a word of the prompt, or the provider's key."""
    image = await running.router.create(f"A painting of a {CANARY}", request_id="e2e-canary")
    await running.spans.trace(image.receipt.trace_id, 10)
    logs = {name: running.suite.log_of(name).read_text() for name in running.suite.parts}
    everything = str([seen.span for trace in running.spans.traces.values() for seen in trace])

    assert all(logs.values())
    assert [name for name, text in logs.items() if CANARY in text] == []
    assert CANARY not in everything
