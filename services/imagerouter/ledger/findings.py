"""What is noted beside the attempts: evaluations of their output, and the calls made to other services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from imagerouter.api.common.v1 import evaluation_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import events
from imagerouter.ledger.errors import InvalidState
from imagerouter.ledger.locking import lock
from imagerouter.ledger.messages import from_timestamp, no_such_image, pack, timestamp, unpack
from imagerouter.ledger.schema import attempts, evaluations, hops, images


def evaluate(connection: Connection, image_id: str, evaluation: evaluation_pb2.Evaluation, now: datetime) -> None:
    """See `Ledger.record_evaluation`."""
    image = lock(connection, image_id)
    image.require_open()
    owner = connection.scalar(select(attempts.c.image_id).where(attempts.c.attempt_id == evaluation.attempt_id))
    if owner != image_id:
        raise InvalidState("no such attempt of the image", metadata={"attempt_id": evaluation.attempt_id})
    if any(_same(evaluation, known) for known in _known(connection, evaluation.attempt_id)):
        return
    stored = evaluation_pb2.Evaluation()
    stored.CopyFrom(evaluation)
    if not stored.HasField("create_time"):
        stored.create_time.CopyFrom(timestamp(now))
    connection.execute(
        insert(evaluations).values(
            image_id=image_id,
            sequence=image.last_sequence + 1,
            attempt_id=stored.attempt_id,
            verdict=evaluation_pb2.Verdict.Name(stored.verdict).removeprefix("VERDICT_"),
            thresholds_version=stored.thresholds_version,
            evaluation=pack(stored),
            create_time=now,
        )
    )
    events.append(connection, image, [images_service_pb2.ImageEvent(evaluation=stored)], now)


def _known(connection: Connection, attempt_id: str) -> list[evaluation_pb2.Evaluation]:
    rows = connection.scalars(select(evaluations.c.evaluation).where(evaluations.c.attempt_id == attempt_id))
    return [unpack(evaluation_pb2.Evaluation, row) for row in rows]


def _same(given: evaluation_pb2.Evaluation, known: evaluation_pb2.Evaluation) -> bool:
    """Whether a caller repeats itself: the same finding, whenever it was recorded."""
    if not given.HasField("create_time"):
        known.ClearField("create_time")
    return given == known


def note_hops(connection: Connection, image_id: str, made: Sequence[images_service_pb2.Hop]) -> None:
    """See `Ledger.record_hop`."""
    if connection.scalar(select(images.c.image_id).where(images.c.image_id == image_id)) is None:
        raise no_such_image()
    if made:
        rows = [{"image_id": image_id, "start_time": from_timestamp(hop.start_time), "hop": pack(hop)} for hop in made]
        connection.execute(insert(hops), rows)
