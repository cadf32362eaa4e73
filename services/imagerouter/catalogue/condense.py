"""Make `data/priors.toml` from the shared leaderboard file: `python -m imagerouter.catalogue.condense PRIORS_JSON`.

Writes to standard output. For each model, board and class it takes the mean, over the class's tags, of the model's
rating minus the anchor's; a tag that either lacks is left out. Assumptions (the head of the file and the inferences)
are kept here, beside the code that writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_ANCHOR = "gpt-image-2"
_BOARDS = (
    "lmarena-text-to-image-2026-10-07",
    "lmarena-image-edit-2026-10-06",
    "lmarena-text-to-image-2026-08-07",
    "lmarena-image-edit-2026-08-18",
    "aa-text-to-image-2026-07-10",
    "aa-image-edit-2026-07-10",
)
# An October row makes the August row of the same model and class redundant: it counts later votes of the same arena.
_SUPERSEDED_BY = {
    "lmarena-text-to-image-2026-08-07": "lmarena-text-to-image-2026-10-07",
    "lmarena-image-edit-2026-08-18": "lmarena-image-edit-2026-10-06",
}
_TAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "lmarena-text-to-image": {
        "general": ("overall",),
        "structured_text": ("text_rendering", "commercial_design"),
        "photoreal": ("photorealistic", "portraits"),
        "creative": ("art", "cartoon", "3d_modeling"),
    },
    "lmarena-image-edit": {"edit": ("overall",), "compose": ("multi_image_edit",)},
    "aa-text-to-image": {
        "general": ("overall",),
        "structured_text": ("posters", "typography", "diagrams", "ui_ux", "text_rendering"),
        "photoreal": ("photorealism", "portraits", "product_and_object_generation"),
        "creative": ("art", "cartoon", "anime", "3d_rendering", "fantasy-and-mythical"),
    },
    "aa-image-edit": {"edit": ("overall",)},
}
_CREDIT = {
    "aa": ("attribution asked by the publisher; mirror MIT", "Artificial Analysis, artificialanalysis.ai"),
    "lmarena": ("CC BY 4.0; mirror MIT", "LMArena, lmarena.ai"),
}
_HEAD = """\
# What leaderboards say about our models, condensed: rating differences to one anchor, never ratings.
# Written by `python -m imagerouter.catalogue.condense priors.json`; change the assumptions there, not here.
# Credits: LMArena (CC BY 4.0; changes: differences taken, tags averaged) and Artificial Analysis. See ../README.md.
version = "2026-10-07.1"
anchor = "gpt-image-2"
# Assumed [INF]: four of five of the anchor's standard outputs are accepted. Good for order, not for arithmetic.
anchor_p_accept = 0.8
# Assumed [INF]: what the setting changes, in rating points. The boards rate one setting each.
quality_offset = { draft = -60.0, standard = 0.0, high = 30.0 }
"""
_INFERENCES = """
[[inferences]]
model = "gpt-image-2.6-flare"
like = "gpt-image-2.5-flare"
offset = 0.0
reason = "released 2026-11-04, on no board yet; taken to be no worse than its predecessor"

[[inferences]]
model = "gpt-image-2.6-sunburst"
like = "gpt-image-2.5-sunburst"
offset = 0.0
reason = "released 2026-11-04, on no board yet; taken to be no worse than its predecessor"
"""


def condense(document: dict[str, Any]) -> str:
    """Write the text of `priors.toml` for the shared file's content."""
    boards = {board["id"]: board for board in document["boards"]}
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name in _BOARDS:
        for model, names in document["portfolio"].items():
            found = _differences(boards[name], document["portfolio"][_ANCHOR], names)
            if found and model != _ANCHOR and not model.startswith("flux"):
                rows[model, name] = found
    for old, new in _SUPERSEDED_BY.items():
        for model in document["portfolio"]:
            later = rows.get((model, new), {})
            kept = {key: value for key, value in rows.pop((model, old), {}).items() if key not in later}
            if kept:
                rows[model, old] = kept
    parts = [_HEAD]
    for prefix, classes in _TAGS.items():
        lines = [f"{key} = {json.dumps(list(tags))}" for key, tags in classes.items()]
        parts.append("\n".join([f"\n[tags.{prefix}]", *lines, ""]))
    parts += [_board(boards[name]) for name in _BOARDS]
    for (model, name), found in sorted(rows.items(), key=lambda item: (item[0][0], _BOARDS.index(item[0][1]))):
        inner = ", ".join(f"{key} = {value:.1f}" for key, value in found.items())
        parts.append(f'\n[[differences]]\nmodel = "{model}"\nboard = "{name}"\nby_class = {{ {inner} }}\n')
    return "".join([*parts, _INFERENCES])


def _board(board: dict[str, Any]) -> str:
    licence, credit = _CREDIT[board["kind"]]
    source = f"{board['source']['repo']} @ {board['source']['commit'][:7]}"
    fields = {"source": source, "licence": licence, "credit": credit}
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(["\n[[boards]]", f'id = "{board["id"]}"', f"date = {board['date']}", *lines, ""])


def _differences(board: dict[str, Any], anchor: dict[str, Any], names: dict[str, Any]) -> dict[str, float]:
    ours, theirs = _ratings(board, names), _ratings(board, anchor)
    classes = _TAGS[board["id"].rsplit("-", 3)[0]]
    found: dict[str, float] = {}
    for key, tags in classes.items():
        points = [ours[tag] - theirs[tag] for tag in tags if tag in ours and tag in theirs]
        if points:
            found[key] = sum(points) / len(points)
    return found


def _ratings(board: dict[str, Any], names: dict[str, Any]) -> dict[str, float]:
    """Look up a model's ratings by tag: those of its first name that the board has."""
    index = {model["name"]: number for number, model in enumerate(board["models"])}
    for name in names.get(board["kind"]) or []:
        if name in index:
            return {board["tags"][row[1]]: row[2] for row in board["rows"] if row[0] == index[name]}
    return {}


def main() -> None:
    """Condense the file named on the command line to standard output."""
    document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(condense(document))


if __name__ == "__main__":
    main()
