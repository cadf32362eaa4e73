"""The normalizer as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.api.normalizer.v1.normalizer_service_pb2_grpc import NormalizerServiceStub
from imagerouter.runtime.channel import open_channel

CANARY = "canary-7f3a"


async def test_the_process_serves_logs_no_prompt_and_ends_on_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started with nothing but the environment it becomes ready and answers; SIGTERM ends it with 0; its log is mute
    about the prompt.
    """
    monkeypatch.setenv("IMAGEROUTER_ARTIFACT_STORE", tmp_path.as_uri())
    monkeypatch.setenv("IMAGEROUTER_READINESS_INTERVAL_S", "0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "imagerouter.normalizer.main", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while True:
            line = json.loads(await process.stderr.readline())
            if line["event"] == "ready":
                break
        async with open_channel(f"127.0.0.1:{line['port']}") as channel:
            reply = await NormalizerServiceStub(channel).Normalize(
                pb.NormalizeRequest(tenant="acme", prompt=f"a poster {CANARY}")
            )
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()

    assert reply.task.features.text_deliverable == "poster"
    assert process.returncode == 0
    assert b"Normalize" in log
    assert CANARY.encode() not in log
