"""Realistic tasks and the model each must go to first, with the rules that say so, under the shipped policy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.api.router.v1 import router_service_pb2
from tests.unit.router.router_cases import chain, edit, generate, models, request

Decide = Callable[[router_service_pb2.RouteRequest], route_pb2.Decision]

PRO, TWO, FLARE, SUNBURST = "gemini-3-pro-image", "gpt-image-2", "gpt-image-2.5-flare", "gpt-image-2.5-sunburst"
LITE, NB21, TOP = "gemini-3.1-flash-lite-image", "gemini-nano-banana-2.1", "gpt-image-2.6-sunburst"
SUBJECT, TEXT, BULK, VAGUE, CHAIN = (
    "keep-the-subject",
    "text-in-image",
    "cheap-bulk",
    "vague-safest",
    "deep-edit-chain",
)
POSTER = {"text_heavy": True, "text_deliverable": "poster"}

CASES: dict[str, tuple[task_pb2.Task, str, list[str]]] = {
    "demo poster in 8 s": (
        generate(features=POSTER, output={"aspect_ratio": "4:5"}, constraints={"max_latency_ms": 8000}),
        FLARE,
        [TEXT],
    ),
    "poster": (generate(features=POSTER), TWO, [TEXT]),
    "infographic": (generate(features={"text_deliverable": "infographic"}), TWO, [TEXT]),
    "flyer for print, 2K": (
        generate(features={"text_deliverable": "flyer"}, output={"size_tier": "SIZE_TIER_2K"}),
        TWO,
        [TEXT],
    ),
    "UI mockup": (generate(features={"text_deliverable": "ui_mockup"}, output={"aspect_ratio": "9:16"}), TWO, [TEXT]),
    "a shop sign to render": (generate(render_strings=["OPEN"]), TWO, [TEXT]),
    "structured by class alone": (generate(content_class="CONTENT_CLASS_STRUCTURED_TEXT"), TWO, [TEXT]),
    "poster at high quality": (generate(features=POSTER, output={"quality": "QUALITY_HIGH"}), TWO, [TEXT]),
    "poster, 20 s": (generate(features=POSTER, constraints={"max_latency_ms": 20_000}), TWO, [TEXT]),
    "poster, 12 s, balanced": (generate(features=POSTER, constraints={"max_latency_ms": 12_000}), FLARE, [TEXT]),
    "poster, a cent": (generate(features=POSTER, constraints={"max_cost_micros": 10_000}), TWO, [TEXT]),
    "banner beyond 3:1": (generate(features=POSTER, output={"aspect_ratio": "4:1"}), NB21, [TEXT]),
    "edit of one photograph": (edit(), PRO, [SUBJECT]),
    "edit of lettering": (edit(edit_action="EDIT_ACTION_TEXT", render_strings=["SALE"]), PRO, [SUBJECT, TEXT]),
    "edit with a mask": (edit(mask={"artifact": {"size_bytes": 1000}}), SUNBURST, [SUBJECT]),
    "edit to a transparent background": (edit(output={"background": "BACKGROUND_TRANSPARENT"}), SUNBURST, [SUBJECT]),
    "compose fifteen references": (edit(count=15), SUNBURST, [SUBJECT]),
    "compose three references": (edit(count=3, edit_action="EDIT_ACTION_COMPOSE"), PRO, [SUBJECT]),
    "references guide a new picture": (generate(references=edit().references), PRO, [SUBJECT]),
    "same character again": (generate(features={"same_character": True}), PRO, [SUBJECT]),
    "keep the product as it is": (generate(features={"preserve_subject": True}), PRO, [SUBJECT]),
    "poster that keeps the subject": (generate(features=POSTER | {"preserve_subject": True}), PRO, [SUBJECT, TEXT]),
    "edit in 10 s": (edit(constraints={"max_latency_ms": 10_000}), LITE, [SUBJECT]),
    "edit on a budget of 6 cents": (edit(constraints={"max_cost_micros": 62_000}), NB21, [SUBJECT]),
    "edit at 4K": (edit(output={"size_tier": "SIZE_TIER_4K"}), PRO, [SUBJECT]),
    "eight bulk variations": (generate(features={"bulk": True}, output={"count": 8}), FLARE, [BULK]),
    "cheap, six at once": (
        generate(output={"count": 6}, constraints={"preference": "PREFERENCE_COST"}),
        FLARE,
        [BULK],
    ),
    "bulk posters": (generate(features=POSTER | {"bulk": True}, output={"count": 8}), TWO, [TEXT, BULK]),
    "something nice": (generate("something nice", features={"vague": True}), TWO, [VAGUE]),
    "vague and in bulk": (generate(features={"vague": True, "bulk": True}), FLARE, [BULK, VAGUE]),
    "chain of six, anchored": (chain(6, 5), PRO, [CHAIN, SUBJECT]),
    "chain of six, no anchor": (chain(6, 5, anchored=False), TOP, [CHAIN, SUBJECT]),
    "chain of four": (chain(4, 3), PRO, [SUBJECT]),
    "plain scene": (generate(), SUNBURST, []),
    "plain scene, best": (generate(constraints={"preference": "PREFERENCE_QUALITY"}), SUNBURST, []),
    "plain scene, fastest": (generate(constraints={"preference": "PREFERENCE_LATENCY"}), LITE, []),
    "plain scene, cheapest": (generate(constraints={"preference": "PREFERENCE_COST"}), FLARE, []),
    "exact pixels of a screen": (generate(output={"width": 1536, "height": 864}), SUNBURST, []),
    "tall strip 1:8": (generate(output={"aspect_ratio": "1:8"}), NB21, []),
    "webp": (generate(output={"format": "OUTPUT_FORMAT_WEBP"}), SUNBURST, []),
    "only Google's": (generate(features=POSTER, constraints={"models": [PRO, NB21]}), NB21, [TEXT]),
    "a deprecated model by name": (generate(constraints={"models": ["gpt-image-1-mini"]}), "gpt-image-1-mini", []),
    "a snapshot by name": (generate(constraints={"models": ["gpt-image-2-2026-04-21"]}), TWO, []),
}


@pytest.mark.parametrize("name", CASES)
def test_a_task_goes_where_the_policy_sends_it(decide: Decide, name: str) -> None:
    """The first route and the rules that applied are the expected ones."""
    task, model, rules = CASES[name]
    decision = decide(request(task))
    assert (models(decision)[0], list(decision.rule_ids)) == (model, rules), decision.reason
