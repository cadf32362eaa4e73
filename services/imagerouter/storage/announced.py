"""Holding an upload to what was announced."""

from __future__ import annotations

from imagerouter.runtime.errors import InvalidField
from imagerouter.storage.keys import is_digest


class Announced:
    """What an uploader said is coming, and how much is allowed to. Methods raise InvalidField."""

    def __init__(self, digest: str, size: int, max_bytes: int, prefix: str) -> None:
        self._digest = digest
        self._size = size
        self._max_bytes = max_bytes
        self._prefix = prefix

    def check_request(self) -> None:
        """Check what was announced, before a byte is read."""
        if self._digest and not is_digest(self._digest):
            raise InvalidField(f"{self._prefix}expected_digest", "must be a SHA-256 as 64 lowercase hexadecimal digits")
        if self._size < 0:
            raise InvalidField(f"{self._prefix}expected_size_bytes", "must not be negative")
        if self._size > self._max_bytes:
            raise self._too_large(f"{self._prefix}expected_size_bytes")

    def check_room(self, size: int) -> None:
        """Check that `size` bytes, all so far, are not too many."""
        if size > self._max_bytes:
            raise self._too_large("data")
        if self._size and size > self._size:
            raise self._wrong_size(f"more than {self._size}")

    def check_whole(self, digest: str, size: int) -> None:
        """Check all that came."""
        if size == 0:
            raise InvalidField("data", "must not be empty")
        if self._size and size != self._size:
            raise self._wrong_size(str(size))
        if self._digest and digest != self._digest:
            raise InvalidField(
                f"{self._prefix}expected_digest", f"the bytes came to {digest}", reason="DIGEST_MISMATCH"
            )

    def _too_large(self, field: str) -> InvalidField:
        limit = str(self._max_bytes)
        return InvalidField(
            field, f"must be at most {limit} bytes", reason="TOO_LARGE", metadata={"limit_bytes": limit}
        )

    def _wrong_size(self, came: str) -> InvalidField:
        field = f"{self._prefix}expected_size_bytes"
        return InvalidField(field, f"is {self._size}, and {came} bytes came", reason="DIGEST_MISMATCH")
