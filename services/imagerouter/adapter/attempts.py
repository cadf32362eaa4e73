"""Which attempts this process has seen, so that none is executed twice by it. Pure; held in memory and bounded.

The ledger is what makes an attempt single. This record is the second line: a caller that resends a call, or a proxy
that retries it, meets the first execution and not a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from imagerouter.adapter.failures import cancelled
from imagerouter.adapter.transport import Wire
from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.runtime.errors import AlreadyExists


@dataclass
class _Seen:
    fingerprint: bytes
    outcome: attempt_pb2.Outcome | None = None


class AttemptRecord:
    """The last `capacity` attempts. Running ones are never forgotten, finished ones oldest first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def begin(self, attempt_id: str, fingerprint: bytes) -> attempt_pb2.Outcome | None:
        """Claim an attempt. None: it is new, execute it. An outcome: it has ended so, replay that.

        AlreadyExists if it is running, or was asked for with another request.
        """
        seen = self._seen.get(attempt_id)
        if seen is None:
            self._seen[attempt_id] = _Seen(fingerprint)
            self._forget()
            return None
        if seen.fingerprint != fingerprint:
            raise AlreadyExists("attempt_id", "was used with another request")
        if seen.outcome is None:
            raise AlreadyExists("attempt_id", "is being executed")
        return seen.outcome

    def end(self, attempt_id: str, outcome: attempt_pb2.Outcome) -> None:
        """Keep how it ended."""
        self._seen[attempt_id].outcome = outcome

    def abandon(self, attempt_id: str) -> None:
        """Note that an attempt was cancelled before it began, unless it has an outcome: it will never be sent."""
        seen = self._seen[attempt_id]
        if seen.outcome is None:
            seen.outcome = cancelled(Wire())

    def _forget(self) -> None:
        surplus = len(self._seen) - self._capacity
        for attempt_id in [name for name, seen in self._seen.items() if seen.outcome is not None][: max(surplus, 0)]:
            del self._seen[attempt_id]
