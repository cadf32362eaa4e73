"""Bytes on their way in."""

import asyncio
import hashlib
import threading

import pytest

from imagerouter.storage.spool import Spool, in_thread


@pytest.mark.parametrize("sizes", [[], [1], [7, 0, 9], [256 * 1024] * 5, [3 * 1024 * 1024 + 1] * 2])
async def test_what_goes_in_comes_out_with_its_hash(sizes: list[int]) -> None:
    """Digest, size and bytes are right below and above what is held in memory, however the pieces fall."""
    pieces = [bytes([i + 1]) * size for i, size in enumerate(sizes)]
    whole = b"".join(pieces)
    async with Spool() as spool:
        for piece in pieces:
            await spool.write(piece)

        assert await spool.digest() == hashlib.sha256(whole).hexdigest()
        assert spool.size == len(whole)
        assert spool.head == whole[:16]
        assert await spool.read_all() == whole
        assert b"".join([piece async for piece in spool.pieces(1000_000)]) == whole


async def test_a_cancelled_caller_waits_for_its_thread() -> None:
    """When cancellation comes through, no thread is still using what the caller is about to close."""
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(5)
        done.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    go.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
