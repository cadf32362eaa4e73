"""A small orchestrator that dies: run as a program, it lives many short lives over one SQLite ledger.

    python ledger_crash.py DIRECTORY SEED MODE

Each life is a forked process that claims what the former left, goes on, and kills itself with SIGKILL at a random
point: before or after a statement, before a commit, before or after the provider call. The provider writes a journal of
what it executed, flushed before it answers. After each death the parent looks at ledger and journal; when a life ends
by itself, all images have ended. Prints what was found as JSON. MODE `resend` is an orchestrator that sends SENT
attempts again, to prove that the check finds it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from ledger_samples import (
    FAILED,
    SUCCEEDED,
    arguments,
    artifact,
    decision,
    later,
    planned,
    rejected,
    succeeded,
    unknown,
)
from sqlalchemy import event
from sqlalchemy.engine import Engine

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.ledger import Created, Ledger, open_ledger

IMAGES = 6
BUDGET = 100
RESERVED = 30
MAX_LIVES = 100
_RANK = {"PLANNED": 0, "SENT": 1}
_DONE = 2


class Life:
    """One process's worth of work. It ends by SIGKILL after `points` points, or when nothing is left to do."""

    def __init__(self, directory: Path, mode: str, number: int, dice: random.Random) -> None:
        self._journal = directory / "journal"
        self._url = f"sqlite+aiosqlite:///{directory / 'ledger.db'}"
        self._resend = mode == "resend"
        self._dice = dice
        self._points = dice.randrange(1, 400)
        self._now = later(3600 * number)  # every lease of a former life has run out
        self._until = later(3600 * number + 60)
        self._owner = f"life-{number}"

    def point(self, *_: Any, **__: Any) -> None:
        """Maybe die."""
        self._points -= 1
        if self._points <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def run(self) -> None:
        """Resume what is unfinished, begin what is not begun, until all images have ended."""
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(Engine, name, self.point)
        async with await open_ledger(self._url) as ledger:
            claims = await ledger.claim_expired(self._owner, self._now, self._until, 100)
            resumed = (
                self._work(ledger, claim.image.name, claim.epoch, list(claim.image.receipt.attempts))
                for claim in claims
            )
            await asyncio.gather(*resumed, *(self._begin(ledger, number) for number in range(IMAGES)))

    async def _begin(self, ledger: Ledger, number: int) -> None:
        given = arguments(
            image_id=_id("image", self._owner, number),
            request_id=f"request-{number}",
            budget_micros=BUDGET,
            owner=self._owner,
            lease_until=self._until,
        )
        made = await ledger.create_image(**given)
        if isinstance(made, Created):
            await self._work(ledger, made.image_id, made.epoch, [])

    async def _work(self, ledger: Ledger, name: str, epoch: int, attempts: list[attempt_pb2.Attempt]) -> None:
        for attempt in attempts:
            if attempt.state == attempt_pb2.ATTEMPT_STATE_PLANNED:
                await self._execute(ledger, attempt.attempt_id, epoch)
            elif attempt.state == attempt_pb2.ATTEMPT_STATE_SENT and self._resend:
                await ledger.finish_attempt(attempt.attempt_id, self._provide(attempt.attempt_id), self._now, epoch)
            elif attempt.state == attempt_pb2.ATTEMPT_STATE_SENT:
                await ledger.finish_attempt(attempt.attempt_id, unknown(), self._now, epoch)
        image_id = name.removeprefix("images/")
        while True:
            receipt = (await ledger.get_image("acme", name)).receipt
            won = any(entry.state == attempt_pb2.ATTEMPT_STATE_SUCCEEDED for entry in receipt.attempts)
            if won or receipt.cost_micros + receipt.reserved_micros + RESERVED > BUDGET or len(receipt.attempts) == 5:
                state, artifacts = (SUCCEEDED, [artifact()]) if won else (FAILED, [])
                await ledger.finish_image(image_id, state, artifacts, None, self._now, epoch)
                return
            number = len(receipt.attempts) + 1
            attempt_id = _id("attempt", name, number)
            wanted = planned(number, RESERVED, attempt_id=attempt_id)
            chosen = decision(decision_id=_id("decision", name, number))
            await ledger.record_decision_and_attempts(image_id, chosen, [wanted], self._now, epoch)
            await self._execute(ledger, attempt_id, epoch)

    async def _execute(self, ledger: Ledger, attempt_id: str, epoch: int) -> None:
        await ledger.mark_sent(attempt_id, self._now, epoch)
        await ledger.finish_attempt(attempt_id, self._provide(attempt_id), self._now, epoch)

    def _provide(self, attempt_id: str) -> attempt_pb2.Outcome:
        """Be the provider: what is charged is in the journal before the answer is given."""
        self.point()
        fate, cost = self._dice.random(), self._dice.randrange(1, RESERVED)
        if fate < 0.3:
            return rejected()
        with self._journal.open("a") as journal:
            journal.write(f"{attempt_id} {cost}\n")
            journal.flush()
            os.fsync(journal.fileno())
        self.point()
        if fate < 0.8:
            return succeeded(cost, kind=attempt_pb2.OUTCOME_KIND_NO_OUTPUT, artifacts=[])
        return succeeded(cost)


