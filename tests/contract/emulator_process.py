"""An emulator as the conformance tests use it: what was asked and what was billed, by attempt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from imagerouter.emulators.process import EmulatorProcess


class Emulator(EmulatorProcess):
    """A running emulator that answers as fast as it draws."""

    def __init__(self, provider: str, folder: Path) -> None:
        super().__init__(provider, journal=folder / provider, speed=0.0)

    async def posts(self, attempt_id: str) -> list[dict[str, Any]]:
        """The POSTs of an attempt."""
        found = await asyncio.to_thread(self.requests, attempt_id)
        return [record for record in found if record["method"] == "POST"]

    def lines(self, attempt_id: str | None = None) -> list[dict[str, Any]]:
        """The journal's lines, of one attempt or all."""
        return [line for line in self.executions() if attempt_id in (None, line["correlation_id"])]

    def price_of(self, attempt_id: str) -> int | None:
        """What an attempt was billed, in micro-dollars; None if it was not."""
        lines = self.lines(attempt_id)
        assert len(lines) <= 1
        return int(lines[0]["price_micros"]) if lines else None

    def presets(self) -> list[str]:
        """The faults that have names."""
        return list(self.control("presets"))
