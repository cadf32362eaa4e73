"""What a local store looks like while it is written to and after its writer was killed; and an S3 that is gone."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imagerouter.runtime.errors import Unavailable
from imagerouter.storage import open_store
from imagerouter.storage.spool import Spool

SIZE = 20 * 1024 * 1024

WRITER = f"""
import asyncio, itertools, sys
from imagerouter.storage import open_store

async def main() -> None:
    store = open_store(sys.argv[1])
    for number in itertools.count(int(sys.argv[2])):
        await store.put("acme", number.to_bytes(4, "big") * {SIZE // 4})

asyncio.run(main())
"""

METER = """
import asyncio, resource, sys
from imagerouter.storage import open_store

async def pieces():
    for number in range(1200):
        yield number.to_bytes(2, "big") * 131072

async def main() -> None:
    store = open_store(sys.argv[1])
    await store.put("acme", b"warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ref = await store.put("acme", pieces(), max_bytes=2**30)
    async for _ in store.stream("acme", ref.digest):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main())
"""


def artifacts(directory: Path) -> list[Path]:
    """Find all files under an artifact's name."""
    return [path for path in directory.rglob("*") if re.fullmatch("[0-9a-f]{64}", path.name)]


def staged(directory: Path) -> list[Path]:
    """Find all files that are not yet, or never will be, artifacts."""
    return [path for path in directory.rglob("*#*") if path.is_file()]


async def test_a_killed_writer_leaves_no_half_artifact(tmp_path: Path) -> None:
    """At no moment, nor after SIGKILL, has a file under an artifact's name fewer bytes than the artifact.

    What a kill leaves behind does not stand in the way of the next upload.
    """
    for _ in range(3):
        before = len(artifacts(tmp_path))
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path.as_uri(), str(before)])
        with writer:
            # One artifact whole, then the kill falls while another is being written.
            while len(artifacts(tmp_path)) == before or not staged(tmp_path):
                assert {path.stat().st_size for path in artifacts(tmp_path)} <= {SIZE}
            writer.kill()
    assert staged(tmp_path)
    whole = artifacts(tmp_path)
    assert whole
    for path in whole:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name

    store = open_store(tmp_path.as_uri())
    for number in range(len(whole) + 2):
        ref = await store.put("acme", number.to_bytes(4, "big") * (SIZE // 4))
        assert (await store.stat("acme", ref.digest)).size_bytes == SIZE


def test_memory_does_not_grow_with_the_artifact(tmp_path: Path) -> None:
    """Upload and download of 300 MiB, let through for once, take a third of that at most."""
    meter = subprocess.run(
        [sys.executable, "-c", METER, tmp_path.as_uri()], capture_output=True, text=True, check=True, timeout=60
    )

    assert int(meter.stdout) < 100 * 1024


async def test_hashing_and_file_access_leave_the_event_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hashing, no temporary file is touched in the thread of the event loop."""
    threads: set[int] = set()
    absorb, read = Spool._absorb, Spool._read

    def absorbing(self: Spool, pieces: list[bytes]) -> None:
        threads.add(threading.get_ident())
        absorb(self, pieces)

    def reading(self: Spool, start: int, length: int) -> bytes:
        threads.add(threading.get_ident())
        return read(self, start, length)

    monkeypatch.setattr(Spool, "_absorb", absorbing)
    monkeypatch.setattr(Spool, "_read", reading)
    await open_store("memory://").put("acme", bytes(9 * 1024 * 1024))

    assert threads
    assert threading.get_ident() not in threads


async def test_a_store_that_is_gone_is_unavailable_and_says_nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead object store is UNAVAILABLE with a time to wait, and neither address nor key leaks to the caller."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    store = open_store("s3://artifacts")

    assert not await store.ready()
    with pytest.raises(Unavailable) as caught:
        await store.put("acme", b"x")
    assert caught.value.retry_after_s
    assert caught.value.metadata == {"dependency": "artifact_store"}
    assert "127.0.0.1" not in caught.value.message
    assert "canary" not in caught.value.message


async def test_a_directory_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A file in the place of a tenant's directory is our trouble, not the caller's."""
    store = open_store(tmp_path.as_uri())
    (tmp_path / "acme").write_bytes(b"")

    with pytest.raises(Unavailable):
        await store.put("acme", b"x")