def _id(kind: str, of: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {of} {number}"))


def main() -> None:
    """Let lives follow each other until one finishes, looking at the books after each."""
    directory, seed, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    former: dict[str, tuple[str, int]] = {}
    found: list[str] = []
    for number in range(MAX_LIVES):
        child = os.fork()
        if child == 0:
            life = Life(directory, mode, number, random.Random(f"{seed} {number}"))
            asyncio.run(life.run())
            os._exit(0)
        _, ending = os.waitpid(child, 0)
        finished = ending == 0
        if not finished and not (os.WIFSIGNALED(ending) and os.WTERMSIG(ending) == signal.SIGKILL):
            raise SystemExit(f"life {number} ended with {ending}")
        former = inspect(directory, former, found, finished=finished)
        if finished:
            break
    else:
        raise SystemExit("no life finished")
    print(json.dumps({"kills": number, "found": found, "attempts": len(former)}))


def inspect(
    directory: Path, former: dict[str, tuple[str, int]], found: list[str], *, finished: bool
) -> dict[str, tuple[str, int]]:
    """Add to `found` what must never be, and give the attempts' states."""
    ledger, path = directory / "ledger.db", directory / "journal"
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    journal = {attempt_id: int(cost) for attempt_id, cost in lines}
    found.extend(f"executed twice: {key}" for key, times in Counter(line[0] for line in lines).items() if times > 1)
    with closing(sqlite3.connect(ledger)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'hops'").fetchone():
            return former
        rows = connection.execute("SELECT attempt_id, state, cost_micros FROM attempts").fetchall()
        numbers = connection.execute("SELECT image_id, sequence, kind FROM events ORDER BY 1, 2").fetchall()
        sums = connection.execute(
            "SELECT image_id, sum(cost_micros + reserved_micros * (outcome IS NULL OR state = 'UNKNOWN')) FROM attempts"
            " GROUP BY 1"
        ).fetchall()
        images = connection.execute("SELECT image_id, state, last_sequence FROM images").fetchall()
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            found.append("the file is damaged")
        if connection.execute("PRAGMA foreign_key_check").fetchone():
            found.append("a row refers to nothing")
    attempts = {attempt_id: (state, cost) for attempt_id, state, cost in rows}
    for attempt_id, before in former.items():
        now = attempts.get(attempt_id)
        if now is None or _RANK.get(now[0], _DONE) < _RANK.get(before[0], _DONE):
            found.append(f"went back: {attempt_id} {before} {now}")
        elif before[0] not in _RANK and now != before:
            found.append(f"changed after its end: {attempt_id} {before} {now}")
    for attempt_id, cost in journal.items():
        state, booked = attempts.get(attempt_id, ("missing", 0))
        if state not in ("SENT", "UNKNOWN") and (state in ("missing", "PLANNED", "REJECTED") or booked != cost):
            found.append(f"booked wrongly: {attempt_id} {state} {booked} {cost}")
    found.extend(f"booked, not executed: {key}" for key, (_, cost) in attempts.items() if cost and key not in journal)
    found.extend(f"over budget: {image_id}" for image_id, total in sums if total > BUDGET)
    for image_id, state, last in images:
        kinds = [kind for owner, _, kind in numbers if owner == image_id]
        if [sequence for owner, sequence, _ in numbers if owner == image_id] != list(range(1, last + 1)):
            found.append(f"events with gaps: {image_id}")
        if (state != "RUNNING") != (kinds[-1:] == ["ended"]) or kinds[:1] != ["accepted"] or kinds.count("ended") > 1:
            found.append(f"events out of order: {image_id} {kinds}")
    if finished and [state != "RUNNING" for _, state, _ in images] != [True] * IMAGES:
        found.append(f"not all images ended once: {images}")
    return attempts


if __name__ == "__main__":
    main()
