"""The artifact service as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from imagerouter.api.artifact.v1 import artifact_service_pb2 as pb
from imagerouter.api.artifact.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from imagerouter.runtime.channel import open_channel


async def test_the_process_serves_and_ends_on_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started with nothing but the environment it becomes ready, stores an artifact, and SIGTERM ends it with 0."""
    monkeypatch.setenv("IMAGEROUTER_ARTIFACT_STORE", tmp_path.as_uri())
    monkeypatch.setenv("IMAGEROUTER_READINESS_INTERVAL_S", "0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imagerouter.artifact.main", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while True:
            line = json.loads(await process.stderr.readline())
            if line["event"] == "ready":
                break
        async with open_channel(f"127.0.0.1:{line['port']}") as channel:
            requests = [pb.UploadRequest(header=pb.UploadHeader()), pb.UploadRequest(data=b"bytes")]
            ref = (await ArtifactServiceStub(channel).Upload(requests)).artifact
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert process.returncode == 0
    assert (tmp_path / "default" / "sha256" / ref.digest[:2] / ref.digest).read_bytes() == b"bytes"


async def test_a_bad_configuration_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is none ends the process with 78, and the message names the variable."""
    monkeypatch.setenv("IMAGEROUTER_ARTIFACT_STORE", "artifacts")
    monkeypatch.setenv("IMAGEROUTER_MAX_ARTIFACT_BYTES", "0")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imagerouter.artifact.main", stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        _, problems = await process.communicate()

    assert process.returncode == 78
    assert b"IMAGEROUTER_ARTIFACT_STORE" in problems
    assert b"IMAGEROUTER_MAX_ARTIFACT_BYTES" in problems
