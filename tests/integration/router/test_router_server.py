"""The router over a real gRPC server, and as a process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from imagerouter.api.common.v1 import route_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.api.router.v1.router_service_pb2_grpc import (
    RouterServiceStub,
    add_RouterServiceServicer_to_server,
)
from imagerouter.catalogue import load_catalogue
from imagerouter.router import LoadedPolicy, load_policy, route
from imagerouter.router.main import SERVICE
from imagerouter.router.service import RouterService
from imagerouter.router.settings import RouterSettings
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.errors import InvalidField, PreconditionFailed
from imagerouter.runtime.server import Server
from imagerouter.runtime.settings import EXIT_CONFIG
from imagerouter.runtime.status import from_rpc_error
from tests.unit.router.router_cases import edit, generate, request

CATALOGUE = load_catalogue()


@pytest.fixture
def loaded() -> LoadedPolicy:
    """The policy as shipped."""
    return load_policy(CATALOGUE)


@pytest.fixture
async def router(loaded: LoadedPolicy) -> AsyncIterator[RouterServiceStub]:
    """A stub of a served router."""
    server = Server(RouterSettings(), name="router")
    server.add(SERVICE, add_RouterServiceServicer_to_server, RouterService(loaded, CATALOGUE))
    port = await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield RouterServiceStub(channel)
    finally:
        await server.stop(0)


async def test_the_served_decision_is_the_pure_one(router: RouterServiceStub, loaded: LoadedPolicy) -> None:
    """What comes over the wire is byte for byte what the pure function says, for an image and for its explanation."""
    asked = request(edit())
    first = (await router.Route(asked)).decision
    second = (await router.Route(asked)).decision
    pure = route(asked, loaded.policy, CATALOGUE)
    assert first.SerializeToString(deterministic=True) == pure.SerializeToString(deterministic=True)
    assert first == second
    assert first.policy_version == loaded.policy.version
    assert first.catalogue_version == CATALOGUE.version


async def test_no_route_travels_with_its_figures(router: RouterServiceStub) -> None:
    """FAILED_PRECONDITION, reason NO_ROUTE, and a line for each model in the details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await router.Route(request(generate(), time_left_ms=1))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    error = from_rpc_error(caught.value)
    assert isinstance(error, PreconditionFailed)
    assert error.reason == "NO_ROUTE"
    assert error.metadata["gpt-image-2"].startswith("LATENCY: p50 45000 ms (medium)")
    assert set(error.metadata) >= {model.id for model in CATALOGUE.models}


async def test_an_unknown_model_is_the_callers_field(router: RouterServiceStub) -> None:
    """INVALID_ARGUMENT with UNKNOWN_MODEL and the path."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await router.Route(request(generate(constraints={"models": ["gpt-imagine"]})))
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidField)
    assert error.reason == "UNKNOWN_MODEL"
    assert [violation.field for violation in error.fields] == ["constraints.models[0]"]


async def test_the_policy_in_force_can_be_read(router: RouterServiceStub, loaded: LoadedPolicy) -> None:
    """GetPolicy answers with the document as loaded, its digest and both versions."""
    answer = await router.GetPolicy(router_service_pb2.GetPolicyRequest())
    assert answer.document == loaded.document
    assert answer.digest == hashlib.sha256(answer.document.encode()).hexdigest()
    assert (answer.version, answer.catalogue_version) == (loaded.policy.version, CATALOGUE.version)


async def test_a_hundred_calls_at_once_agree(router: RouterServiceStub) -> None:
    """Nothing is shared between calls: all hundred answers are equal."""
    answers = await asyncio.gather(*(router.Route(request(edit())) for _ in range(100)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1


async def test_the_process_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    """It says ready, decides by the policy file of its environment, and leaves with 0."""
    file = tmp_path / "policy.toml"
    file.write_text(load_policy(CATALOGUE).document.replace('"2026-11-22.1"', '"2027-01-01.7"', 1))
    process = await _start(IMAGEROUTER_POLICY_FILE=str(file))
    assert process.stderr is not None
    try:
        line: dict[str, object] = {}
        async with asyncio.timeout(30):
            while line.get("event") != "ready":
                line = json.loads(await process.stderr.readline())
        async with open_channel(f"127.0.0.1:{line['port']}") as channel:
            decision = (await RouterServiceStub(channel).Route(request(generate()))).decision
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert decision.policy_version == "2027-01-01.7"
    assert decision.step == route_pb2.STEP_INITIAL
    assert process.returncode == 0


async def test_the_process_refuses_a_policy_that_means_nothing(tmp_path: Path) -> None:
    """Exit 78 and every problem on standard error, before anything is served."""
    document = load_policy(CATALOGUE).document
    file = tmp_path / "policy.toml"
    file.write_text(document.replace('"gemini-3-pro-image"', '"gemini-9"').replace('family = "gpt-image"', "tier = 8"))
    process = await _start(IMAGEROUTER_POLICY_FILE=str(file))
    async with asyncio.timeout(30):
        _, errors = await process.communicate()
    assert process.returncode == EXIT_CONFIG
    assert b"unknown model 'gemini-9'" in errors
    assert b"no model has tier 8" in errors


async def _start(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "imagerouter.router.main",
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "IMAGEROUTER_READINESS_INTERVAL_S": "0.1", "IMAGEROUTER_DRAIN_SETTLE_S": "0", **environment},
    )
