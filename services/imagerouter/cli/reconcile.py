"""The books: what the ledger says each attempt cost against what the provider's journal says it billed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.output import dollars


@dataclass(frozen=True)
class Books:
    """Sums in micro-dollars. `unknown_billed` is what the journal has for attempts that the ledger holds as unknown;
    it is covered by their reservations. `wrong` are attempts whose figures differ; `twice` were executed twice."""

    ledger: int
    journal: int
    unknown: int
    unknown_billed: int
    reserved: int
    wrong: tuple[str, ...]
    twice: tuple[str, ...]
    strangers: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether every known attempt agrees to the micro-dollar, and nothing was executed twice or unauthorised."""
        return not (self.wrong or self.twice or self.strangers) and self.ledger + self.unknown_billed == self.journal

    def lines(self) -> list[str]:
        """The comparison in words."""
        verdict = "agree to the micro-dollar" if self.balanced else "DO NOT AGREE"
        lines = [
            f"ledger {dollars(self.ledger)} + billed for unknown outcomes {dollars(self.unknown_billed)} "
            f"against journal {dollars(self.journal)}: they {verdict}",
            f"{self.unknown} attempts of unknown outcome, not resent; {dollars(self.reserved)} stays reserved for them",
        ]
        lines += [f"costs differ: attempt {attempt}" for attempt in self.wrong]
        lines += [f"executed twice: attempt {attempt}" for attempt in self.twice]
        lines += [f"executed without a decision: {attempt}" for attempt in self.strangers]
        return lines


def compare(made: Iterable[images.Image], journals: Path) -> Books:
    """Hold the receipts of all images against all journals of a folder. Both must be of the same suite."""
    billed: dict[str, list[int]] = {}
    for journal in sorted(journals.glob("*.jsonl")):
        for line in journal.read_text().splitlines():
            entry = json.loads(line)
            billed.setdefault(entry["correlation_id"], []).append(entry["price_micros"])
    attempts = {attempt.attempt_id: attempt for image in made for attempt in image.receipt.attempts}
    unknown = [each for each in attempts.values() if each.state == attempt_pb2.ATTEMPT_STATE_UNKNOWN]
    return Books(
        ledger=sum(attempt.outcome.cost_micros for attempt in attempts.values()),
        journal=sum(sum(prices) for prices in billed.values()),
        unknown=len(unknown),
        unknown_billed=sum(sum(billed.get(attempt.attempt_id, ())) for attempt in unknown),
        reserved=sum(attempt.reserved_micros for attempt in unknown),
        wrong=tuple(
            name
            for name, attempt in attempts.items()
            if attempt.state != attempt_pb2.ATTEMPT_STATE_UNKNOWN
            and attempt.outcome.cost_micros != sum(billed.get(name, ()))
        ),
        twice=tuple(name for name, prices in billed.items() if len(prices) > 1),
        strangers=tuple(name for name in billed if name not in attempts),
    )
