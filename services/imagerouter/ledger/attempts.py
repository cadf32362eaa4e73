"""Decisions and the attempts they authorise: planned with the money set aside, sent once, settled once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from imagerouter.api.common.v1 import attempt_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import events
from imagerouter.ledger.errors import InvalidState
from imagerouter.ledger.life import settle
from imagerouter.ledger.locking import LockedImage, lock, lock_of_attempt
from imagerouter.ledger.messages import attempt_of, attempt_state_name, image_name, pack, step_name, timestamp
from imagerouter.ledger.receipts import OPEN_STATES
from imagerouter.ledger.schema import attempts, decisions
from imagerouter.ledger.values import PlannedAttempt
from imagerouter.runtime.errors import Cancelled, PreconditionFailed


def plan(
    connection: Connection,
    image_id: str,
    decision: route_pb2.Decision,
    planned: Sequence[PlannedAttempt],
    now: datetime,
    epoch: int,
) -> list[attempt_pb2.Attempt]:
    """See `Ledger.record_decision_and_attempts`."""
    image = lock(connection, image_id)
    image.fence(epoch)
    known = connection.scalar(select(decisions.c.image_id).where(decisions.c.decision_id == decision.decision_id))
    if known is not None:
        return _repeated(connection, image, decision.decision_id, known, planned)
    image.require_open()
    _require_budget(connection, image, sum(attempt.reserved_micros for attempt in planned))

    stored = route_pb2.Decision()
    stored.CopyFrom(decision)
    if not stored.HasField("create_time"):
        stored.create_time.CopyFrom(timestamp(now))
    chosen = stored.routes[0] if stored.routes else route_pb2.Route()
    connection.execute(
        insert(decisions).values(
            decision_id=stored.decision_id,
            image_id=image_id,
            sequence=image.last_sequence + 1,
            step=step_name(stored.step),
            provider=chosen.provider,
            model=chosen.model,
            policy_version=stored.policy_version,
            catalogue_version=stored.catalogue_version,
            decision=pack(stored),
            create_time=now,
        )
    )
    if planned:
        rows = [_row(attempt, image_id, stored.decision_id, now, epoch) for attempt in planned]
        connection.execute(insert(attempts), rows)
    events.append(connection, image, [images_service_pb2.ImageEvent(decision=stored)], now)
    return _of_decision(connection, stored.decision_id)


def send(connection: Connection, attempt_id: str, now: datetime, epoch: int) -> tuple[str, attempt_pb2.Attempt]:
    """See `Ledger.mark_sent`. Gives the image's id too."""
    image = lock_of_attempt(connection, attempt_id)
    image.fence(epoch)
    image.require_open()
    if image.cancel_time is not None:
        raise Cancelled("the image was cancelled", metadata={"name": image_name(image.image_id)})
    row = _get(connection, attempt_id)
    if row.state != "PLANNED":
        raise InvalidState(
            f"the attempt must not be sent: it is {row.state}", metadata={"attempt_id": attempt_id, "state": row.state}
        )
    attempt = _change(connection, attempt_id, epoch, state="SENT", send_time=now)
    events.append(connection, image, [images_service_pb2.ImageEvent(attempt_sent=attempt)], now)
    return image.image_id, attempt


def finish(
    connection: Connection, attempt_id: str, outcome: attempt_pb2.Outcome, now: datetime, epoch: int
) -> tuple[str, attempt_pb2.Attempt]:
    """See `Ledger.finish_attempt`. Gives the image's id too."""
    image = lock_of_attempt(connection, attempt_id)
    image.fence(epoch)
    row = _get(connection, attempt_id)
    if row.outcome is not None:
        if row.outcome == pack(outcome):
            return image.image_id, attempt_of(row)
        raise InvalidState(
            f"the attempt has ended otherwise: {row.state}", metadata={"attempt_id": attempt_id, "state": row.state}
        )
    attempt = end(connection, attempt_id, outcome, now, epoch)
    events.append(connection, image, [images_service_pb2.ImageEvent(attempt_ended=attempt)], now)
    return image.image_id, attempt


