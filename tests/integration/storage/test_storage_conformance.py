"""One suite for every kind of store: a local directory, memory, S3."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from unittest.mock import AsyncMock, patch

import obstore
import pytest

from imagerouter.runtime.errors import Internal, InvalidField, NotFound
from imagerouter.storage import MAX_ARTIFACT_BYTES, PIECE_BYTES, ArtifactStore, open_store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
LARGE = os.urandom(1024 * 1024) * 9 + b"tail"


@pytest.fixture
def store(store_url: str) -> ArtifactStore:
    """Open an empty store of each kind."""
    return open_store(store_url)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """Stream the parts."""
    for part in parts:
        yield part


def cut(data: bytes, length: int) -> Iterable[bytes]:
    """Cut bytes into pieces."""
    return (data[start : start + length] for start in range(0, len(data), length))


@pytest.mark.parametrize("data", [b"x", PNG, LARGE], ids=["one", "small", "multipart"])
async def test_bytes_come_back_as_they_went(store: ArtifactStore, data: bytes) -> None:
    """Put, get, stream, head and stat agree, for one byte, for one request and for a multipart upload."""
    ref = await store.put("acme", pieces(*cut(data, PIECE_BYTES)))

    assert ref.digest == hashlib.sha256(data).hexdigest()
    assert ref.size_bytes == len(data)
    assert await store.get("acme", ref.digest) == data
    assert await store.stat("acme", ref.digest) == ref
    assert await store.head("acme", ref.digest, 100) == data[:100]
    streamed = [piece async for piece in store.stream("acme", ref.digest)]
    assert b"".join(streamed) == data
    assert all(len(piece) == PIECE_BYTES for piece in streamed[:-1])
    assert len(streamed[-1]) <= PIECE_BYTES


async def test_whole_bytes_and_a_stream_are_the_same_artifact(store: ArtifactStore) -> None:
    """How bytes arrive is not part of what they are."""
    assert await store.put("acme", PNG) == await store.put("acme", pieces(b"", PNG[:3], PNG[3:], b""))


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(PNG, "image/png"), (b"\xff\xd8\xff\xe0rest", "image/jpeg"), (b"<svg/>", "application/octet-stream")],
)
async def test_the_media_type_outlives_the_upload(store: ArtifactStore, data: bytes, media_type: str) -> None:
    """Stat tells the media type of a stored artifact on every store, though a disk keeps no attributes."""
    ref = await store.put("acme", pieces(*cut(data, 2)))

    assert ref.media_type == media_type
    assert (await store.stat("acme", ref.digest)).media_type == media_type


async def test_bytes_that_are_there_are_not_written_again(store: ArtifactStore) -> None:
    """The second upload of the same bytes writes nothing."""
    await store.put("acme", PNG)
    with patch.object(obstore, "put_async", AsyncMock(side_effect=AssertionError("written again"))):
        await store.put("acme", PNG)
        with pytest.raises(AssertionError):
            await store.put("acme", PNG + b"!")


async def test_an_object_of_the_wrong_length_is_mended(store: ArtifactStore) -> None:
    """What a power cut left short is written anew by the next upload, and is not an artifact until then if empty."""
    digest = hashlib.sha256(PNG).hexdigest()
    await obstore.put_async(store._objects, f"acme/sha256/{digest[:2]}/{digest}", b"", use_multipart=False)
    with pytest.raises(NotFound):
        await store.stat("acme", digest)

    await store.put("acme", PNG)

    assert await store.get("acme", digest) == PNG


async def test_bytes_that_rotted_are_not_handed_out(store: ArtifactStore) -> None:
    """Get checks the digest: other bytes under the same name are a defect, not an answer."""
    digest = hashlib.sha256(PNG).hexdigest()
    await obstore.put_async(store._objects, f"acme/sha256/{digest[:2]}/{digest}", b"rot", use_multipart=False)

    with pytest.raises(Internal):
        await store.get("acme", digest)


@pytest.mark.parametrize(
    "offset", [0, 1, PIECE_BYTES, 4 * 1024 * 1024 - 1, 5 * 1024 * 1024, len(LARGE) - 1, len(LARGE)]
)
async def test_a_broken_download_goes_on_where_it_stopped(store: ArtifactStore, offset: int) -> None:
    """From any offset up to the very end, the rest comes and nothing else."""
    ref = await store.put("acme", LARGE)

    assert b"".join([piece async for piece in store.stream("acme", ref.digest, offset)]) == LARGE[offset:]


@pytest.mark.parametrize("offset", [-1, len(PNG) + 1, 2**62])
async def test_an_offset_outside_the_artifact_is_refused(store: ArtifactStore, offset: int) -> None:
    """An offset that no byte can follow is the caller's mistake, and named."""
    ref = await store.put("acme", PNG)

    with pytest.raises(InvalidField) as caught:
        await anext(store.stream("acme", ref.digest, offset))
    assert caught.value.fields[0].field == "offset"


