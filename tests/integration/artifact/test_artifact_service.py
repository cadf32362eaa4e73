"""ArtifactService over a real server and a real directory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path

import grpc
import grpc.aio
import pytest

from imagerouter.api.artifact.v1 import artifact_service_pb2 as pb
from imagerouter.api.artifact.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.errors import ImageRouterError
from imagerouter.runtime.status import from_rpc_error
from imagerouter.storage import PIECE_BYTES, ArtifactStore

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5000
DIGEST = hashlib.sha256(PNG).hexdigest()


def tenant(name: str) -> grpc.aio.Metadata:
    """Speak for a tenant."""
    return grpc.aio.Metadata(("imagerouter-tenant", name))


def upload(data: bytes, **header: object) -> list[pb.UploadRequest]:
    """Cut bytes into an upload."""
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
    return [
        pb.UploadRequest(header=pb.UploadHeader(**header)),  # type: ignore[arg-type]
        *(pb.UploadRequest(data=piece) for piece in pieces),
    ]


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, ImageRouterError]:
    """Wait for a call to be refused; say with which code and error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), from_rpc_error(caught.value)


async def first(call: AsyncIterator[pb.DownloadResponse]) -> pb.DownloadResponse:
    """Wait for the first message of a download."""
    return await anext(aiter(call))


async def test_an_artifact_makes_the_round_trip(stub: ArtifactServiceStub) -> None:
    """What is uploaded can be looked up and downloaded, in messages of 256 KiB at most, the ref in the first alone."""
    sent = (await stub.Upload(upload(PNG, expected_digest=DIGEST, expected_size_bytes=len(PNG)))).artifact

    assert (sent.digest, sent.size_bytes, sent.media_type) == (DIGEST, len(PNG), "image/png")
    assert (await stub.StatArtifact(pb.StatArtifactRequest(digest=DIGEST))).artifact == sent
    messages = [message async for message in stub.Download(pb.DownloadRequest(digest=DIGEST))]
    assert b"".join(message.data for message in messages) == PNG
    assert [message.HasField("artifact") for message in messages] == [True] + [False] * (len(messages) - 1)
    assert messages[0].artifact == sent
    assert max(len(message.data) for message in messages) <= PIECE_BYTES


async def test_a_download_goes_on_from_an_offset(stub: ArtifactServiceStub) -> None:
    """A broken download is taken up again at its offset; at the very end there is nothing more, and no error."""
    await stub.Upload(upload(PNG))
    for offset in (1, PIECE_BYTES + 3, len(PNG) - 1, len(PNG)):
        messages = [message async for message in stub.Download(pb.DownloadRequest(digest=DIGEST, offset=offset))]

        assert b"".join(message.data for message in messages) == PNG[offset:]
        assert messages[0].artifact.size_bytes == len(PNG)


@pytest.mark.parametrize(
    ("requests", "field", "reason"),
    [
        ([], "header", "INVALID_FIELD"),
        ([pb.UploadRequest()], "header", "INVALID_FIELD"),
        (upload(PNG)[1:], "header", "INVALID_FIELD"),
        (upload(PNG)[:1] * 2, "header", "INVALID_FIELD"),
        ([upload(PNG)[0], pb.UploadRequest(data=PNG[:9]), pb.UploadRequest()], "data", "INVALID_FIELD"),
        (upload(b""), "data", "INVALID_FIELD"),
        ([upload(PNG)[0], pb.UploadRequest(data=b"")], "data", "INVALID_FIELD"),
        ([upload(PNG)[0], pb.UploadRequest(data=bytes(PIECE_BYTES + 1))], "data", "TOO_LARGE"),
        (upload(PNG, expected_digest="abc"), "header.expected_digest", "INVALID_FIELD"),
        (upload(PNG, expected_digest=DIGEST.upper()), "header.expected_digest", "INVALID_FIELD"),
        (upload(PNG, expected_digest="0" * 64), "header.expected_digest", "DIGEST_MISMATCH"),
        (upload(PNG, expected_size_bytes=-1), "header.expected_size_bytes", "INVALID_FIELD"),
        (upload(PNG, expected_size_bytes=len(PNG) - 1), "header.expected_size_bytes", "DIGEST_MISMATCH"),
        (upload(PNG, expected_size_bytes=len(PNG) + 1), "header.expected_size_bytes", "DIGEST_MISMATCH"),
        (upload(PNG, expected_size_bytes=50 * 1024 * 1024 + 1), "header.expected_size_bytes", "TOO_LARGE"),
    ],
    ids=[
        "no-message",
        "empty-message",
        "no-header",
        "two-headers",
        "empty-oneof",
        "no-data",
        "empty-data",
        "piece-too-long",
        "digest-short",
        "digest-upper",
        "digest-other",
        "size-negative",
        "size-less",
        "size-more",
        "size-over-limit",
    ],
)
async def test_a_bad_upload_names_its_field_and_stores_nothing(
    stub: ArtifactServiceStub, tmp_path: Path, requests: Iterable[pb.UploadRequest], field: str, reason: str
) -> None:
    """Whatever is wrong with an upload is INVALID_ARGUMENT with the field's path, and leaves no file."""
    code, error = await refused(stub.Upload(requests))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == reason
    assert error.fields[0].field == field
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_a_message_of_the_largest_piece_fits(stub: ArtifactServiceStub) -> None:
    """A piece of exactly 256 KiB passes the message limit of a control service."""
    sent = await stub.Upload([upload(PNG)[0], pb.UploadRequest(data=bytes(PIECE_BYTES))])

    assert sent.artifact.size_bytes == PIECE_BYTES


