"""Measure the normalizer's rules against the galleries' own labels.

Usage: normalizer_accuracy.py PROMPTS_JSONL [LABELS_JSON]

`PROMPTS_JSONL` is the shared gallery prompts, `LABELS_JSON` the mapping of labels to families beside it. Prints, within
each gallery that holds both families, how often `text_heavy` agrees with the label (recall of each family and their
mean, the balanced accuracy), and how well the cues for an input image, a preserved subject and an edit tell the entries
that need one. No prompt is printed. The labels are about 90 % right (labels.md), so 0.90 is about all there is to get.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from imagerouter.normalizer.core import load_tables
from imagerouter.normalizer.features import Reading, read

GALLERIES = ("youmind-gpt2", "youmind-index", "freestylefly")
STRUCTURED, PICTURE = "structured_text", "photoreal_or_creative"


def content_family(row: dict[str, Any], labels: dict[str, Any]) -> str:
    """Return the family of a row by the rule of labels.json."""
    named = (row["category"] or "").split(" + ")
    families = {family for label in named if (family := labels["map"].get(row["source"], {}).get(label))}
    if len(families) != 1:
        return "unclear"
    family = str(families.pop())
    blocked = set(labels["blocks_photoreal"].get(row["source"], ()))
    return "unclear" if family == PICTURE and blocked.intersection(named) else family


def balanced(yes: Iterable[bool], no: Iterable[bool]) -> tuple[float, float, float, int, int]:
    """Return the share of `yes` that is true, of `no` that is false, their mean, and how many there are of each."""
    yes, no = list(yes), list(no)
    found, spared = sum(yes) / max(1, len(yes)), 1 - sum(no) / max(1, len(no))
    return found, spared, (found + spared) / 2, len(yes), len(no)


def main() -> None:
    """Print the figures."""
    prompts = Path(sys.argv[1])
    labels = json.loads(Path(sys.argv[2] if len(sys.argv) > 2 else prompts.with_name("labels.json")).read_text("utf-8"))
    tables = load_tables()
    rows = [json.loads(line) for line in prompts.read_text("utf-8").splitlines()]
    readings = [(row, read(row["prompt"], tables.rules, tables.languages)) for row in rows]
    print(f"{len(rows)} prompts, rules {tables.rules.data.version}")

    print("\ntext_heavy, by the content family of the gallery's labels")
    means = []
    for gallery in GALLERIES:
        of = {STRUCTURED: list[bool](), PICTURE: list[bool](), "unclear": list[bool]()}
        for row, reading in readings:
            if row["source"] == gallery:
                of[content_family(row, labels)].append(reading.text_heavy)
        found, spared, mean, structured, pictures = balanced(of[STRUCTURED], of[PICTURE])
        means.append(mean)
        print(f"  {gallery:14} structured {found:.3f} of {structured}, pictures {spared:.3f} of {pictures}: {mean:.3f}")
    print(f"  mean balanced accuracy {sum(means) / len(means):.3f}")

    print("\nneeds an input image, where the gallery says yes or no")
    cues: dict[str, Callable[[Reading], bool]] = {
        "input image": lambda reading: reading.speaks_of_input,
        "preserve": lambda reading: reading.preserve_subject,
        "edit": lambda reading: reading.asks_for_edit,
        "input or preserve": lambda reading: reading.speaks_of_input or reading.preserve_subject,
    }
    for name, cue in cues.items():
        yes = [cue(reading) for row, reading in readings if row["has_reference"] is True]
        no = [cue(reading) for row, reading in readings if row["has_reference"] is False]
        found, spared, mean, needing, others = balanced(yes, no)
        print(f"  {name:18} {found:.3f} of {needing} need one, {spared:.3f} of {others} do not: {mean:.3f}")

    agreed = sum(reading.languages[:1] == [row["language"]] for row, reading in readings)
    print(f"\nmain language as in the data: {agreed / len(rows):.3f}")


if __name__ == "__main__":
    main()
