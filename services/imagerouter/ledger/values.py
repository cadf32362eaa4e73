"""What goes into and comes out of the ledger beside the protocol's own messages."""

from __future__ import annotations

from dataclasses import dataclass

from imagerouter.api.common.v1 import attempt_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2


@dataclass(frozen=True)
class Created:
    """A new image, owned by its creator under `epoch`."""

    image_id: str
    epoch: int


@dataclass(frozen=True)
class Existing:
    """The image that has the request_id already. Another `fingerprint` than the caller's means another payload."""

    image_id: str
    fingerprint: bytes


@dataclass(frozen=True)
class PlannedAttempt:
    """One provider execution to be authorised: `reserved_micros` is set aside, `number` counts from 1."""

    attempt_id: str
    number: int
    step: route_pb2.Step.ValueType
    route: route_pb2.Route
    reserved_micros: int


@dataclass(frozen=True)
class Claim:
    """An image taken over from a replica that let its lease run out.

    `image.receipt.attempts` say what is open: PLANNED may be sent, SENT must be looked up or ended as UNKNOWN, and
    never sent again. `budget_micros` is None if the image has no limit.
    """

    tenant: str
    epoch: int
    image: images_service_pb2.Image
    budget_micros: int | None
    cancel_requested: bool


@dataclass(frozen=True)
class UnknownAttempt:
    """An attempt of which nobody knows whether it was executed."""

    tenant: str
    image_id: str
    attempt: attempt_pb2.Attempt
