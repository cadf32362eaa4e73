"""NormalizerService: checks, reads the references' headers, and leaves the rest to the pure core."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, TypeAlias

import grpc.aio

from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.api.normalizer.v1.normalizer_service_pb2_grpc import NormalizerServiceServicer
from imagerouter.normalizer.core import load_tables, normalize
from imagerouter.normalizer.facts import ReferenceReader
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.merge import load_merging, merge
from imagerouter.normalizer.validate import check
from imagerouter.storage import ArtifactStore

_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

_LONG: Final = 4_000
"""Characters from which words are read in a thread: the longest prompt takes a tenth of a second."""


class NormalizerService(NormalizerServiceServicer):
    """Stateless. Makes ValueError of data files that cannot be read, at the start and not in a call."""

    def __init__(self, store: ArtifactStore, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._reader = ReferenceReader(store, self._limits)
        self._tables = load_tables()
        self._merging = load_merging()

    async def Normalize(self, request: pb.NormalizeRequest, context: _Context) -> pb.NormalizeResponse:
        """Settle a request."""
        check(request, self._limits)  # refused without a look at the store
        facts = await self._reader.read(request)
        settle = partial(normalize, request, facts, tables=self._tables, limits=self._limits)
        task = await asyncio.to_thread(settle) if len(request.prompt) > _LONG else settle()
        return pb.NormalizeResponse(task=task)

    async def MergeInstructions(
        self, request: pb.MergeInstructionsRequest, context: _Context
    ) -> pb.MergeInstructionsResponse:
        """Make one prompt of the instructions of a chain."""
        settle = partial(merge, request.instructions, self._merging, self._tables.languages, self._limits)
        long = sum(map(len, request.instructions)) > _LONG
        prompt = await asyncio.to_thread(settle) if long else settle()
        return pb.MergeInstructionsResponse(prompt=prompt)
