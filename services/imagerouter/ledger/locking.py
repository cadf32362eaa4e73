"""The image's row is the lock of all that belongs to the image: events, attempts, money, ownership."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from imagerouter.ledger.errors import InvalidState, LostLease
from imagerouter.ledger.messages import image_name, no_such_image
from imagerouter.ledger.schema import attempts, images

_COLUMNS = (
    images.c.image_id,
    images.c.state,
    images.c.budget_micros,
    images.c.cancel_time,
    images.c.end_time,
    images.c.owner,
    images.c.epoch,
    images.c.lease_until,
    images.c.last_sequence,
)


@dataclass(frozen=True)
class LockedImage:
    """What a change must know of an image, while no other transaction can change it."""

    image_id: str
    state: str
    budget_micros: int | None
    cancel_time: datetime | None
    end_time: datetime | None
    owner: str
    epoch: int
    lease_until: datetime
    last_sequence: int

    @property
    def ended(self) -> bool:
        """Whether the image is in a terminal state."""
        return self.end_time is not None

    def fence(self, epoch: int) -> None:
        """Raise LostLease unless the caller's epoch is the image's."""
        if epoch != self.epoch:
            raise LostLease(
                "another replica works on the image",
                metadata={"name": image_name(self.image_id), "epoch": str(self.epoch)},
            )

    def require_open(self) -> None:
        """Raise InvalidState if the image has ended."""
        if self.ended:
            raise InvalidState(
                f"the image has ended: {self.state}",
                metadata={"name": image_name(self.image_id), "state": self.state},
            )


def lock(connection: Connection, image_id: str) -> LockedImage:
    """Lock an image's row until the transaction ends. NotFound if there is none.

    `FOR NO KEY UPDATE` on Postgres, so that inserts that only refer to the image (hops) do not wait; on SQLite the
    whole database is locked already.
    """
    row = connection.execute(
        select(*_COLUMNS).where(images.c.image_id == image_id).with_for_update(key_share=True)
    ).one_or_none()
    if row is None:
        raise no_such_image()
    return LockedImage(**row._asdict())


def lock_of_attempt(connection: Connection, attempt_id: str) -> LockedImage:
    """Lock the image of an attempt. InvalidState if there is no such attempt."""
    image_id = connection.scalar(select(attempts.c.image_id).where(attempts.c.attempt_id == attempt_id))
    if image_id is None:
        raise InvalidState("no such attempt", metadata={"attempt_id": attempt_id})
    return lock(connection, image_id)
