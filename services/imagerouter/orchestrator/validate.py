"""Checks on a caller's request that need nothing but the request. What the picture should be is the normalizer's
business; this is about ids, deadlines and sizes, and it runs before anything is read, written or spent."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.runtime.errors import DeadlinePast, InvalidField

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
IMAGE_NAME = re.compile(r"images/([a-z0-9-]{1,64})\Z")
MAX_INLINE_BYTES = 256 * 1024
MAX_REFERENCES = 16
MAX_LABELS = 16


def check_request(request: images.CreateImageRequest, now: datetime) -> None:
    """Raise InvalidField or DeadlinePast for the first field that is at fault."""
    if request.request_id and not REQUEST_ID.match(request.request_id):
        raise InvalidField("request_id", "1 to 128 characters of [A-Za-z0-9._:-]")
    if len(request.references) > MAX_REFERENCES:
        raise InvalidField("references", f"{len(request.references)} given, at most {MAX_REFERENCES} are allowed")
    if request.parent:
        image_id(request.parent, "parent")
    _check_inline(request)
    _check_labels(request)
    constraints = request.constraints
    if constraints.HasField("deadline") and _deadline(constraints.deadline) <= now:
        raise DeadlinePast("constraints.deadline", "is past; nothing was begun")


def _check_inline(request: images.CreateImageRequest) -> None:
    total = 0
    for path, image in input_images(request):
        if image.WhichOneof("source") is None:
            raise InvalidField(path, "needs an artifact or inline bytes")
        if image.WhichOneof("source") == "inline" and not image.inline:
            raise InvalidField(f"{path}.inline", "is empty")
        total += len(image.inline)
        if total > MAX_INLINE_BYTES:
            raise InvalidField(
                f"{path}.inline",
                f"inline images come to more than {MAX_INLINE_BYTES} bytes; upload them with ArtifactService.Upload",
                reason="TOO_LARGE",
            )


def _check_labels(request: images.CreateImageRequest) -> None:
    if len(request.labels) > MAX_LABELS:
        raise InvalidField("labels", f"{len(request.labels)} given, at most {MAX_LABELS} are allowed")
    for key, value in request.labels.items():
        if not 1 <= len(key) <= 64 or len(value) > 256:
            raise InvalidField("labels", "keys are 1 to 64 characters long, values up to 256")


def input_images(request: images.CreateImageRequest) -> list[tuple[str, images.InputImage]]:
    """Every input image with the path of its field."""
    named = [(f"references[{index}]", image) for index, image in enumerate(request.references)]
    return [*named, ("mask", request.mask)] if request.HasField("mask") else named


def _deadline(stamp: object) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined,no-any-return]
    except (ValueError, OverflowError) as error:
        raise InvalidField("constraints.deadline", "is not a time between the years 1 and 9999") from error


def image_deadline(request: images.CreateImageRequest, now: datetime, default_s: float) -> datetime:
    """When the image stops beginning attempts: the earliest of its limits, else `default_s` seconds from now."""
    constraints = request.constraints
    limits = []
    if constraints.max_latency_ms > 0:
        limits.append(now + timedelta(milliseconds=constraints.max_latency_ms))
    if constraints.HasField("deadline"):
        limits.append(_deadline(constraints.deadline))
    return min(limits, default=now + timedelta(seconds=default_s))


def image_id(name: str, field: str = "name") -> str:
    """The id in "images/{id}". InvalidField if it is not of that form."""
    match = IMAGE_NAME.match(name)
    if match is None:
        raise InvalidField(field, 'is not of the form "images/{id}"')
    return match.group(1)


def fingerprint(request: images.CreateImageRequest) -> bytes:
    """What makes two requests the same: SHA-256 of all fields but the id and the deadline, which a caller who repeats
    a call rightly changes."""
    same = images.CreateImageRequest()
    same.CopyFrom(request)
    same.ClearField("request_id")
    same.constraints.ClearField("deadline")
    for part in ("constraints", "output"):  # given empty or not given: the same wish
        if not getattr(same, part).ByteSize():
            same.ClearField(part)
    return hashlib.sha256(same.SerializeToString(deterministic=True)).digest()
