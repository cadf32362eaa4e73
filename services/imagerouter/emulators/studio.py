"""Where pictures are drawn: threads, so that the event loop goes on answering."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pybase64

from imagerouter.emulators.render.artwork import Artwork, make


class Studio:
    """A pool of drawing threads; Pillow and numpy let go of the interpreter lock for most of their work."""

    def __init__(self, threads: int = 2) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="studio")

    async def draw(self, artworks: Sequence[Artwork]) -> list[list[str]]:
        """Base64 of every stage of every artwork; the finished picture is each list's last."""
        loop = asyncio.get_running_loop()
        return list(await asyncio.gather(*(loop.run_in_executor(self._pool, _encoded, each) for each in artworks)))

    def warm_up(self) -> None:
        """Load fonts and words in every thread, so that the first picture takes no longer than the rest."""
        for index in range(self._threads):
            self._pool.submit(make, Artwork(prompt="poster", width=64, height=64, seed="", index=index))

    def close(self) -> None:
        """Let the threads end; what is being drawn is finished."""
        self._pool.shutdown(cancel_futures=True)


def _encoded(artwork: Artwork) -> list[str]:
    return [pybase64.b64encode(stage).decode() for stage in make(artwork)]
