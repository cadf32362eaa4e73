"""A process that makes one long call to the port it is given."""

from __future__ import annotations

import asyncio
import sys

from runtime_rig import Stub, text

from imagerouter.runtime.channel import open_channel


async def main(port: str) -> None:
    async with open_channel(f"127.0.0.1:{port}") as channel:
        await Stub(channel).Unary(text())


asyncio.run(main(sys.argv[1]))
