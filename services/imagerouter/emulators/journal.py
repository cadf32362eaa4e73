"""The journal: one line for every execution that would have been billed, on disk before the answer goes out."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imagerouter.emulators.pricing import Price, Tally


@dataclass(frozen=True)
class Execution:
    """What is journaled of an execution. `time` is UTC, ISO 8601; `correlation_id` is the caller's, or ""."""

    time: str
    provider: str
    model: str
    model_requested: str
    operation: str
    correlation_id: str
    n: int
    size: str
    quality: str
    usage: Tally
    price: Price
    request_hash: str
    fault: str = ""

    def line(self, number: int) -> dict[str, Any]:
        """The journal's line as a JSON object."""
        fields = asdict(self)
        del fields["price"]
        return {
            "id": f"{self.provider}-{number:06d}",
            **fields,
            "price_micros": self.price.micros,
            "components": {name: str(value) for name, value in self.price.components.items()},
        }


class Journal:
    """An append-only file of JSON lines, written and fsynced one by one. Opening one that exists goes on after it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = _whole_lines(path)
        self._file = path.open("ab", buffering=0)
        self._turn = asyncio.Lock()

    async def append(self, execution: Execution) -> str:
        """Write a line and force it to disk; its id. Returns only when it would survive a crash."""
        async with self._turn:
            line = execution.line(len(self._lines) + 1)
            await asyncio.to_thread(self._write, line)
            self._lines.append(line)
        return str(line["id"])

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        os.fsync(self._file.fileno())

    def lines(self) -> list[dict[str, Any]]:
        """Every line, oldest first."""
        return list(self._lines)

    async def reset(self) -> None:
        """Forget everything, on disk too. For tests that count from nothing."""
        async with self._turn:
            await asyncio.to_thread(os.ftruncate, self._file.fileno(), 0)
            self._lines.clear()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of an existing journal. A torn last one was never answered for: it is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]