async def test_what_is_not_there_is_not_found(store: ArtifactStore) -> None:
    """Every read of an unknown digest is NOT_FOUND with the caller's field."""
    digest = "0" * 64
    for read in (
        store.get("acme", digest, field="image"),
        store.stat("acme", digest, field="image"),
        store.head("acme", digest, 1, field="image"),
        anext(store.stream("acme", digest, 5, field="image")),
    ):
        with pytest.raises(NotFound) as caught:
            await read
        assert caught.value.reason == "ARTIFACT_NOT_FOUND"
        assert caught.value.fields[0].field == "image"


async def test_another_tenants_artifact_is_not_there(store: ArtifactStore) -> None:
    """Knowing a digest gives no access, nor the knowledge that somebody has it."""
    ref = await store.put("acme", PNG)

    for tenant in ("acm", "acme2", "other"):
        with pytest.raises(NotFound):
            await store.stat(tenant, ref.digest)


@pytest.mark.parametrize("data", [b"", [], [b"", b""]])
async def test_nothing_is_no_artifact(store: ArtifactStore, data: bytes | list[bytes]) -> None:
    """An empty upload is refused."""
    with pytest.raises(InvalidField) as caught:
        await store.put("acme", data if isinstance(data, bytes) else pieces(*data))
    assert caught.value.fields[0].field == "data"


async def test_too_many_bytes_are_refused_as_soon_as_they_are_too_many(store: ArtifactStore) -> None:
    """An endless upload is read one piece beyond the limit and no further; nothing is stored."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield bytes(1000)

    with pytest.raises(InvalidField) as caught:
        await store.put("acme", endless(), max_bytes=10_500)
    assert caught.value.reason == "TOO_LARGE"
    assert caught.value.metadata["limit_bytes"] == "10500"
    assert read == 11_000
    assert await everything(store) == []


async def test_the_limit_itself_is_allowed(store: ArtifactStore) -> None:
    """Exactly `max_bytes` pass, one more does not."""
    assert (await store.put("acme", b"12345", max_bytes=5)).size_bytes == 5
    with pytest.raises(InvalidField):
        await store.put("acme", b"123456", max_bytes=5)
    with pytest.raises(InvalidField):
        await store.put("acme", pieces(b"123", b"456"), max_bytes=5)


@pytest.mark.parametrize("sent", [PNG[:-1], PNG + b"!", b"!" + PNG[1:]], ids=["short", "long", "other"])
async def test_other_bytes_than_announced_are_refused(store: ArtifactStore, sent: bytes) -> None:
    """What does not come to the announced digest and size is not stored."""
    digest = hashlib.sha256(PNG).hexdigest()
    with pytest.raises(InvalidField) as caught:
        await store.put("acme", pieces(sent), expected_digest=digest, expected_size=len(PNG), field="header")
    assert caught.value.reason == "DIGEST_MISMATCH"
    assert caught.value.fields[0].field.startswith("header.expected_")
    assert await everything(store) == []

    await store.put("acme", pieces(PNG), expected_digest=digest, expected_size=len(PNG))
    assert len(await everything(store)) == 1


@pytest.mark.parametrize(
    ("announced", "field"),
    [
        ({"expected_digest": "ABC"}, "expected_digest"),
        ({"expected_size": -1}, "expected_size_bytes"),
        ({"expected_size": MAX_ARTIFACT_BYTES + 1}, "expected_size_bytes"),
    ],
)
async def test_an_impossible_announcement_is_refused_before_a_byte_is_read(
    store: ArtifactStore, announced: dict[str, object], field: str
) -> None:
    """A malformed digest or an impossible size costs no upload."""

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    with pytest.raises(InvalidField) as caught:
        await store.put("acme", unread(), **announced)  # type: ignore[arg-type]
    assert caught.value.fields[0].field == field


async def test_an_upload_that_breaks_leaves_nothing(store: ArtifactStore) -> None:
    """A caller that fails or goes away in the middle leaves no object behind."""

    async def broken() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionResetError

    async def hanging() -> AsyncIterator[bytes]:
        yield LARGE
        await asyncio.Event().wait()

    with pytest.raises(ConnectionResetError):
        await store.put("acme", broken())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await store.put("acme", hanging())
    assert await everything(store) == []


async def test_racing_uploads_of_the_same_bytes_agree(store: ArtifactStore) -> None:
    """Many writers of one artifact all succeed, and it is whole."""
    refs = await asyncio.gather(*(store.put("acme", pieces(*cut(PNG, 999))) for _ in range(12)))

    assert all(ref == refs[0] for ref in refs)
    assert await store.get("acme", refs[0].digest) == PNG
    assert len(await everything(store)) == 1


async def test_a_store_that_answers_is_ready(store: ArtifactStore) -> None:
    """Readiness needs no object to be there."""
    assert await store.ready()


async def everything(store: ArtifactStore) -> list[str]:
    """List all keys in the store."""
    return [meta["path"] for meta in await obstore.list(store._objects).collect_async()]
