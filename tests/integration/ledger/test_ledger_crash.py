"""What kill -9 leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = Path(__file__).with_name("ledger_crash.py")
_ROOT = Path(__file__).parents[3]


async def die_often(directory: Path, seed: int, mode: str) -> Any:
    """Run the dying orchestrator and give what was found."""
    directory.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        _PROGRAM,
        directory,
        str(seed),
        mode,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{_ROOT / 'services'}"},
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-3000:]
    return json.loads(out)


@pytest.mark.parametrize("seed", [1, 2])
async def test_ledger_is_consistent_after_every_kill(tmp_path: Path, seed: int) -> None:
    """At every kill states only went forward, nothing was sent twice, and every charge is booked or UNKNOWN."""
    result = await die_often(tmp_path / "safe", seed, "safe")
    assert result["found"] == []
    assert result["kills"] >= 5
    assert result["attempts"] >= 5


async def test_an_orchestrator_that_resends_is_found_out(tmp_path: Path) -> None:
    """The check above can fail: sending SENT attempts again is seen as double execution."""
    for seed in (1, 2, 3, 4, 5):
        result = await die_often(tmp_path / str(seed), seed, "resend")
        if any(entry.startswith("executed twice") for entry in result["found"]):
            return
    pytest.fail("no double execution in five runs: the check is blind")
