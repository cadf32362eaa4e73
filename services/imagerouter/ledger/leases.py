"""Who works on an image. An owner holds a lease; taking over raises the epoch, which fences the former owner out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import structlog
from google.protobuf.message import DecodeError
from sqlalchemy import Connection, select, update

from imagerouter.ledger import receipts
from imagerouter.ledger.errors import LostLease
from imagerouter.ledger.locking import lock
from imagerouter.ledger.messages import image_name
from imagerouter.ledger.schema import RUNNING, images
from imagerouter.ledger.values import Claim

_log = structlog.get_logger()


def renew(connection: Connection, image_id: str, owner: str, epoch: int, until: datetime) -> bool:
    """See `Ledger.renew_lease`."""
    image = lock(connection, image_id)
    image.fence(epoch)
    if image.owner != owner or image.ended:
        raise LostLease(
            "the lease is not the caller's to renew", metadata={"name": image_name(image_id), "epoch": str(image.epoch)}
        )
    connection.execute(update(images).where(images.c.image_id == image_id).values(lease_until=until))
    return image.cancel_time is not None


def release(connection: Connection, image_id: str, owner: str, epoch: int, now: datetime) -> None:
    """See `Ledger.release_lease`."""
    image = lock(connection, image_id)
    image.fence(epoch)
    if image.owner == owner and not image.ended:
        connection.execute(update(images).where(images.c.image_id == image_id).values(owner="", lease_until=now))


def acquire(connection: Connection, image_id: str, owner: str, now: datetime, until: datetime) -> Claim | None:
    """See `Ledger.acquire_lease`."""
    image = lock(connection, image_id)
    if image.ended or image.lease_until > now:
        return None
    return _take(connection, image_id, owner, until)


def claim_expired(
    connection: Connection, owner: str, now: datetime, until: datetime, limit: int, held: Collection[str]
) -> list[Claim]:
    """See `Ledger.claim_expired`."""
    expired = connection.scalars(
        select(images.c.image_id)
        .where(RUNNING, images.c.lease_until <= now, images.c.image_id.not_in(held))
        .order_by(images.c.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    claims = []
    for image_id in expired:
        try:
            with connection.begin_nested():
                claims.append(_take(connection, image_id, owner, until))
        except DecodeError:  # one row that cannot be read must not keep every other image waiting
            _log.error("ledger.unreadable_image", image_id=image_id)
    return claims


def _take(connection: Connection, image_id: str, owner: str, until: datetime) -> Claim:
    row = connection.execute(
        update(images)
        .where(images.c.image_id == image_id)
        .values(owner=owner, epoch=images.c.epoch + 1, lease_until=until)
        .returning(images)
    ).one()
    return Claim(
        tenant=row.tenant,
        epoch=row.epoch,
        image=receipts.image_of(connection, row),
        budget_micros=row.budget_micros,
        cancel_requested=row.cancel_time is not None,
    )
