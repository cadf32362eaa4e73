"""An image as the ledger has it: the row, and the receipt put together from everything that refers to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger.messages import attempt_of, image_name, image_state, pack, timestamp, unpack
from imagerouter.ledger.schema import attempts, decisions, evaluations, hops, images

# The states whose reservation still counts against the budget.
OPEN_STATES = ("PLANNED", "SENT", "UNKNOWN")

# What a listing shows; `task` is not even read.
SUMMARY_COLUMNS = (
    images.c.image_id,
    images.c.request_id,
    images.c.state,
    images.c.caller,
    images.c.ending,
    images.c.create_time,
    images.c.deadline,
    images.c.end_time,
)


def summary_of(row: Row[*tuple[Any, ...]]) -> images_service_pb2.Image:
    """Assemble an image without task and receipt from a row of `images`."""
    image = images_service_pb2.Image(
        name=image_name(row.image_id),
        request_id=row.request_id,
        state=image_state(row.state),
        create_time=timestamp(row.create_time),
        deadline=timestamp(row.deadline),
    )
    image.MergeFrom(unpack(images_service_pb2.Image, row.caller))
    if row.ending is not None:
        image.MergeFrom(unpack(images_service_pb2.Image, row.ending))
        image.end_time.CopyFrom(timestamp(row.end_time))
    return image


def image_of(connection: Connection, row: Row[Any]) -> images_service_pb2.Image:
    """Assemble an image with task and receipt from a full row of `images`."""
    image = summary_of(row)
    image.task.CopyFrom(unpack(task_pb2.Task, row.task))
    image.receipt.CopyFrom(_receipt(connection, row.image_id, image))
    image.receipt.trace_id = row.trace_id
    return image


def _receipt(connection: Connection, image_id: str, image: images_service_pb2.Image) -> images_service_pb2.Receipt:
    receipt = images_service_pb2.Receipt(warnings=image.task.warnings)
    chosen = select(decisions.c.decision).where(decisions.c.image_id == image_id).order_by(decisions.c.sequence)
    receipt.decisions.extend(_all(connection, chosen, route_pb2.Decision))
    tried = connection.execute(
        select(attempts).where(attempts.c.image_id == image_id).order_by(attempts.c.number)
    ).all()
    receipt.attempts.extend(attempt_of(row) for row in tried)
    receipt.cost_micros = sum(row.cost_micros for row in tried)
    receipt.reserved_micros = sum(row.reserved_micros for row in tried if row.state in OPEN_STATES)
    looked = select(evaluations.c.evaluation).where(evaluations.c.image_id == image_id).order_by(evaluations.c.sequence)
    receipt.evaluations.extend(_all(connection, looked, evaluation_pb2.Evaluation))
    called = select(hops.c.hop).where(hops.c.image_id == image_id).order_by(hops.c.start_time, hops.c.hop_id)
    receipt.hops.extend(_all(connection, called, images_service_pb2.Hop))
    receipt.negotiations.extend(_negotiations(image, receipt))
    return receipt


def _all(connection: Connection, query: Select[Any], kind: type[Any]) -> list[Any]:
    return [unpack(kind, data) for data in connection.scalars(query)]


def _negotiations(
    image: images_service_pb2.Image, receipt: images_service_pb2.Receipt
) -> Iterable[task_pb2.Negotiation]:
    """Give the task's differences, then those of each accepted attempt; what several share is said once."""
    said: dict[bytes, task_pb2.Negotiation] = {pack(entry): entry for entry in image.task.negotiations}
    for attempt in _accepted(image, receipt):
        for entry in (*attempt.route.negotiations, *attempt.outcome.negotiations):
            said.setdefault(pack(entry), entry)
    return said.values()


def _accepted(image: images_service_pb2.Image, receipt: images_service_pb2.Receipt) -> Iterable[attempt_pb2.Attempt]:
    verdicts = {entry.attempt_id: entry.verdict for entry in receipt.evaluations}
    kept = {artifact.digest for artifact in image.artifacts}
    for attempt in receipt.attempts:
        returned = any(artifact.digest in kept for artifact in attempt.outcome.artifacts)
        if returned or verdicts.get(attempt.attempt_id) == evaluation_pb2.VERDICT_ACCEPT:
            yield attempt
