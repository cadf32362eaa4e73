"""Bytes of unknown length on their way in: counted, hashed and held in bounded memory until they are whole."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from imagerouter.storage.media import HEAD_BYTES

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MEMORY_BYTES: Final = 4 * 1024 * 1024
_BATCH_BYTES: Final = 1024 * 1024


async def in_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run blocking work off the event loop. A cancelled caller still waits for the thread to let go of its arguments.

    `asyncio.to_thread` would return at once, and the file be closed under a thread that writes to it.
    """
    future = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


class Spool:
    """A temporary file that knows its SHA-256: up to 4 MiB in memory, on disk beyond that, gone when left."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed by __aexit__
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.size = 0
        self.head = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await in_thread(self._file.close)

    async def write(self, piece: bytes) -> None:
        """Take the next piece. Small ones are gathered, so that a thread is worth its switch."""
        self.size += len(piece)
        if len(self.head) < HEAD_BYTES:
            self.head += bytes(piece[: HEAD_BYTES - len(self.head)])
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= _BATCH_BYTES:
            await self._flush()

    async def digest(self) -> str:
        """Return the SHA-256 of all that was written, in hexadecimal."""
        await self._flush()
        return self._hash.hexdigest()

    async def read_all(self) -> bytes:
        """Return all of it at once."""
        return await in_thread(self._read, 0, self.size)

    async def pieces(self, length: int) -> AsyncIterator[bytes]:
        """Yield all of it, `length` bytes at a time."""
        for start in range(0, self.size, length):
            yield await in_thread(self._read, start, length)

    async def _flush(self) -> None:
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if pieces:
            await in_thread(self._absorb, pieces)

    def _absorb(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._hash.update(piece)
            self._file.write(piece)

    def _read(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        return self._file.read(length)
