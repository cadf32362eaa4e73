"""From the text of a reply to the bytes of its images, off the event loop where they are big."""

from __future__ import annotations

import asyncio
import binascii
from typing import Final

import pybase64
import pydantic_core

from imagerouter.storage import HEAD_BYTES, sniff

# Below this many characters a thread costs more than the work.
_THREAD_FROM: Final = 262_144


class Decoder:
    """Parses replies, a few at a time: each holds several copies of an image while it is at work."""

    def __init__(self, concurrency: int) -> None:
        self._slots = asyncio.Semaphore(concurrency)

    async def parse(self, body: bytes | str) -> object:
        """Parse JSON. ValueError if it is none."""
        async with self._slots:
            # jiter: 2 ms for 10 MB where json.loads takes 10, all of it with the GIL held. A thread would not help.
            return pydantic_core.from_json(body, allow_inf_nan=False, cache_strings="keys")

    async def picture(self, text: str) -> bytes | None:
        """Decode base64 of either alphabet. None if it is not base64, or not of an image."""
        async with self._slots:
            data = await asyncio.to_thread(_decode, text) if len(text) >= _THREAD_FROM else _decode(text)
        return data if data is not None and sniff(data[:HEAD_BYTES]).startswith("image/") else None


def _decode(text: str) -> bytes | None:
    altchars = b"-_" if "-" in text or "_" in text else None
    try:
        return pybase64.b64decode(text, altchars=altchars, validate=True)
    except (binascii.Error, ValueError):
        return None
