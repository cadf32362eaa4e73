"""Between rows and protobuf messages: bytes, times, and the names of enum values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from imagerouter.api.common.v1 import attempt_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.runtime.errors import NotFound

M = TypeVar("M", bound=Message)

_NAME_PREFIX = "images/"
_IMAGE_STATE = "IMAGE_STATE_"
_ATTEMPT_STATE = "ATTEMPT_STATE_"
_STEP = "STEP_"


def pack(message: Message) -> bytes:
    """Serialize so that equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)


def unpack(kind: type[M], data: bytes) -> M:
    """Read a message back."""
    message = kind()
    message.ParseFromString(data)
    return message


def timestamp(time: datetime) -> Timestamp:
    """Turn an aware datetime into a Timestamp."""
    result = Timestamp()
    result.FromDatetime(time)
    return result


def from_timestamp(time: Timestamp) -> datetime:
    """Turn a Timestamp into an aware datetime (UTC, microseconds)."""
    return time.ToDatetime(tzinfo=UTC)


def image_name(image_id: str) -> str:
    """Give an image's resource name, "images/{id}"."""
    return _NAME_PREFIX + image_id


def image_id_of(name: str) -> str:
    """Give the id in "images/{id}"; an id alone is taken as it is. NotFound if it cannot be one."""
    image_id = name.removeprefix(_NAME_PREFIX)
    # NUL cannot be stored in Postgres text, and would fail there as a broken query instead of a missing image.
    if not image_id or "/" in image_id or "\0" in image_id:
        raise no_such_image()
    return image_id


def no_such_image() -> NotFound:
    """Build the error for an image that is not there, or is another tenant's."""
    return NotFound("name", "no such image", reason="IMAGE_NOT_FOUND")


def image_state_name(state: images_service_pb2.ImageState.ValueType) -> str:
    """Give the stored name of an image's state ("RUNNING"). ValueError if it is not a known value."""
    return images_service_pb2.ImageState.Name(state).removeprefix(_IMAGE_STATE)


def image_state(name: str) -> images_service_pb2.ImageState.ValueType:
    """Give the image state of a stored name."""
    return images_service_pb2.ImageState.Value(_IMAGE_STATE + name)


def attempt_state_name(state: attempt_pb2.AttemptState.ValueType) -> str:
    """Give the stored name of an attempt's state ("SENT"). ValueError if it is not a known value."""
    return attempt_pb2.AttemptState.Name(state).removeprefix(_ATTEMPT_STATE)


def step_name(step: route_pb2.Step.ValueType) -> str:
    """Give the stored name of a step ("INITIAL"). ValueError if it is not a known value."""
    return route_pb2.Step.Name(step).removeprefix(_STEP)


def attempt_of(row: Row[Any]) -> attempt_pb2.Attempt:
    """Assemble an Attempt from a row of `attempts`."""
    attempt = attempt_pb2.Attempt(
        attempt_id=row.attempt_id,
        decision_id=row.decision_id,
        number=row.number,
        step=route_pb2.Step.Value(_STEP + row.step),
        route=unpack(route_pb2.Route, row.route),
        state=attempt_pb2.AttemptState.Value(_ATTEMPT_STATE + row.state),
        reserved_micros=row.reserved_micros,
        create_time=timestamp(row.create_time),
    )
    if row.outcome is not None:
        attempt.outcome.CopyFrom(unpack(attempt_pb2.Outcome, row.outcome))
    if row.send_time is not None:
        attempt.send_time.CopyFrom(timestamp(row.send_time))
    if row.end_time is not None:
        attempt.end_time.CopyFrom(timestamp(row.end_time))
    return attempt
