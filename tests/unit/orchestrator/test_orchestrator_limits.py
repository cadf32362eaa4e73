"""The loop's thresholds as a file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from imagerouter.orchestrator import limits as limits_module
from imagerouter.orchestrator.limits import load_limits

PACKAGED = Path(limits_module.__file__).with_name("loop.toml").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "loop.toml"
    path.write_text(text)
    return path


def problems(path: Path) -> set[str]:
    """The places that the error names."""
    with pytest.raises(ValidationError) as caught:
        load_limits(path)
    return {".".join(str(part) for part in error["loc"]) for error in caught.value.errors()}


def test_the_packaged_file_is_dated_and_sound() -> None:
    """Without a path the packaged file holds: dated, and with room for at least a retry and an escalation."""
    limits = load_limits()

    assert limits.version[:4].isdigit()
    assert limits.attempts.max >= 3
    assert limits.attempts.max_retries_of_a_route < limits.attempts.max
    assert limits.waits.retry_backoff_s <= limits.waits.max_rate_limit_wait_s


def test_a_file_overrides_the_packaged_one(tmp_path: Path) -> None:
    """What the file says is what holds."""
    path = written(tmp_path, PACKAGED.replace("max = 4\n", "max = 7\n").replace("fallback = true", "fallback = false"))
    limits = load_limits(path)

    assert limits.attempts.max == 7
    assert not limits.unknown.fallback
    assert load_limits().attempts.max != 7


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    """Whoever mends a file learns of everything that is wrong with it the first time."""
    path = written(
        tmp_path,
        """
        [attempts]
        max = 0
        max_retries_of_a_route = "often"
        max_paralel = 4
        [waits]
        max_rate_limit_wait_s = -1
        retry_backoff_s = nan
        [unknown]
        fallback = "perhaps"
        [adapter]
        silence_s = 0
        [outage]
        seconds = 0
        [defaults]
        budget_micros = 1.5
        time_s = -900
        [breaker]
        """,
    )

    assert problems(path) >= {
        "version",
        "attempts.max",
        "attempts.max_retries_of_a_route",
        "attempts.max_parallel",
        "attempts.max_paralel",
        "waits.max_rate_limit_wait_s",
        "waits.retry_backoff_s",
        "unknown.fallback",
        "outage.seconds",
        "defaults.budget_micros",
        "defaults.time_s",
        "breaker",
    }


def _entries(document: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        ("version",),
        *((section, key) for section, keys in document.items() if section != "version" for key in keys),
    ]


@pytest.mark.parametrize("entry", _entries(tomllib.loads(PACKAGED)), ids=".".join)
def test_nothing_has_a_hidden_default(tmp_path: Path, entry: tuple[str, ...]) -> None:
    """Thresholds are data: an entry that is missing is missed."""
    key = entry[-1]
    text = "\n".join(line for line in PACKAGED.splitlines() if not line.startswith(f"{key} ="))

    assert problems(written(tmp_path, text)) == {".".join(entry)}


def test_limits_do_not_change_once_read() -> None:
    """What was read at the start holds until the end."""
    with pytest.raises(ValidationError):
        load_limits().attempts.max = 99  # type: ignore[misc]
