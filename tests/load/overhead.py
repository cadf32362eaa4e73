"""What the suite adds to a provider's own time, and how many images it carries at once.

`make bench`, or `python -m tests.load.overhead --images 200 --at-once 16`. It starts the suite with emulators that do
not wait, so that all that is measured is work: ours, and the emulators' drawing, which shares the machine. Figures are
for comparing two versions on one machine in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.suite import Suite, SuiteOptions
from imagerouter.client import ImageRouter


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def overhead_ms(image: images.Image, waited_s: float) -> float:
    """What a caller waited beyond the provider's own time, in milliseconds."""
    provider = sum(
        attempt.outcome.timing.provider_duration.ToTimedelta().total_seconds() for attempt in image.receipt.attempts
    )
    return (waited_s - provider) * 1000


async def measure(count: int, at_once: int) -> None:
    """Make `count` images, `at_once` at a time, and print where their time went."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Suite(SuiteOptions(Path(folder), speed=0.0)) as suite,
            ImageRouter(suite.target("orchestrator"), artifacts=suite.target("artifact")) as router,
        ):
            gate = asyncio.Semaphore(at_once)
            over: list[float] = []
            hops: dict[str, list[float]] = defaultdict(list)

            async def one(number: int) -> None:
                constraints = task_pb2.Constraints(models=["gpt-image-1.5"])
                async with gate:
                    began = time.perf_counter()
                    image = await router.create(f"A plain grey stone, number {number}", constraints=constraints)
                    over.append(overhead_ms(image, time.perf_counter() - began))
                for hop in image.receipt.hops:
                    hops[f"{hop.service}.{hop.method}"].append(hop.duration.ToTimedelta().total_seconds() * 1000)

            await asyncio.gather(*(one(number) for number in range(at_once)))  # warm
            over.clear()
            hops.clear()
            began = time.perf_counter()
            await asyncio.gather(*(one(number) for number in range(count)))
            took = time.perf_counter() - began
    print(f"{count} images, {at_once} at a time: {count / took:.1f} images/s")
    print(f"overhead beyond the provider: p50 {statistics.median(over):.0f} ms, p95 {percentile(over, 0.95):.0f} ms")
    for name, values in hops.items():
        print(f"  {name:<28} p50 {statistics.median(values):7.1f} ms   p95 {percentile(values, 0.95):7.1f} ms")


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.images, arguments.at_once))


if __name__ == "__main__":
    main()
