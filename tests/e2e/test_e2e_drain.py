"""Rolling restarts and crashes of real processes under load."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import urllib.request
from pathlib import Path

import pytest

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli import reconcile
from imagerouter.cli.suite import Suite, SuiteOptions
from imagerouter.client import ImageRouter


def asked(suite: Suite) -> int:
    """How many requests the providers got."""
    total = 0
    for provider in ("openai", "google"):
        url = f"http://{suite.address(f'emulator-{provider}')}/_control/requests"
        with urllib.request.urlopen(url, timeout=5) as reply:
            total += json.load(reply)["total"]
    return total


SERVICES = ("normalizer", "router", "adapter-openai", "adapter-google", "evaluator", "artifact", "orchestrator")
CALLERS = 6


@pytest.mark.timeout(300)
async def test_sigterm_of_each_service_under_load(tmp_path: Path) -> None:
    """Every service is told to stop and is started again while callers make and fetch images: no call fails, and
    nothing is executed twice."""
    options = SuiteOptions(
        tmp_path,
        speed=0.005,
        replicas=dict.fromkeys(SERVICES, 2),
        settings={"IMAGEROUTER_DRAIN_SETTLE_S": "0.5"},
    )
    made: list[images.Image] = []
    failures: list[BaseException] = []
    done = asyncio.Event()
    async with Suite(options) as suite:
        async with ImageRouter(suite.target("orchestrator"), artifacts=suite.target("artifact")) as router:

            async def caller(number: int) -> None:
                for turn in itertools.count():
                    if done.is_set():
                        return
                    try:
                        model = ("gpt-image-1.5", "gemini-3.1-flash-lite-image")[turn % 2]
                        request = images.CreateImageRequest(prompt=f"Kite {number} {turn}")
                        request.constraints.models.append(model)
                        image = await router.create_from(request)
                        await router.download(image.artifacts[0])
                        made.append(image)
                    except Exception as error:  # any failure is the finding
                        failures.append(error)

            callers = [asyncio.create_task(caller(number)) for number in range(CALLERS)]
            for service in SERVICES:
                before = len(made)
                assert await suite.stop_one(service) == 0, f"{service} did not end cleanly"
                await suite.start(service)
                await suite.ready(service)
                while len(made) < before + CALLERS and not failures:
                    await asyncio.sleep(0.05)
            done.set()
            await asyncio.gather(*callers)
        books = reconcile.compare(made, tmp_path / "journal")

    assert not failures, failures[:3]
    assert all(image.state == images.IMAGE_STATE_SUCCEEDED for image in made)
    assert books.balanced, "\n".join(books.lines())


@pytest.mark.timeout(180)
async def test_kill_of_the_orchestrator_is_survived(tmp_path: Path) -> None:
    """Kill -9 while a provider is at work: the other replica carries the image on, and what had been sent is unknown,
    not resent."""
    options = SuiteOptions(
        tmp_path,
        speed=0.01,
        replicas={"orchestrator": 2},
        settings={"IMAGEROUTER_LEASE_S": "2", "IMAGEROUTER_SWEEP_S": "0.3"},
    )
    async with Suite(options) as suite:
        await suite.order_fault("openai", {"preset": "slow_headers", "times": 1})
        async with ImageRouter(f"ipv4:{suite.address('orchestrator')}") as doomed:
            named: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            async def on_name(name: str) -> None:
                named.set_result(name)

            request = images.CreateImageRequest(prompt="A kite", request_id="killed")
            request.constraints.models.extend(["gpt-image-2.5-flare", "gemini-3.1-flash-lite-image"])
            call = asyncio.create_task(doomed.create_from(request, on_name=on_name))
            name = await named
            while not await asyncio.to_thread(asked, suite):
                await asyncio.sleep(0.05)
            suite.processes["orchestrator"].send_signal(signal.SIGKILL)
            await suite.processes["orchestrator"].wait()
            await asyncio.gather(call, return_exceptions=True)
        async with ImageRouter(f"ipv4:{suite.address('orchestrator-2')}") as survivor:
            async with asyncio.timeout(60):
                events = [event async for event in survivor.watch(name)]
            again = await survivor.create_from(request)
        image = events[-1].ended
        journal = [line for file in (tmp_path / "journal").glob("*.jsonl") for line in file.read_text().splitlines()]

    assert image.state == images.IMAGE_STATE_SUCCEEDED
    assert [attempt.state for attempt in image.receipt.attempts] == [
        attempt_pb2.ATTEMPT_STATE_UNKNOWN,
        attempt_pb2.ATTEMPT_STATE_SUCCEEDED,
    ]
    assert again.name == image.name
    assert len(journal) <= 2
