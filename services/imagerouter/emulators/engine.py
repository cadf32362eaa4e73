"""What both emulators share: faults, history, journal, clock of the work. One instance for each process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from imagerouter.catalogue import Catalogue, Model
from imagerouter.emulators import latency
from imagerouter.emulators.exchange import (
    Call,
    Dropped,
    Events,
    Gone,
    Receive,
    Refused,
    Reply,
    Scope,
    Send,
    break_off,
    call_of,
    deliver,
    digest_of,
    headers_of,
    json_reply,
    read_body,
    watch,
)
from imagerouter.emulators.faults import Asked, Fault, Faults
from imagerouter.emulators.history import History
from imagerouter.emulators.journal import Execution, Journal
from imagerouter.emulators.pricing import Tally, price
from imagerouter.emulators.render.artwork import Artwork
from imagerouter.emulators.studio import Studio
from imagerouter.emulators.wire import LINE

Answer = Reply | Events


class Api(Protocol):
    """A provider's wire protocol over the engine."""

    async def answer(self, call: Call) -> Answer:
        """Answer a call; Refused for the provider's own errors."""

    def fill(self, body: object, call: Call) -> object:
        """A fault's body with the call's model and request id filled in."""

    def headers(self, call: Call) -> dict[str, str]:
        """The headers that every answer carries."""


@dataclass(frozen=True)
class Order:
    """An execution that was asked for and found valid. `n` images of `size`, `stage` names its latency's tier."""

    model: Model
    model_requested: str
    operation: str
    prompt: str
    n: int
    size: str
    quality: str
    tier: str
    usage: Tally
    request_hash: str
    artworks: tuple[Artwork, ...]


class Engine:
    """The state of one emulator process.

    `speed` multiplies the catalogue's latencies (0 answers as fast as it draws), `seed` varies pictures and dice,
    `today` says which models are offered, `extra_models` adds ids that are not.
    """

    def __init__(
        self,
        provider: str,
        catalogue: Catalogue,
        journal: Path,
        *,
        speed: float = 1.0,
        seed: int = 0,
        today: date | None = None,
        extra_models: Sequence[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.provider, self.catalogue, self.speed, self.seed, self.now = provider, catalogue, speed, seed, now
        self.today = today
        self.extra_models = frozenset(extra_models)
        self.journal = Journal(journal)
        self.faults = Faults(provider, seed)
        self.history = History()
        self.studio = Studio()

    def offered(self) -> list[Model]:
        """The provider's models that can be called today."""
        day = self.today or self.now().date()
        return [
            row
            for row in self.catalogue.of_provider(self.provider)
            if row.id in self.extra_models or (row.status in ("active", "deprecated") and not row.not_offered(day))
        ]

    def find(self, name: str) -> Model | None:
        """The offered model of an id or alias."""
        return next((row for row in self.offered() if name == row.id or name in row.aliases), None)

    def strike(self, call: Call, model: str, operation: str, prompt: str) -> Fault:
        """Find the call's fault, now that it is known what is asked; refusals and drops take effect here."""
        call.record.model, call.record.operation = model, operation
        call.fault = self.faults.strike(
            Asked(path=call.path, model=model, operation=operation, prompt=prompt, headers=call.headers)
        )
        call.record.fault = call.fault.preset or ("" if call.fault == Fault() else "custom")
        return call.fault

    async def refuse_if_ordered(self, call: Call, fill: Callable[[object, Call], object]) -> None:
        """Before the work starts: the queue's wait, then the fault's refusal or drop."""
        fault = call.fault
        await call.pause(fault.queue_s)
        if fault.drop == "before_execution":
            raise Dropped
        if fault.status:
            raise Refused(fault.status, fill(fault.body, call), fault.headers)

    async def begin(self, call: Call, order: Order) -> None:
        """Start the work: from here on it is billed, whether or not the client stays."""
        call.record.executed = True
        if call.fault.bills:
            execution = Execution(
                time=self.now().isoformat(timespec="milliseconds"),
                provider=self.provider,
                model=order.model.id,
                model_requested=order.model_requested,
                operation=order.operation,
                correlation_id=call.record.correlation_id,
                n=order.n,
                size=order.size,
                quality=order.quality,
                usage=order.usage,
                price=price(order.usage, order.model.prices),
                request_hash=order.request_hash,
                fault=call.record.fault,
            )
            call.record.journal_id = await self.journal.append(execution)

    def duration(self, order: Order) -> float:
        """Seconds that the work takes at the present speed."""
        chance = int(order.request_hash[:8], 16) / 0xFFFFFFFF
        return latency.seconds(order.model, order.quality, order.tier, chance) * self.speed

    async def work(self, call: Call, order: Order) -> list[list[str]]:
        """Draw while the latency passes: base64 of every artwork's stages. Raises Gone when the client leaves."""
        drawing = asyncio.ensure_future(self.studio.draw(order.artworks))
        try:
            await call.pause(self.duration(order))
            await call.pause(call.fault.delay_s)
            stages = await drawing
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing
        if call.gone.is_set():
            raise Gone
        self.drop_if_ordered(call)
        return stages

    def drop_if_ordered(self, call: Call) -> None:
        """The work is done, or well under way, and the answer is lost: raises Dropped if the fault has it so."""
        if call.fault.drop == "before_headers":
            raise Dropped

    async def serve(self, api: Api, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI request from its first byte to its outcome in the history."""
        began = time.monotonic()
        stamp = self.now().isoformat(timespec="milliseconds")
        try:
            body = await read_body(receive)
        except Gone:
            record = self.history.open(stamp, scope["method"], scope["path"], headers_of(scope), b"", "")
            record.outcome, record.disconnected = "gone", True
            return
        record = self.history.open(stamp, scope["method"], scope["path"], headers_of(scope), body, digest_of(body))
        call = call_of(scope, body, record)
        watching = asyncio.create_task(watch(receive, call.gone))
        try:
            record.outcome = await self._settle(api, scope, send, call)
        finally:
            record.disconnected = record.outcome == "gone"
            record.duration_ms = round((time.monotonic() - began) * 1000)
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _settle(self, api: Api, scope: Scope, send: Send, call: Call) -> str:
        try:
            try:
                answer = await api.answer(call)
            except Refused as refusal:
                answer = json_reply(refusal.status, refusal.body, refusal.headers)
            answer.headers = {**api.headers(call), **answer.headers}
            return await deliver(scope, send, call, answer)
        except Gone:
            return "gone"
        except Dropped:
            await break_off(scope[LINE], call, reset=call.fault.reset)
            return "dropped"

    def close(self) -> None:
        """Release the threads and the journal's file."""
        self.studio.close()
        self.journal.close()


def hash_of(request: object, seed: int) -> str:
    """The name of a request: the sha256 of its canonical JSON and the emulator's seed."""
    text = json.dumps([seed, request], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
