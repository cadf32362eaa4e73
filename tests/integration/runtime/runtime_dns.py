"""A DNS server that answers every question with the same addresses."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Self


class DnsServer(asyncio.DatagramProtocol):
    """Serves A records with a TTL of one second on a free UDP port of loopback; `addresses` may change."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = list(addresses)
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = data[12:]
        length = 0
        while question[length]:
            length += question[length] + 1
        question = question[: length + 5]
        (kind,) = struct.unpack("!H", question[length + 1 : length + 3])
        answers = self.addresses if kind == 1 else []
        header = data[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(address) for address in answers
        )
        self._transport.sendto(header + question + records, addr)