@pytest.mark.parametrize("digest", ["", "abc", "../../etc/passwd", "Z" * 64, "a" * 65, "\x00" * 64])
async def test_a_malformed_digest_is_refused(stub: ArtifactServiceStub, digest: str) -> None:
    """A digest that cannot be one is the caller's mistake, and reaches no file."""
    for call in (
        stub.StatArtifact(pb.StatArtifactRequest(digest=digest)),
        first(stub.Download(pb.DownloadRequest(digest=digest))),
    ):
        code, error = await refused(call)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert error.fields[0].field == "digest"


async def test_unknown_and_foreign_artifacts_cannot_be_told_apart(stub: ArtifactServiceStub) -> None:
    """Another tenant's digest gets the very answer that an unknown one gets."""
    await stub.Upload(upload(PNG), metadata=tenant("acme"))
    await stub.StatArtifact(pb.StatArtifactRequest(digest=DIGEST), metadata=tenant("acme"))

    answers = []
    for digest, name in ((DIGEST, "other"), (DIGEST, "default"), ("0" * 64, "acme")):
        for call in (
            stub.StatArtifact(pb.StatArtifactRequest(digest=digest), metadata=tenant(name)),
            first(stub.Download(pb.DownloadRequest(digest=digest), metadata=tenant(name))),
        ):
            code, error = await refused(call)
            answers.append((code, error.reason, error.message, error.fields))
    assert set(answers) == {answers[0]}
    assert answers[0][:2] == (grpc.StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND")


@pytest.mark.parametrize("name", ["Acme", "a/b", "../x", "-a", "a" * 64, ""])
async def test_a_bad_tenant_is_refused(stub: ArtifactServiceStub, name: str) -> None:
    """A tenant that is no name never becomes a path."""
    code, error = await refused(stub.Upload(upload(PNG), metadata=tenant(name)))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields[0].field == "imagerouter-tenant"


@pytest.mark.parametrize("offset", [-1, len(PNG) + 1, 2**63 - 1])
async def test_an_offset_outside_is_refused(stub: ArtifactServiceStub, offset: int) -> None:
    """An offset before the first or beyond the last byte is named."""
    await stub.Upload(upload(PNG))
    code, error = await refused(first(stub.Download(pb.DownloadRequest(digest=DIGEST, offset=offset))))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields[0].field == "offset"


async def test_an_endless_upload_is_cut_off(store: ArtifactStore) -> None:
    """An upload over the service's limit is refused while it runs, not when it ends."""
    from artifact_rig import served

    async def endless() -> AsyncIterator[pb.UploadRequest]:
        yield pb.UploadRequest(header=pb.UploadHeader())
        while True:
            yield pb.UploadRequest(data=bytes(1000))

    async with (
        served(store, max_artifact_bytes=100_000) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
        asyncio.timeout(10),
    ):
        code, error = await refused(ArtifactServiceStub(channel).Upload(endless()))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "TOO_LARGE"
    assert error.metadata["limit_bytes"] == "100000"


async def test_an_upload_that_is_cancelled_leaves_nothing(
    stub: ArtifactServiceStub, store: ArtifactStore, tmp_path: Path
) -> None:
    """A caller that goes away in the middle leaves no artifact, and the service goes on."""

    async def hanging() -> AsyncIterator[pb.UploadRequest]:
        for request in upload(PNG)[:3]:
            yield request
        await asyncio.Event().wait()

    call = stub.Upload(hanging())
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (await stub.Upload(upload(PNG))).artifact.digest == DIGEST


async def test_many_at_once_do_not_mix(stub: ArtifactServiceStub) -> None:
    """Twenty uploads and downloads side by side each get their own bytes."""

    async def round_trip(number: int) -> None:
        data = bytes([number]) * (200_000 + number)
        ref = (await stub.Upload(upload(data))).artifact
        messages = [message async for message in stub.Download(pb.DownloadRequest(digest=ref.digest))]
        assert b"".join(message.data for message in messages) == data

    await asyncio.gather(*(round_trip(number) for number in range(20)))
