"""Priors are differences within one board, and order models as the boards do."""

from __future__ import annotations

import tomllib

import pytest

from imagerouter.catalogue import Catalogue
from imagerouter.catalogue.condense import condense
from imagerouter.catalogue.priors import Priors


def test_every_model_has_a_prior_for_every_class(catalogue: Catalogue) -> None:
    """No model is without a chance of acceptance between nothing and certainty."""
    for model in catalogue.models:
        for name in ("general", "structured_text", "photoreal", "creative", "edit", "compose"):
            assert 0 < catalogue.priors.p_accept(model.id, name) < 1


def test_the_anchor_has_the_assumed_chance(catalogue: Catalogue) -> None:
    """The logistic goes through its anchor."""
    assert catalogue.priors.p_accept("gpt-image-2", "general") == pytest.approx(0.8)


@pytest.mark.parametrize(("points", "odds"), [(-400.0, 0.4), (400.0, 40.0)])
def test_four_hundred_points_are_ten_times_the_odds(points: float, odds: float) -> None:
    """The scale is the boards' own."""
    priors = _priors({"general": points})
    found = priors.p_accept("other", "general")
    assert found / (1 - found) == pytest.approx(odds, rel=1e-4)


def test_boards_are_averaged_and_a_missing_class_falls_back() -> None:
    """Two boards count alike; without a row for the class, the general one stands in."""
    priors = _priors({"general": -100.0, "edit": -10.0}, {"general": -50.0})
    assert priors.difference("other", "general") == -75.0
    assert priors.difference("other", "photoreal") == -75.0
    assert priors.difference("other", "compose") == -10.0


def test_a_setting_moves_the_chance(catalogue: Catalogue) -> None:
    """Draft is below standard, high above."""
    chances = [catalogue.priors.p_accept("gpt-image-2", "general", level) for level in ("draft", "standard", "high")]
    assert chances == sorted(set(chances))


def test_models_without_a_board_say_what_they_are_taken_for(catalogue: Catalogue) -> None:
    """gpt-image-2.6 is on no board: its rows are inferences with a reason."""
    inferred = {row.model: row for row in catalogue.priors.inferences}
    assert set(inferred) == {"gpt-image-2.6-flare", "gpt-image-2.6-sunburst"}
    assert all(row.reason for row in inferred.values())


def test_publishers_are_credited(catalogue: Catalogue) -> None:
    """Every board names its publisher and its licence."""
    named = {(board.credit.split(",")[0], board.licence.split(";")[0]) for board in catalogue.priors.boards}
    assert named == {
        ("LMArena", "CC BY 4.0"),
        ("Artificial Analysis", "attribution asked by the publisher"),
    }


def test_condensing_takes_differences_within_a_tag_and_prefers_later_votes() -> None:
    """Tags that either model lacks are left out; an October row replaces the August row of the same class."""
    found = tomllib.loads(condense(_document()))
    rows = {(row["model"], row["board"]): row["by_class"] for row in found["differences"]}
    assert rows["gpt-image-1.5", "lmarena-text-to-image-2026-10-07"] == {"general": -100.0, "structured_text": -30.0}
    assert rows["gpt-image-1.5", "lmarena-text-to-image-2026-08-07"] == {"photoreal": -40.0}
    assert not any(model == "gpt-image-2" for model, _ in rows)
    Priors.model_validate(found | {"inferences": []})


def _priors(*by_class: dict[str, float]) -> Priors:
    boards = [
        {"id": f"b{number}", "date": "2026-10-07", "source": "s", "licence": "l", "credit": "c"}
        for number in range(len(by_class))
    ]
    differences = [{"model": "other", "board": f"b{number}", "by_class": row} for number, row in enumerate(by_class)]
    return Priors.model_validate(
        {
            "version": "1",
            "anchor": "anchor",
            "anchor_p_accept": 0.8,
            "quality_offset": {"draft": -60.0, "standard": 0.0, "high": 30.0},
            "tags": {},
            "boards": boards,
            "differences": differences,
            "inferences": [],
        }
    )


def _document() -> dict[str, object]:
    ids = [
        "lmarena-text-to-image-2026-10-07",
        "lmarena-image-edit-2026-10-06",
        "lmarena-text-to-image-2026-08-07",
        "lmarena-image-edit-2026-08-18",
        "aa-text-to-image-2026-07-10",
        "aa-image-edit-2026-07-10",
    ]
    rows = {
        "lmarena-text-to-image-2026-10-07": [[0, 0, 1400], [1, 0, 1300], [0, 1, 1430], [1, 1, 1400], [1, 2, 1000]],
        "lmarena-text-to-image-2026-08-07": [[0, 0, 1390], [1, 0, 1200], [0, 3, 1380], [1, 3, 1340]],
    }
    return {
        "portfolio": {
            "gpt-image-2": {"aa": None, "lmarena": ["two"]},
            "gpt-image-1.5": {"aa": None, "lmarena": ["gone", "one and a half"]},
        },
        "boards": [
            {
                "id": name,
                "kind": name.split("-")[0],
                "date": name[-10:],
                "source": {"repo": "somebody/boards", "commit": "0123456789"},
                "tags": ["overall", "text_rendering", "art", "photorealistic"],
                "models": [{"name": "two"}, {"name": "one and a half"}],
                "rows": rows.get(name, []),
            }
            for name in ids
        ],
    }
