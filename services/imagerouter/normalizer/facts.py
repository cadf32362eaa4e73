"""The reading half of the normalizer: input images as they lie in the store, told by their first bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.normalizer.imagehead import ImageFacts, NeedMore, NotAnImage, read_head
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.validate import MASK
from imagerouter.runtime.errors import InvalidField, Unavailable
from imagerouter.storage import ArtifactStore

_REASON: Final = "REFERENCE_NOT_IMAGE"
_LONG_HEADERS: Final = 4


class ReferenceReader:
    """Reads headers from an artifact store."""

    def __init__(self, store: ArtifactStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._long_headers = asyncio.Semaphore(_LONG_HEADERS)

    async def read(self, request: pb.NormalizeRequest) -> list[ImageFacts]:
        """Read the facts of all references of a checked request, the mask's last if there is one.

        They are read at the same time; of several errors the first reference's is raised. Raises NotFound
        (ARTIFACT_NOT_FOUND), InvalidField (also REFERENCE_NOT_IMAGE and TOO_LARGE), Unavailable.
        """
        wanted = [(f"references[{at}]", reference) for at, reference in enumerate(request.references)]
        if request.HasField("mask"):
            wanted.append((MASK, request.mask))
        tasks = [asyncio.ensure_future(self._one(request.tenant, field, reference)) for field, reference in wanted]
        try:
            return await _in_order(tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _one(self, tenant: str, field: str, reference: task_pb2.Reference) -> ImageFacts:
        digest = reference.artifact.digest
        artifact = await self._store.stat(tenant, digest, field=f"{field}.artifact")
        claimed = reference.artifact.size_bytes
        if claimed not in (0, artifact.size_bytes):
            raise InvalidField(f"{field}.artifact.size_bytes", "is not the artifact's size")
        if artifact.size_bytes > self._limits.reference_bytes:
            limit = str(self._limits.reference_bytes)
            raise InvalidField(
                field, f"must be at most {limit} bytes", reason="TOO_LARGE", metadata={"limit_bytes": limit}
            )
        try:
            facts = await self._header(tenant, digest, field, artifact.size_bytes)
        except NotAnImage as error:
            raise InvalidField(field, str(error), reason=_REASON) from error
        self._check_pixels(field, facts)
        return facts

    async def _header(self, tenant: str, digest: str, field: str, size: int) -> ImageFacts:
        length = min(size, self._limits.head_bytes)
        try:
            return read_head(await self._head(tenant, digest, field, length), size, reach=self._limits.header_bytes)
        except NeedMore as more:
            wanted = more.length
        # Long headers are rare, and a thousand of them at once would fill the memory.
        async with self._long_headers:
            while True:
                # At least fourfold, so that many small parts cost few reads.
                length = min(size, self._limits.header_bytes, max(wanted, 4 * length))
                try:
                    return read_head(
                        await self._head(tenant, digest, field, length), size, reach=self._limits.header_bytes
                    )
                except NeedMore as more:
                    wanted = more.length

    async def _head(self, tenant: str, digest: str, field: str, length: int) -> bytes:
        head = await self._store.head(tenant, digest, length, field=f"{field}.artifact")
        if len(head) < length:
            raise Unavailable("the object store returned too few bytes")
        return head

    def _check_pixels(self, field: str, facts: ImageFacts) -> None:
        limits = self._limits
        if max(facts.width, facts.height) > limits.reference_side:
            raise InvalidField(field, f"must be at most {limits.reference_side} pixels wide and high", reason=_REASON)
        if facts.width * facts.height > limits.reference_pixels:
            raise InvalidField(field, f"must have at most {limits.reference_pixels} pixels", reason=_REASON)


async def _in_order(tasks: Sequence[asyncio.Future[ImageFacts]]) -> list[ImageFacts]:
    results = await asyncio.gather(*tasks, return_exceptions=True)
    facts: list[ImageFacts] = []
    for result in results:
        if isinstance(result, ImageFacts):
            facts.append(result)
        else:
            raise result
    return facts
