"""Page tokens: where a listing goes on, opaque to the caller."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imagerouter.runtime.errors import InvalidField

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = struct.Struct(">Bq8s")
_VERSION = 1


@dataclass(frozen=True)
class Cursor:
    """The last image of a page: the next page begins after it."""

    create_time: datetime
    image_id: str


def page_size(asked: int) -> int:
    """Give the page size to use. InvalidField beyond 0 to 100; 0 means 20."""
    if not 0 <= asked <= MAX_PAGE_SIZE:
        raise InvalidField("page_size", f"must be 0 to {MAX_PAGE_SIZE}")
    return asked or DEFAULT_PAGE_SIZE


def encode(cursor: Cursor, *scope: str) -> str:
    """Write a token that is good for the same `scope` (tenant and filter) only."""
    micros = (cursor.create_time - _EPOCH) // timedelta(microseconds=1)
    body = cursor.image_id.encode()
    token = _HEAD.pack(_VERSION, micros, _checksum(micros, body, scope)) + body
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def decode(token: str, *scope: str) -> Cursor:
    """Read a token. InvalidField `page_token` if it is not one of ours, or of another listing.

    The checksum finds mix-ups, not forgers: a forged token could only move the start within the tenant's own images.
    """
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, micros, checksum = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        image_id = body.decode()
        create_time = _EPOCH + timedelta(microseconds=micros)
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise _bad_token() from None
    if version != _VERSION or checksum != _checksum(micros, body, scope):
        raise _bad_token()
    return Cursor(create_time, image_id)


def _bad_token() -> InvalidField:
    return InvalidField("page_token", "is not from a response to the same listing")


def _checksum(micros: int, body: bytes, scope: tuple[str, ...]) -> bytes:
    digest = hashlib.sha256(struct.pack(">q", micros))
    for part in (body, *(name.encode() for name in scope)):
        digest.update(struct.pack(">I", len(part)) + part)
    return digest.digest()[:8]
