"""The image's own row: made once for a request_id, ended once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, task_pb2
from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import attempts, events, receipts
from imagerouter.ledger.errors import InvalidState
from imagerouter.ledger.life import never_sent
from imagerouter.ledger.locking import LockedImage, lock
from imagerouter.ledger.messages import image_name, image_state_name, pack
from imagerouter.ledger.schema import REPEATABLE, images
from imagerouter.ledger.values import Created, Existing

_FIRST_EPOCH = 1
_TERMINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


def create(
    connection: Connection,
    *,
    image_id: str,
    tenant: str,
    request_id: str,
    fingerprint: bytes,
    task: task_pb2.Task,
    labels: Mapping[str, str],
    create_time: datetime,
    deadline: datetime,
    budget_micros: int | None,
    trace_id: str,
    parent: str,
    owner: str,
    lease_until: datetime,
) -> Created | Existing:
    """See `Ledger.create_image`."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    new = insert(images).values(
        image_id=image_id,
        tenant=tenant,
        request_id=request_id,
        fingerprint=fingerprint,
        state="RUNNING",
        parent=parent,
        reset=False,
        budget_micros=budget_micros,
        task=pack(task),
        caller=pack(images_service_pb2.Image(labels=labels)),
        error_reason="",
        trace_id=trace_id,
        create_time=create_time,
        deadline=deadline,
        owner=owner,
        epoch=_FIRST_EPOCH,
        lease_until=lease_until,
        last_sequence=0,
    )
    # On Postgres an insert waits here for a rival that has not committed yet, so the row is readable below.
    once = new.on_conflict_do_nothing(
        index_elements=[images.c.tenant, images.c.request_id], index_where=REPEATABLE
    ).returning(images.c.image_id)
    if connection.execute(once).one_or_none() is None:
        known = find(connection, tenant, request_id)
        if known is None:
            raise InvalidState("the image of this request_id went away", metadata={"field": "request_id"})
        return Existing(*known)
    events.append(connection, lock(connection, image_id), [events.EMPTY_ACCEPTED], create_time)
    return Created(image_id, _FIRST_EPOCH)


def find(connection: Connection, tenant: str, request_id: str) -> tuple[str, bytes] | None:
    """See `Ledger.find_request`."""
    if not request_id:
        return None
    row = connection.execute(
        select(images.c.image_id, images.c.fingerprint).where(
            images.c.tenant == tenant, images.c.request_id == request_id, REPEATABLE
        )
    ).one_or_none()
    return None if row is None else (row.image_id, row.fingerprint)


def finish(
    connection: Connection,
    image_id: str,
    state: images_service_pb2.ImageState.ValueType,
    artifacts: Sequence[artifact_pb2.ArtifactRef],
    error: images_service_pb2.ImageError | None,
    now: datetime,
    epoch: int,
    *,
    reset: bool,
) -> images_service_pb2.Image:
    """See `Ledger.finish_image`."""
    name = image_state_name(state)
    if name not in _TERMINAL:
        raise ValueError(f"an image cannot end as {name}")
    ending = pack(images_service_pb2.Image(artifacts=artifacts, error=error))
    image = lock(connection, image_id)
    image.fence(epoch)
    if image.ended:
        return _repeated(connection, image, name, ending)
    closed = [_never_sent(connection, attempt, now, epoch) for attempt in attempts.open_attempts(connection, image_id)]
    reason = "" if error is None else error_reason_pb2.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
    connection.execute(
        update(images)
        .where(images.c.image_id == image_id)
        .values(state=name, ending=ending, error_reason=reason, reset=reset, end_time=now)
    )
    last = [*(images_service_pb2.ImageEvent(attempt_ended=attempt) for attempt in closed), events.EMPTY_ENDED]
    events.append(connection, image, last, now)
    return receipts.image_of(connection, _get(connection, image_id))


def request_cancel(connection: Connection, image_id: str, now: datetime) -> bool:
    """See `Ledger.request_cancel`."""
    image = lock(connection, image_id)
    if image.ended:
        return False
    if image.cancel_time is None:
        connection.execute(update(images).where(images.c.image_id == image_id).values(cancel_time=now))
    return True


def _never_sent(connection: Connection, attempt: attempt_pb2.Attempt, now: datetime, epoch: int) -> attempt_pb2.Attempt:
    if attempt.state != attempt_pb2.ATTEMPT_STATE_PLANNED:
        # Nobody looks after the attempts of an image that has ended, so one that may cost money must be settled first.
        raise InvalidState(
            "an attempt is under way: finish it, as UNKNOWN if need be", metadata={"attempt_id": attempt.attempt_id}
        )
    return attempts.end(connection, attempt.attempt_id, never_sent(), now, epoch)


def _repeated(connection: Connection, image: LockedImage, state: str, ending: bytes) -> images_service_pb2.Image:
    """Answer an ending that is recorded already: its writer did not hear that the commit went through."""
    row = _get(connection, image.image_id)
    if (row.state, row.ending) != (state, ending):
        raise InvalidState(
            f"the image has ended otherwise: {row.state}",
            metadata={"name": image_name(image.image_id), "state": row.state},
        )
    return receipts.image_of(connection, row)


def _get(connection: Connection, image_id: str) -> Row[Any]:
    return connection.execute(select(images).where(images.c.image_id == image_id)).one()
