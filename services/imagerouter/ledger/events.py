"""The events of an image: numbered from 1 without a gap, in the order of their commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import receipts
from imagerouter.ledger.locking import LockedImage
from imagerouter.ledger.messages import no_such_image, pack, timestamp, unpack
from imagerouter.ledger.schema import events, images

# Filled in when read.
EMPTY_ACCEPTED = images_service_pb2.ImageEvent(accepted=task_pb2.Task())
EMPTY_ENDED = images_service_pb2.ImageEvent(ended=images_service_pb2.Image())


def append(
    connection: Connection, image: LockedImage, new: Sequence[images_service_pb2.ImageEvent], now: datetime
) -> None:
    """Store events with the next numbers. The image's row is locked, so that no other transaction takes the same."""
    rows = []
    for sequence, event in enumerate(new, start=image.last_sequence + 1):
        stored = images_service_pb2.ImageEvent()
        stored.CopyFrom(event)
        stored.sequence = sequence
        stored.time.CopyFrom(timestamp(now))
        rows.append(
            {
                "image_id": image.image_id,
                "sequence": sequence,
                "kind": stored.WhichOneof("event"),
                "event": pack(stored),
                "create_time": now,
            }
        )
    connection.execute(insert(events), rows)
    connection.execute(
        update(images).where(images.c.image_id == image.image_id).values(last_sequence=image.last_sequence + len(rows))
    )


def after(
    connection: Connection, image_id: str, after_sequence: int
) -> tuple[list[images_service_pb2.ImageEvent], bool]:
    """Read the events after a number, and say whether they include the last there will be. NotFound without image."""
    image = connection.execute(select(images).where(images.c.image_id == image_id)).one_or_none()
    if image is None:
        raise no_such_image()
    rows = connection.execute(
        select(events.c.event)
        .where(events.c.image_id == image_id, events.c.sequence > after_sequence)
        .order_by(events.c.sequence)
    )
    found = [unpack(images_service_pb2.ImageEvent, row.event) for row in rows]
    for event in found:
        if event.HasField("accepted"):
            event.accepted.CopyFrom(unpack(task_pb2.Task, image.task))
        elif event.HasField("ended"):
            event.ended.CopyFrom(receipts.image_of(connection, image))
    return found, image.end_time is not None
