"""The demo's tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from imagerouter.api.common.v1 import route_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.output import dollars, short
from imagerouter.cli.tables import state_text

_TITLE = 34


def prompts_table(drawn: Sequence[tuple[dict[str, Any], images.Image]]) -> Table:
    """What became of each drawn prompt. The titles are the galleries'."""
    table = Table()
    for heading in ("", "title", "route", "why"):
        table.add_column(heading)
    for heading in ("cost", "steps", "state"):
        table.add_column(heading, no_wrap=True)
    for number, (row, image) in enumerate(drawn, start=1):
        attempts = image.receipt.attempts
        title = (row["title"] or row["id"])[:_TITLE]
        reason = image.receipt.decisions[0].reason.partition(":")[0] if image.receipt.decisions else ""
        path = Text(" → ".join(dict.fromkeys(attempt.route.model for attempt in attempts)))
        cost = dollars(image.receipt.cost_micros)
        table.add_row(f"{number:02}", Text(title), path, Text(reason), cost, _steps(image), state_text(image.state))
    return table


def _steps(image: images.Image) -> str:
    steps = [short(attempt.step, route_pb2.Step, "STEP_") for attempt in image.receipt.attempts[1:]]
    return ", ".join(steps) or "-"


def totals_table(made: Sequence[images.Image]) -> Table:
    """Per model: how often it was chosen first, attempts, cost; and what was changed on the way."""
    first: dict[str, int] = defaultdict(int)
    attempts: dict[str, int] = defaultdict(int)
    cost: dict[str, int] = defaultdict(int)
    came: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for image in made:
        for index, attempt in enumerate(image.receipt.attempts):
            model = attempt.route.model
            first[model] += index == 0
            attempts[model] += 1
            cost[model] += attempt.outcome.cost_micros
            came[model][attempt.step] += 1
    table = Table(title="What was routed where", title_justify="left")
    table.add_column("model")
    for heading in ("first choice", "attempts", "by retry", "by fallback", "by escalation", "by reset", "cost"):
        table.add_column(heading, justify="right")
    columns = (route_pb2.STEP_RETRY, route_pb2.STEP_FALLBACK, route_pb2.STEP_ESCALATION, route_pb2.STEP_RESET)
    for model in sorted(attempts, key=lambda name: -attempts[name]):
        counts = [str(came[model][step] or "-") for step in columns]
        table.add_row(model, str(first[model] or "-"), str(attempts[model]), *counts, dollars(cost[model]))
    good = sum(image.state == images.IMAGE_STATE_SUCCEEDED for image in made)
    files = sum(len(image.artifacts) for image in made)
    table.caption = f"{good} of {len(made)} images made, {files} files, {dollars(sum(cost.values()))}"
    return table
