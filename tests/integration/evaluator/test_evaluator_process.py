"""The evaluator as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, task_pb2
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as pb
from imagerouter.api.evaluator.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from imagerouter.runtime.channel import open_channel
from imagerouter.storage import open_store
from tests.unit.evaluator.evaluator_pictures import encoded, scene


def children(pid: int) -> list[int]:
    """List the child processes of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_the_service_itself_loads_no_decoder() -> None:
    """Nothing that decodes images is in the process that holds the object store's keys."""
    source = (
        "import sys, imagerouter.evaluator.main; sys.exit(any(name.split('.')[0] == 'PIL' for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", source], timeout=30).returncode == 0


async def test_the_process_is_warm_when_ready_and_leaves_nobody_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it says ready its sandboxes run; it evaluates; SIGTERM ends it and them, with 0."""
    store = open_store(tmp_path.as_uri())
    ref = await store.put("acme", encoded(scene()))
    monkeypatch.setenv("IMAGEROUTER_ARTIFACT_STORE", tmp_path.as_uri())
    monkeypatch.setenv("IMAGEROUTER_READINESS_INTERVAL_S", "0.1")
    monkeypatch.setenv("IMAGEROUTER_SANDBOX_WORKERS", "3")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imagerouter.evaluator.main", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    lines = []
    async with asyncio.timeout(30):
        while not lines or lines[-1]["event"] != "ready":
            lines.append(json.loads(await process.stderr.readline()))
        sandboxes = children(process.pid)
        assert len(sandboxes) == 3
        outcome = attempt_pb2.Outcome(kind=attempt_pb2.OUTCOME_KIND_SUCCEEDED, artifacts=[ref])
        request = pb.EvaluateRequest(attempt_id="a", task=task_pb2.Task(tenant="acme"), outcome=outcome)
        async with open_channel(f"127.0.0.1:{lines[-1]['port']}") as channel:
            began = time.monotonic()
            found = (await EvaluatorServiceStub(channel).Evaluate(request)).evaluation
            took = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert [line["confined"] for line in lines if line["event"] == "sandbox_started"] == [["seccomp"]]
    assert found.verdict == evaluation_pb2.VERDICT_ACCEPT
    assert took < 1
    assert process.returncode == 0
    assert not [pid for pid in sandboxes if Path(f"/proc/{pid}").exists()]