def end(
    connection: Connection, attempt_id: str, outcome: attempt_pb2.Outcome, now: datetime, epoch: int
) -> attempt_pb2.Attempt:
    """Settle an open attempt. The caller has locked its image, and records the event."""
    state, cost_micros = settle(outcome)
    return _change(
        connection,
        attempt_id,
        epoch,
        state=attempt_state_name(state),
        cost_micros=cost_micros,
        outcome=pack(outcome),
        end_time=now,
    )


def open_attempts(connection: Connection, image_id: str) -> list[attempt_pb2.Attempt]:
    """Give the attempts of an image that have not ended, in order."""
    rows = connection.execute(
        select(attempts)
        .where(attempts.c.image_id == image_id, attempts.c.outcome.is_(None))
        .order_by(attempts.c.number)
    )
    return [attempt_of(row) for row in rows]


def _require_budget(connection: Connection, image: LockedImage, wanted: int) -> None:
    if image.budget_micros is None:
        return
    mine = attempts.c.image_id == image.image_id
    spent = connection.scalar(select(func.coalesce(func.sum(attempts.c.cost_micros), 0)).where(mine))
    reserved = connection.scalar(
        select(func.coalesce(func.sum(attempts.c.reserved_micros), 0)).where(mine, attempts.c.state.in_(OPEN_STATES))
    )
    # Postgres sums bigints to numeric.
    spent, reserved = int(spent or 0), int(reserved or 0)
    if spent + reserved + wanted > image.budget_micros:
        raise PreconditionFailed(
            "the image's budget does not cover another attempt",
            reason="BUDGET_EXHAUSTED",
            metadata={
                "spent_micros": str(spent),
                "reserved_micros": str(reserved),
                "needed_micros": str(wanted),
                "budget_micros": str(image.budget_micros),
            },
        )


def _repeated(
    connection: Connection,
    image: LockedImage,
    decision_id: str,
    known_image_id: str,
    planned: Sequence[PlannedAttempt],
) -> list[attempt_pb2.Attempt]:
    """Answer a decision that is recorded already: its writer did not hear that the commit went through."""
    stored = _of_decision(connection, decision_id)
    same = {attempt.attempt_id for attempt in stored} == {attempt.attempt_id for attempt in planned}
    if known_image_id != image.image_id or not same:
        raise InvalidState(
            "the decision is recorded already, with other attempts", metadata={"decision_id": decision_id}
        )
    return stored


def _of_decision(connection: Connection, decision_id: str) -> list[attempt_pb2.Attempt]:
    rows = connection.execute(select(attempts).where(attempts.c.decision_id == decision_id).order_by(attempts.c.number))
    return [attempt_of(row) for row in rows]


def _row(attempt: PlannedAttempt, image_id: str, decision_id: str, now: datetime, epoch: int) -> dict[str, Any]:
    return {
        "attempt_id": attempt.attempt_id,
        "image_id": image_id,
        "decision_id": decision_id,
        "number": attempt.number,
        "step": step_name(attempt.step),
        "provider": attempt.route.provider,
        "model": attempt.route.model,
        "state": "PLANNED",
        "reserved_micros": attempt.reserved_micros,
        "cost_micros": 0,
        "route": pack(attempt.route),
        "epoch": epoch,
        "create_time": now,
    }


def _get(connection: Connection, attempt_id: str) -> Row[Any]:
    return connection.execute(select(attempts).where(attempts.c.attempt_id == attempt_id)).one()


def _change(connection: Connection, attempt_id: str, epoch: int, **values: Any) -> attempt_pb2.Attempt:
    changed = (
        update(attempts).where(attempts.c.attempt_id == attempt_id).values(epoch=epoch, **values).returning(attempts)
    )
    return attempt_of(connection.execute(changed).one())
