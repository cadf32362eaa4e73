"""The shipped rows say what providers.md says, and broken files are refused with every problem."""

from __future__ import annotations

import itertools
import re
from datetime import date
from pathlib import Path

import pytest

from imagerouter.catalogue import Catalogue, CatalogueError, Mode, RetiredModel, Status, load_catalogue

# Section 5 of providers.md: status, references, mask, transparency, count a call, qualities, largest tier, p50/p95 at
# 1K standard in seconds.
MATRIX = {
    "gpt-image-2": ("active", 16, True, "preview", 10, "low medium high", "4K", 45, 100),
    "gpt-image-2.5-flare": ("active", 16, True, "yes", 10, "low medium high xhigh max", "4K", 20, 50),
    "gpt-image-2.5-sunburst": ("active", 16, True, "yes", 10, "low medium high xhigh max", "4K", 40, 90),
    "gpt-image-2.6-flare": ("active", 16, True, "yes", 10, "low medium high xhigh max", "4K", 10, 30),
    "gpt-image-2.6-sunburst": ("active", 16, True, "yes", 10, "low medium high xhigh max", "4K", 35, 90),
    "gpt-image-1.5": ("active", 16, True, "yes", 10, "low medium high", "1K", 30, 75),
    "gpt-image-1-mini": ("deprecated", 16, True, "yes", 10, "low medium high", "1K", 15, 40),
    "gemini-3-pro-image": ("active", 14, False, "no", 1, "", "4K", 20, 60),
    "gemini-3.1-flash-image": ("disabled", 14, False, "no", 1, "", "4K", 12, 40),
    "gemini-nano-banana-2.1": ("active", 14, False, "no", 1, "", "4K", 25, 60),
    "gemini-3.1-flash-lite-image": ("active", 14, False, "no", 1, "", "1K", 4, 15),
    "gemini-2.5-flash-image": ("disabled", 3, False, "no", 1, "", "1K", 8, 25),
}


def test_every_row_of_the_matrix_is_there(catalogue: Catalogue) -> None:
    """The catalogue holds exactly the models of the matrix."""
    assert {model.id for model in catalogue.models} == set(MATRIX)


@pytest.mark.parametrize("name", MATRIX)
def test_a_row_has_the_figures_of_the_matrix(catalogue: Catalogue, name: str) -> None:
    """Status, limits, settings and the 1K standard latency are the matrix's."""
    model = catalogue.get(name)
    standard = next(quality for quality in model.qualities if "standard" in quality.levels)
    assert (
        model.status.value,
        model.limits.references,
        Mode.MASK in model.modes,
        model.output.transparency,
        model.limits.count,
        " ".join(quality.name for quality in model.qualities),
        model.size.tiers[-1],
        standard.latency["1K"].p50_ms // 1000,
        standard.latency["1K"].p95_ms // 1000,
    ) == MATRIX[name]


def test_every_model_says_where_its_figures_come_from(catalogue: Catalogue) -> None:
    """Evidence, prices and token counts have a source, the dated ones a date that is not in the future."""
    for model in catalogue.models:
        assert model.evidence.source
        assert model.prices.source
        assert model.tokens.source
        assert model.tier_reason
        assert max(model.evidence.as_of, model.prices.as_of) <= date(2026, 11, 22)


def test_every_level_is_served_by_one_setting(catalogue: Catalogue) -> None:
    """A canonical quality never means two settings of one model."""
    for model in catalogue.models:
        levels = [level for quality in model.qualities for level in quality.levels]
        assert sorted(levels) == ["draft", "high", "standard"], model.id


def test_latencies_are_ordered(catalogue: Catalogue) -> None:
    """The 95th percentile is above the median, and a larger picture or a higher setting is never faster."""
    for model in catalogue.models:
        rows = [[quality.latency[tier].p50_ms for tier in model.size.tiers] for quality in model.qualities]
        assert all(row == sorted(row) for row in rows), model.id
        assert all(lower[0] <= higher[0] for lower, higher in itertools.pairwise(rows)), model.id
        cells = [quality.latency[tier] for quality in model.qualities for tier in model.size.tiers]
        assert all(cell.p50_ms < cell.p95_ms for cell in cells), model.id


