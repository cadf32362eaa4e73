"""The sandbox process: what it may do, and what becomes of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from evaluator_rig import LIMITS, pool, slow
from PIL import Image

from imagerouter.evaluator.measure import measure
from imagerouter.evaluator.measurement import Measurement, Problem
from imagerouter.evaluator.pool import SandboxPool
from imagerouter.evaluator.worker import Worker
from imagerouter.runtime.errors import Unavailable
from tests.unit.evaluator.evaluator_pictures import NOT_IMAGES, bomb, encoded, noise, scene

GOOD = encoded(scene())

TRY_TO_ESCAPE = """
import json, os, socket, sys
from imagerouter.evaluator import confine

confine.limit(1 << 30, 5)
filtered = confine.filter_calls()

def blocked(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return None

print(json.dumps({
    "filtered": filtered,
    "open": blocked(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "create": blocked(lambda: os.open("/tmp/escaped", os.O_CREAT | os.O_WRONLY)),
    "delete": blocked(lambda: os.unlink("/tmp/escaped")),
    "list": blocked(lambda: os.listdir("/")),
    "socket": blocked(lambda: socket.socket()),
    "fork": blocked(os.fork),
    "exec": blocked(lambda: os.execv("/bin/true", ["true"])),
    "kill": blocked(lambda: os.kill(os.getppid(), 0)),
    "environment": blocked(lambda: os.open(f"/proc/{os.getppid()}/environ", os.O_RDONLY)),
}), flush=True)
"""


@pytest.fixture
async def sandboxes() -> AsyncIterator[SandboxPool]:
    """Start a pool of one process."""
    async with pool() as started:
        yield started


def processes(sandboxes: SandboxPool) -> set[int]:
    """List the process ids of a pool."""
    return {worker.pid for worker in sandboxes._live}


async def settled(sandboxes: SandboxPool) -> None:
    """Wait until replacements are up."""
    async with asyncio.timeout(10):
        while sandboxes._replacing:
            await asyncio.wait(sandboxes._replacing)


async def busy(sandboxes: SandboxPool) -> None:
    """Wait until an image is being decoded: processor time passes in the process."""
    (worker,) = sandboxes._live

    def ticks() -> int:
        return int(Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[11])

    before = ticks()
    async with asyncio.timeout(10):
        while ticks() < before + 10:
            await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_a_confined_process_can_do_nothing_but_compute() -> None:
    """After confinement no file is opened, made or deleted, no socket, no process, no signal, nobody's memory."""
    import errno
    import json

    tried = subprocess.run([sys.executable, "-c", TRY_TO_ESCAPE], capture_output=True, text=True, check=True)
    outcome = json.loads(tried.stdout)

    assert outcome.pop("filtered") is True
    assert outcome == dict.fromkeys(outcome, errno.EPERM)
    assert not Path("/tmp/escaped").exists()


async def test_the_sandbox_measures_what_the_decoder_measures(sandboxes: SandboxPool) -> None:
    """Confinement takes nothing away that decoding needs, for any format and kind of pixel."""
    pictures = [encoded(scene(), form) for form in ("PNG", "JPEG", "WEBP")]
    pictures += [encoded(scene().convert(mode)) for mode in ("1", "L", "LA", "P", "RGBA")]
    pictures += [encoded(scene().convert("CMYK"), "JPEG"), encoded(scene(), "JPEG", progressive=True)]
    pictures += [encoded(Image.new("I;16", (90, 40), 40_000)), encoded(scene(), "WEBP", lossless=True)]
    turned = Image.Exif()
    turned[0x0112] = 6
    pictures += [encoded(scene(), "JPEG", exif=turned)]

    for picture in pictures:
        assert await sandboxes.measure(picture) == measure(picture, LIMITS)
        assert measure(picture, LIMITS).problem == Problem.NONE


async def test_the_sandbox_has_nothing_to_steal(sandboxes: SandboxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has three pipes and an empty environment, is its own session, and is confined by seccomp."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    async with pool() as later:
        (pid,) = processes(later)
        process = Path(f"/proc/{pid}")
        assert sorted(entry.name for entry in (process / "fd").iterdir()) == ["0", "1", "2"]
        assert b"canary" not in (process / "environ").read_bytes()
        assert os.getsid(pid) == pid
        assert "Seccomp:\t2" in (process / "status").read_text()


async def test_hostile_bytes_are_findings(sandboxes: SandboxPool) -> None:
    """Text, markup, documents and nothing at all are measured as no image; the process lives on."""
    before = processes(sandboxes)

    for data in NOT_IMAGES.values():
        assert (await sandboxes.measure(data)).problem == Problem.NOT_AN_IMAGE
    assert processes(sandboxes) == before


async def test_truncated_files_are_findings(sandboxes: SandboxPool) -> None:
    """Cut off anywhere, near the end above all, a file is found to be truncated."""
    for form in ("PNG", "JPEG", "WEBP"):
        whole = encoded(noise(128, 40, (96, 96)), form)
        for cut in (20, len(whole) // 4, len(whole) // 2, len(whole) - 1000, len(whole) - 12, len(whole) - 1):
            assert (await sandboxes.measure(whole[:cut])).problem == Problem.TRUNCATED
        assert (await sandboxes.measure(whole)).problem == Problem.NONE


async def test_a_decompression_bomb_costs_nothing(sandboxes: SandboxPool) -> None:
    """A PNG of 50 KB that would be 20,000 by 20,000 pixels is refused in a moment, by a process that stays small."""
    data = bomb(20_000)
    assert len(data) < 60_000
    (pid,) = processes(sandboxes)

    assert (await sandboxes.measure(data)).problem == Problem.SIDE_TOO_LONG
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 120 * 1024


async def test_a_bomb_that_passes_the_limits_meets_the_memory_limit() -> None:
    """Were the pixel limits wrong, the address space would still be bounded: a finding, and the next image is fine."""
    async with pool(limits=replace(slow(), memory_bytes=300 * 1024 * 1024)) as sandboxes:
        assert (await sandboxes.measure(bomb(20_000))).problem == Problem.OUT_OF_MEMORY
        assert (await sandboxes.measure(GOOD)).problem == Problem.NONE


async def test_an_image_that_takes_too_much_processor_time_is_stopped() -> None:
    """The kernel ends a decoder at its processor limit: a finding, no second try, and the next image is fine."""
    async with pool(limits=slow(cpu_s=0.3)) as sandboxes:
        before = processes(sandboxes)
        assert (await sandboxes.measure(bomb(20_000))).problem == Problem.TOO_SLOW
        assert (await sandboxes.measure(GOOD)).problem == Problem.NONE
        assert processes(sandboxes).isdisjoint(before)


async def test_an_image_that_takes_too_long_is_stopped() -> None:
    """A decoder that does not answer in time is killed and replaced."""
    async with pool(limits=slow(), timeout_s=0.3) as sandboxes:
        before = processes(sandboxes)
        assert (await sandboxes.measure(bomb(20_000))).problem == Problem.TOO_SLOW
        assert (await sandboxes.measure(GOOD)).problem == Problem.NONE
        assert processes(sandboxes).isdisjoint(before)
        for pid in before:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_a_decoder_killed_from_outside_costs_the_image_nothing() -> None:
    """An image whose decoder is killed half way is decoded by another: it is not to blame."""
    async with pool(limits=slow()) as sandboxes:
        measuring = asyncio.create_task(sandboxes.measure(bomb(6_500)))
        await busy(sandboxes)
        for pid in processes(sandboxes):
            os.kill(pid, signal.SIGKILL)

        assert (await measuring).problem == Problem.NONE


async def test_an_image_that_kills_two_decoders_is_to_blame(
    sandboxes: SandboxPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second death is a finding; the pool goes on with a fresh process."""
    asked = 0
    exchange = Worker.exchange

    def dying(self: Worker, data: bytes) -> bytes:
        nonlocal asked
        if data == b"deadly":
            asked += 1
            self._process.kill()
        return exchange(self, data)

    monkeypatch.setattr(Worker, "exchange", dying)
    assert await sandboxes.measure(b"deadly") == Measurement(Problem.CRASHED)
    assert asked == 2
    assert (await sandboxes.measure(GOOD)).problem == Problem.NONE


async def test_a_sandbox_that_answers_nonsense_is_replaced(
    sandboxes: SandboxPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that is no measurement is not believed, and neither is the process again."""
    before = processes(sandboxes)
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "exchange", lambda self, data: b'{"problem": "", "width": 1e9}')
        assert await sandboxes.measure(GOOD) == Measurement(Problem.CRASHED)

    assert (await sandboxes.measure(GOOD)).problem == Problem.NONE
    assert processes(sandboxes).isdisjoint(before)


async def test_a_process_is_replaced_after_its_share_of_images() -> None:
    """Nothing that an image left behind in a process outlives the share; no image is lost in the change."""
    async with pool(images_per_worker=3) as sandboxes:
        seen = set()
        for _ in range(7):
            assert (await sandboxes.measure(GOOD)).problem == Problem.NONE
            await settled(sandboxes)
            seen |= processes(sandboxes)

        assert len(seen) == 3
        assert await sandboxes.ready()


async def test_callers_that_go_away_do_not_wedge_the_pool() -> None:
    """Twenty callers that give up at random moments, in the middle of decoding too, leave a pool that works."""
    source = random.Random(3)
    async with pool(workers=2, limits=slow()) as sandboxes:
        for _ in range(10):
            pair = [asyncio.create_task(sandboxes.measure(bomb(6_000))) for _ in range(2)]
            await asyncio.sleep(source.uniform(0, 0.15))
            for task in pair:
                task.cancel()
            await asyncio.gather(*pair, return_exceptions=True)
        async with asyncio.timeout(15):
            found = await asyncio.gather(*(sandboxes.measure(GOOD) for _ in range(6)))

        assert all(one.problem == Problem.NONE for one in found)
        await settled(sandboxes)
        assert len(processes(sandboxes)) == 2


async def test_images_are_decoded_side_by_side() -> None:
    """Two processes decode at the same time: while one is at it, the other answers."""
    async with pool(workers=2, limits=slow()) as sandboxes:
        long = asyncio.create_task(sandboxes.measure(bomb(6_500)))
        await asyncio.sleep(0.05)
        assert (await sandboxes.measure(GOOD)).problem == Problem.NONE
        assert not long.done()
        assert (await long).problem == Problem.NONE


async def test_closing_ends_every_process_and_every_wait() -> None:
    """A pool that is closed in the middle of work leaves no process, and nobody waiting."""
    sandboxes = pool(limits=slow())
    async with sandboxes:
        pids = processes(sandboxes)
        waiting = [asyncio.create_task(sandboxes.measure(bomb(6_500))) for _ in range(3)]
        await busy(sandboxes)
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(one, Unavailable) for one in ended)
    assert not await sandboxes.ready()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_service_that_is_killed_leaves_no_sandbox_behind() -> None:
    """The processes end when the pipe from their service does, even if the service could not say goodbye."""
    source = (
        "import sys\n"
        "from imagerouter.evaluator.measurement import Limits\n"
        "from imagerouter.evaluator.worker import Worker\n"
        "worker = Worker(Limits.from_json(sys.argv[1]), 10); worker.wait_ready()\n"
        "print(worker.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", source, LIMITS.to_json()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    async with asyncio.timeout(5):
        # An orphan may stay as a zombie where nobody reaps: gone or dead, not running.
        while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
            await asyncio.sleep(0.02)
