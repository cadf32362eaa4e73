"""The dated figures."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from imagerouter.evaluator import thresholds
from imagerouter.evaluator.thresholds import load_thresholds

SHIPPED = Path(thresholds.__file__).with_name("thresholds.toml")


def test_every_figure_has_a_date_and_a_source() -> None:
    """No section of the shipped file is without them."""
    sections = [section for section in tomllib.loads(SHIPPED.read_text()).values() if isinstance(section, dict)]

    assert len(sections) == 4
    assert all(section["as_of"] and section["source"] for section in sections)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tolerance = 0.03", "tolerance = 0"),
        ("max_side = 16_384", "max_side = 0"),
        ("max_frames = 1", "max_frame = 1"),
        ('version = "2026-11-22"', 'version = ""'),
        ("as_of = 2026-11-22\n", ""),
    ],
)
def test_a_file_with_a_slip_is_refused(tmp_path: Path, before: str, after: str) -> None:
    """A figure out of range, a misspelt name or a missing date stops the service at its start."""
    text = SHIPPED.read_text()
    assert before in text
    changed = tmp_path / "thresholds.toml"
    changed.write_text(text.replace(before, after, 1))

    with pytest.raises(ValueError, match="validation error"):
        load_thresholds(changed)