def test_retired_ids_name_a_live_successor(catalogue: Catalogue) -> None:
    """Every id that is gone leads to a model that is offered today."""
    today = date(2026, 11, 22)
    assert {row.id for row in catalogue.retired} >= {
        "gpt-image-1",
        "dall-e-2",
        "dall-e-3",
        "gemini-3-pro-image-preview",
    }
    for row in catalogue.retired:
        assert isinstance(catalogue.find(row.id), RetiredModel)
        successor = catalogue.get(row.replacement)
        assert successor.status is Status.ACTIVE
        assert successor.not_offered(today) == ""
        with pytest.raises(KeyError):
            catalogue.get(row.id)


def test_dates_decide_what_is_offered(catalogue: Catalogue) -> None:
    """A model is offered from its release to the day before its shutdown."""
    model = catalogue.get("gemini-3.1-flash-image")
    assert "available from 2026-05-28" in model.not_offered(date(2026, 5, 27))
    assert model.not_offered(date(2026, 5, 28)) == ""
    assert model.not_offered(date(2026, 10, 28)) == ""
    assert "shut down 2026-10-29" in model.not_offered(date(2026, 10, 29))


def test_aliases_lead_to_their_model(catalogue: Catalogue) -> None:
    """A dated snapshot is the model itself; an unknown id is nothing."""
    assert catalogue.find("gpt-image-2-2026-04-21") is catalogue.get("gpt-image-2")
    assert catalogue.find("gpt-image-9") is None


def test_all_problems_are_reported_at_once(data: Path) -> None:
    """Faults in several rows come out together, each with its model and key."""
    file = data / "models-google.toml"
    text = file.read_text()
    text = text.replace("tier = 4", 'tier = "high"', 1)
    text = text.replace('table_name = "gemini-2.5"', 'table_name = "gemini-9"')
    text = text.replace('output_image = "60.00"', 'output_image = "-1"')
    text = text.replace("[models.qualities.latency]\n", "[models.qualities.delay]\n", 1)
    file.write_text(text)
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(data)
    report = "\n".join(caught.value.problems)
    assert "gemini-3-pro-image: tier" in report
    assert "gemini-3-pro-image: qualities.0.delay" in report
    assert "gemini-2.5-flash-image: no profile or pixel table 'gemini-9'" in report
    assert "gemini-3.1-flash-image: prices.output_image" in report


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('id = "dall-e-2"', 'id = "dall-e-3"', "'dall-e-3' is named twice"),
        ('replacement = "gpt-image-2.5-flare"', 'replacement = "gpt-image-7"', "'gpt-image-7' is not in the catalogue"),
        ("factors = { low = 16, medium = 48, high = 96 }", "factors = { low = 16 }", "no token factor for 'medium'"),
        ('"4K" = { p50_ms = 30000', '"8K" = { p50_ms = 30000', "gpt-image-2: qualities.0.latency"),
        ('id = "gpt-image-1.5"', 'id = "gpt-image-1.7"', "gpt-image-1.7: priors has no row for it"),
    ],
)
def test_a_row_that_does_not_hang_together_is_refused(data: Path, old: str, new: str, problem: str) -> None:
    """Twins, dangling successors, missing figures and missing priors are found before the first request."""
    file = data / "models-openai.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(CatalogueError, match=re.escape(problem)):
        load_catalogue(data)


def test_a_file_that_is_missing_or_no_toml_is_named(data: Path) -> None:
    """What cannot be read is said with the file's name."""
    (data / "priors.toml").unlink()
    (data / "catalogue.toml").write_text("version = ")
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(data)
    assert {problem.split(":")[0] for problem in caught.value.problems} == {"priors.toml", "catalogue.toml"}
