"""What the emulator was asked: one record for each request, for tests to count and read."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEEP = 10_000
# Headers worth recording. Never the key.
_HEADERS = (
    "user-agent",
    "content-type",
    "x-client-request-id",
    "x-stainless-retry-count",
    "x-stainless-read-timeout",
    "x-server-timeout",
    "x-goog-api-client",
    "idempotency-key",
    "traceparent",
)


@dataclass
class Record:
    """A request and what became of it.

    `outcome` is the HTTP status sent, "dropped", "cut" (mid-body) or "gone" (the client left before the answer);
    `executed` says whether work was started, `journal_id` names its line if it was billed.
    """

    number: int
    time: str
    method: str
    path: str
    headers: dict[str, str]
    body_bytes: int
    body_digest: str
    correlation_id: str
    model: str = ""
    operation: str = ""
    fault: str = ""
    executed: bool = False
    journal_id: str = ""
    disconnected: bool = False
    outcome: str = ""
    duration_ms: int = 0


@dataclass
class History:
    """The latest requests, oldest first, and how many there have been at all."""

    total: int = 0
    _records: deque[Record] = field(default_factory=lambda: deque(maxlen=_KEEP))

    def open(self, time: str, method: str, path: str, headers: dict[str, str], body: bytes, digest: str) -> Record:
        """Begin the record of a request."""
        self.total += 1
        kept = {name: headers[name] for name in _HEADERS if name in headers}
        correlation = headers.get("x-client-request-id", "")
        record = Record(self.total, time, method, path, kept, len(body), digest, correlation)
        self._records.append(record)
        return record

    def records(self, correlation_id: str = "", path: str = "") -> list[dict[str, Any]]:
        """The records, optionally of one correlation id, or with `path` in their path."""
        return [
            asdict(each)
            for each in self._records
            if (not correlation_id or each.correlation_id == correlation_id) and path in each.path
        ]

    def reset(self) -> None:
        """Forget every request."""
        self.total = 0
        self._records.clear()
