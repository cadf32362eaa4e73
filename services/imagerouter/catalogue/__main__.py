"""The catalogue's figures as a table: `python -m imagerouter.catalogue`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from imagerouter.api.common.v1 import route_pb2, task_pb2
from imagerouter.catalogue.catalogue import Catalogue, load_catalogue
from imagerouter.catalogue.model import Model, Quality
from imagerouter.catalogue.pricing import estimate

_HEAD = (
    "| tier | model | status | setting | $ a 1K square | p50 / p95 s | accepted: words | text | edit |",
    "|---|---|---|---|---|---|---|---|---|",
)


def table(catalogue: Catalogue) -> str:
    """Write one row for each model and setting that is routed to: Markdown, by tier and id.

    Dollars are expected ones of one 1024 x 1024 image without its prompt; `accepted` is the uncalibrated prior for a
    general picture, one with lettering, and an edit.
    """
    rows = [
        row
        for model in sorted(catalogue.models, key=lambda each: (each.tier, each.id))
        for row in _rows(model, catalogue)
    ]
    return "\n".join([*_HEAD, *rows, ""])


def _rows(model: Model, catalogue: Catalogue) -> Iterator[str]:
    for quality in model.qualities:
        if quality.levels:
            yield _row(model, quality, catalogue)


def _row(model: Model, quality: Quality, catalogue: Catalogue) -> str:
    parameters = route_pb2.RouteParameters(
        quality=quality.name, image_size="1K", count=1, expected_width=1024, expected_height=1024
    )
    dollars = estimate(model, parameters, task_pb2.Task()).expected / 1_000_000
    latency = quality.latency["1K"]
    level = quality.levels[0] if quality.name else "standard"
    chances = [catalogue.priors.p_accept(model.id, name, level) for name in ("general", "structured_text", "edit")]
    cells = [
        str(model.tier),
        f"`{model.id}`",
        model.status.value,
        f"{quality.name} ({level})" if quality.name else "its only one",
        f"{dollars:.4f}",
        f"{latency.p50_ms / 1000:g} / {latency.p95_ms / 1000:g}",
        *(f"{chance:.2f}" for chance in chances),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(table(load_catalogue()))
