"""The command, as a user types it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def imagerouter(running: Running, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command against the suite."""
    env = {
        **os.environ,
        "IMAGEROUTER_TARGET": running.suite.address("orchestrator"),
        "IMAGEROUTER_ARTIFACT_TARGET": running.suite.address("artifact"),
        "COLUMNS": "160",
    }
    command = [str(Path(sys.executable).parent / "imagerouter"), *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=60
    )


async def test_create_trace_and_get(running: Running, tmp_path: Path) -> None:
    """An image made by the command can be traced by name, and its files fetched again."""
    made = await imagerouter(running, "create", "A red kite", "--aspect", "3:2", "--json", "--out", str(tmp_path))
    image = json.loads(made.stdout)
    tree = await imagerouter(running, "trace", image["name"])
    again = await imagerouter(running, "get", image["name"], "--out", str(tmp_path / "again"))

    assert made.returncode == 0, made.stderr
    assert image["state"] == "IMAGE_STATE_SUCCEEDED"
    assert len(list(tmp_path.glob("*.png"))) == 1
    for hop in ("normalizer.Normalize", "router.Route", "Generate", "evaluator.Evaluate"):
        assert hop in tree.stdout
    assert again.returncode == 0
    assert len(list((tmp_path / "again").iterdir())) == 1


async def test_edit_a_file_and_go_on_from_it(running: Running, tmp_path: Path, photo: Path) -> None:
    """An edit begins with a file and goes on with an image's name."""
    first = await imagerouter(running, "edit", str(photo), "Add a hat", "--json", "--out", str(tmp_path))
    name = json.loads(first.stdout)["name"]
    second = await imagerouter(running, "edit", name, "Make the hat green", "--json", "--out", str(tmp_path))

    assert json.loads(second.stdout)["task"]["lineage"]["parent"] == name


async def test_explain_reads_json(running: Running) -> None:
    """A request can come as JSON on standard input; the table shows candidates and what was left out."""
    document = {"prompt": "A flyer for a bakery", "constraints": {"max_latency_ms": 8000}}
    told = await imagerouter(running, "explain", "-", stdin=json.dumps(document))

    assert told.returncode == 0, told.stderr
    assert "Left out" in told.stdout
    assert "latency" in told.stdout


async def test_watch_shows_every_event(running: Running) -> None:
    """Watching an image that has ended tells its whole story."""
    image = await running.router.create("A blue kite")
    told = await imagerouter(running, "watch", image.name, "--json")
    kinds = [next(iter(set(json.loads(line)) - {"sequence", "time"})) for line in told.stdout.splitlines()]

    assert kinds[0] == "accepted"
    assert kinds[-1] == "ended"


@pytest.mark.parametrize("arguments", [("create", ""), ("edit", "/nowhere.png", "x"), ("get", "images/none")])
async def test_errors_are_explained(running: Running, arguments: tuple[str, ...]) -> None:
    """A failed command says why on standard error and exits with 1, without a traceback."""
    told = await imagerouter(running, *arguments)

    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert told.stderr.strip()
