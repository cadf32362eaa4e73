"""The artifact store: one class over every object store that obstore speaks.

An object's name is the hash of its bytes, and the hash of a stream is known only at its end. So an upload is spooled
here first and put under its final key once it is whole, rather than uploaded under a temporary key and copied:

- what is not whole, too large or not what was announced never reaches the object store, so there is nothing to sweep;
- bytes that are there already are not sent again;
- one request on S3 instead of an upload, a copy and a delete, and no copy that a crash can leave half done.

The price is that an upload is held in a temporary file (4 MiB in memory, the rest on disk) and goes out only after it
has come in. Artifacts are at most 50 MiB.

obstore's own put makes an object visible whole or not at all: a rename on a local disk, a single PUT or a completed
multipart upload on S3. A crash may leave `…#1` staging files, which no key can name, or parts that a bucket's
life-cycle rule for incomplete uploads removes. obstore does not fsync: a local store survives a killed process, not
a power cut. What a power cut left short is found by its size and written anew by the next upload of the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from opentelemetry import trace

from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef
from imagerouter.runtime import names
from imagerouter.runtime.errors import Internal, InvalidField, NotFound, Unavailable
from imagerouter.storage.announced import Announced
from imagerouter.storage.keys import object_key
from imagerouter.storage.media import HEAD_BYTES, sniff
from imagerouter.storage.spool import Spool, in_thread

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PIECE_BYTES: Final = 256 * 1024
"""The length of the pieces that `stream` yields, the last one excepted."""

MAX_ARTIFACT_BYTES: Final = 50 * 1024 * 1024

_WINDOW_BYTES: Final = 4 * 1024 * 1024
_PART_BYTES: Final = 5 * 1024 * 1024
_RETRY_AFTER_S: Final = 1.0
_tracer = trace.get_tracer(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)


class ArtifactStore:
    """Immutable bytes under `{tenant}/sha256/{aa}/{digest}`.

    Methods raise InvalidField for a malformed tenant or digest, NotFound (ARTIFACT_NOT_FOUND) for what the tenant does
    not have, whoever else has it, and Unavailable if the object store does not answer. `field` is the path that these
    errors blame, as the caller's own request spells it.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def put(
        self,
        tenant: str,
        data: AsyncIterable[bytes] | bytes,
        *,
        expected_digest: str = "",
        expected_size: int = 0,
        max_bytes: int = MAX_ARTIFACT_BYTES,
        field: str = "",
    ) -> ArtifactRef:
        """Store bytes, whole or not at all, and say what they are. Bytes that are there already are left alone.

        A stream is read piece by piece in bounded memory, and no further than the first byte beyond `max_bytes` or
        `expected_size`. Raises InvalidField for no bytes at all, for too many (TOO_LARGE), and for others than
        announced (DIGEST_MISMATCH). `field` is the path of the message that announced them.
        """
        checks = Announced(expected_digest, expected_size, max_bytes, f"{field}." if field else "")
        checks.check_request()
        object_key(tenant, "0" * 64, field="")
        with _span(names.SPAN_ARTIFACT_PUT) as span:
            ref = await self._put(tenant, data, checks)
            span.set_attributes(_attributes(ref))
        return ref

    async def _put(self, tenant: str, data: AsyncIterable[bytes] | bytes, checks: Announced) -> ArtifactRef:
        async with Spool() as spool:
            if isinstance(data, bytes):
                checks.check_room(len(data))
                await spool.write(data)
            else:
                async for piece in data:
                    checks.check_room(spool.size + len(piece))
                    await spool.write(piece)
            digest = await spool.digest()
            checks.check_whole(digest, spool.size)
            key = object_key(tenant, digest, field="digest")
            if await self._size(key) != spool.size:
                await self._write(key, spool)
            return ArtifactRef(digest=digest, size_bytes=spool.size, media_type=sniff(spool.head))

    async def get(self, tenant: str, digest: str, *, field: str = "digest") -> bytes:
        """Return all bytes of an artifact at once. Internal if they are not what their name says."""
        key = object_key(tenant, digest, field=field)
        with _span(names.SPAN_ARTIFACT_GET) as span:
            with _translated(field):
                result = await obstore.get_async(self._objects, key)
                data = bytes(await result.bytes_async())
            if (await in_thread(hashlib.sha256, data)).hexdigest() != digest:
                raise Internal("an artifact's bytes do not match its digest")
            span.set_attributes({names.ARTIFACT_DIGEST: digest, names.ARTIFACT_SIZE_BYTES: len(data)})
        return data

    async def stream(self, tenant: str, digest: str, offset: int = 0, *, field: str = "digest") -> AsyncIterator[bytes]:
        """Yield the bytes from `offset` on, in pieces of PIECE_BYTES. InvalidField if `offset` lies outside of it.

        Read in ranges of 4 MiB and not in one request: memory stays bounded, and a slow reader does not run into the
        HTTP client's time limit, which counts until the body is read.
        """
        if offset < 0:
            raise InvalidField("offset", "must not be negative")
        key = object_key(tenant, digest, field=field)
        size = offset + 1
        while offset < size:
            window, size = await self._window(key, offset, _WINDOW_BYTES, field)
            for start in range(0, len(window), PIECE_BYTES):
                yield window[start : start + PIECE_BYTES]
            offset += len(window)
            if not window and offset != size:
                raise InvalidField("offset", f"must be at most {size}, the artifact's size in bytes")

    async def head(self, tenant: str, digest: str, length: int, *, field: str = "digest") -> bytes:
        """Return the first `length` bytes, or all if there are fewer."""
        window, _ = await self._window(object_key(tenant, digest, field=field), 0, length, field)
        return window

    async def stat(self, tenant: str, digest: str, *, field: str = "digest") -> ArtifactRef:
        """Say what an artifact is. Its media type is sniffed anew: a local disk keeps no attributes."""
        window, size = await self._window(object_key(tenant, digest, field=field), 0, HEAD_BYTES, field)
        if size == 0:
            raise _not_found(field)
        return ArtifactRef(digest=digest, size_bytes=size, media_type=sniff(window))

    async def ready(self) -> bool:
        """Say whether the object store answers, by asking for an object that is never there."""
        try:
            await self._size("ready/never-there")
        except Unavailable:
            return False
        return True

    async def _size(self, key: str) -> int | None:
        try:
            with _translated("digest"):
                return (await obstore.head_async(self._objects, key))["size"]
        except NotFound:
            return None

    async def _window(self, key: str, start: int, length: int, field: str) -> tuple[bytes, int]:
        """Up to `length` bytes from `start`, none if there are none, and the size of the whole."""
        with _translated(field):
            try:
                result = await obstore.get_async(self._objects, key, options={"range": (start, start + length)})
                return bytes(await result.bytes_async()), result.meta["size"]
            except BaseError:
                # Stores refuse an empty range, each with an error of its own: the size tells it from a failure.
                size = (await obstore.head_async(self._objects, key))["size"]
                if start < size and length > 0:
                    raise
                return b"", size

    async def _write(self, key: str, spool: Spool) -> None:
        """Plain overwriting is right: whoever races us writes the same bytes."""
        with _translated("digest"):
            if spool.size <= _PART_BYTES:
                await obstore.put_async(self._objects, key, await spool.read_all(), use_multipart=False)
            else:
                pieces = spool.pieces(_PART_BYTES)
                await obstore.put_async(self._objects, key, pieces, chunk_size=_PART_BYTES, max_concurrency=2)


@contextmanager
def _span(name: str) -> Iterator[trace.Span]:
    """Open a span. Of an exception only the kind is recorded: its text may be the object store's or an uploader's."""
    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute(names.ERROR_TYPE, getattr(error, "reason", type(error).__name__))
            span.set_status(trace.StatusCode.ERROR)
            raise


def _attributes(ref: ArtifactRef) -> dict[str, str | int]:
    return {
        names.ARTIFACT_DIGEST: ref.digest,
        names.ARTIFACT_SIZE_BYTES: ref.size_bytes,
        names.ARTIFACT_MEDIA_TYPE: ref.media_type,
    }


def _not_found(field: str) -> NotFound:
    return NotFound(field, "no such artifact", reason="ARTIFACT_NOT_FOUND")


@contextmanager
def _translated(field: str) -> Iterator[None]:
    """Raise obstore's exceptions as ours. Theirs name paths and endpoints: they stay the cause, for the log."""
    try:
        yield
    except FileNotFoundError as error:
        raise _not_found(field) from error
    except (BaseError, OSError) as error:
        raise Unavailable(
            "the artifact store did not answer",
            metadata={"dependency": "artifact_store"},
            retry_after_s=_RETRY_AFTER_S,
        ) from error
