"""What is only read: one image, a page of them, an edit's chain, and sums for whoever checks the books."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, literal, select, tuple_

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import paging, receipts
from imagerouter.ledger.messages import (
    attempt_of,
    image_id_of,
    image_name,
    image_state_name,
    no_such_image,
    unpack,
)
from imagerouter.ledger.schema import UNKNOWN, UtcTime, attempts, images
from imagerouter.ledger.values import UnknownAttempt
from imagerouter.runtime.errors import InvalidField, NotFound, PreconditionFailed


def get(connection: Connection, tenant: str, name: str) -> images_service_pb2.Image:
    """See `Ledger.get_image`."""
    return receipts.image_of(connection, _row(connection, tenant, name))


def page(
    connection: Connection, tenant: str, page_size: int, page_token: str, state: images_service_pb2.ImageState.ValueType
) -> images_service_pb2.ListImagesResponse:
    """See `Ledger.list_images`."""
    size = paging.page_size(page_size)
    query = select(*receipts.SUMMARY_COLUMNS).where(images.c.tenant == tenant)
    scope = (tenant, "")
    if state != images_service_pb2.IMAGE_STATE_UNSPECIFIED:
        scope = (tenant, _known_state(state))
        query = query.where(images.c.state == scope[1])
    if page_token:
        query = _beyond(query, paging.decode(page_token, *scope))
    newest = query.order_by(images.c.create_time.desc(), images.c.image_id.desc())
    rows = connection.execute(newest.limit(size + 1)).all()
    shown = rows[:size]
    response = images_service_pb2.ListImagesResponse(images=[receipts.summary_of(row) for row in shown])
    if len(rows) > size:
        last = shown[-1]
        response.next_page_token = paging.encode(paging.Cursor(last.create_time, last.image_id), *scope)
    return response


def lineage(connection: Connection, tenant: str, parent: str) -> task_pb2.Lineage:
    """See `Ledger.lineage`."""
    try:
        row = _row(connection, tenant, parent)
    except NotFound:
        raise NotFound("parent", "no such image", reason="IMAGE_NOT_FOUND") from None
    outputs = unpack(images_service_pb2.Image, row.ending or b"").artifacts
    if row.state != "SUCCEEDED" or not outputs:
        raise PreconditionFailed(
            f"parent: the image is {row.state}, and only one that SUCCEEDED can be edited",
            reason="WRONG_STATE",
            metadata={"field": "parent", "state": row.state},
        )
    task = unpack(task_pb2.Task, row.task)
    child = task_pb2.Lineage(parent=image_name(row.image_id), root=task.lineage.root or image_name(row.image_id))
    if row.reset or not task.lineage.depth:
        # The parent is as clean as a picture gets in this chain: the first, or one made anew from the anchor.
        child.depth = 1
        child.anchor.CopyFrom(outputs[0])
    else:
        child.depth = task.lineage.depth + 1
        child.anchor.CopyFrom(task.lineage.anchor)
        child.instructions.extend([*task.lineage.instructions, task.prompt])
    return child


def find_state(connection: Connection, image_id: str) -> tuple[bool, bool]:
    """Say whether an image has ended, and whether its cancellation was asked for. NotFound if there is none."""
    row = connection.execute(
        select(images.c.end_time, images.c.cancel_time).where(images.c.image_id == image_id)
    ).one_or_none()
    if row is None:
        raise no_such_image()
    return row.end_time is not None, row.cancel_time is not None


def cost(connection: Connection, tenant: str | None) -> int:
    """See `Ledger.sums`."""
    query = select(func.coalesce(func.sum(attempts.c.cost_micros), 0))
    if tenant is not None:
        query = query.join(images, images.c.image_id == attempts.c.image_id).where(images.c.tenant == tenant)
    return int(connection.scalar(query) or 0)


def unknown(connection: Connection, older_than: datetime) -> list[UnknownAttempt]:
    """See `Ledger.unknown_attempts`."""
    rows = connection.execute(
        select(attempts, images.c.tenant)
        .join(images, images.c.image_id == attempts.c.image_id)
        .where(UNKNOWN, attempts.c.end_time < older_than)
        .order_by(attempts.c.end_time, attempts.c.attempt_id)
    )
    return [UnknownAttempt(row.tenant, row.image_id, attempt_of(row)) for row in rows]


def _row(connection: Connection, tenant: str, name: str) -> Row[Any]:
    row = connection.execute(
        select(images).where(images.c.image_id == image_id_of(name), images.c.tenant == tenant)
    ).one_or_none()
    if row is None:
        raise no_such_image()
    return row


def _known_state(state: images_service_pb2.ImageState.ValueType) -> str:
    try:
        return image_state_name(state)
    except ValueError:
        raise InvalidField("state", "is not a state of images") from None


def _beyond(query: Select[Any], cursor: paging.Cursor) -> Select[Any]:
    position = tuple_(literal(cursor.create_time, UtcTime), literal(cursor.image_id))
    return query.where(tuple_(images.c.create_time, images.c.image_id) < position)
