"""Calls that stream, so that an abandoned one is cancelled.

A done callback makes a reference cycle with its call, and gRPC cancels an abandoned call only when that is collected:
for as long, a provider would go on working for nobody. The wrapper is outside of the cycle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio


@contextmanager
def cancelled_after(call: grpc.aio.Call) -> Iterator[None]:
    """Cancel the call when the block is left, however that happens; no effect on a call that has ended."""
    try:
        yield
    finally:
        call.cancel()


def held(call: grpc.aio.Call) -> grpc.aio.Call:
    """Return a streaming call in a wrapper that cancels it when it is dropped; a unary one as it is."""
    for kind, wrapper in _WRAPPERS.items():
        if isinstance(call, kind):
            return wrapper(call)
    return call


class _Held(grpc.aio.Call):
    """A call by delegation."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __del__(self) -> None:
        self._inner.cancel()

    def cancel(self) -> bool:
        return bool(self._inner.cancel())

    def cancelled(self) -> bool:
        return bool(self._inner.cancelled())

    def done(self) -> bool:
        return bool(self._inner.done())

    def time_remaining(self) -> float | None:
        left: float | None = self._inner.time_remaining()
        return left

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._inner.add_done_callback(callback)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        metadata: grpc.aio.Metadata = await self._inner.initial_metadata()
        return metadata

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        metadata: grpc.aio.Metadata = await self._inner.trailing_metadata()
        return metadata

    async def code(self) -> grpc.StatusCode:
        code: grpc.StatusCode = await self._inner.code()
        return code

    async def details(self) -> str:
        details: str = await self._inner.details()
        return details

    async def wait_for_connection(self) -> None:
        await self._inner.wait_for_connection()


class _Answers(_Held):
    """The answering side of a stream."""

    def __aiter__(self) -> AsyncIterator[Any]:
        # Not the inner iterator: `async for` keeps nothing else alive.
        return self

    async def __anext__(self) -> Any:
        return await anext(self._inner.__aiter__())

    async def read(self) -> Any:
        return await self._inner.read()


class _Requests(_Held):
    """The asking side of a stream."""

    async def write(self, request: Any) -> None:
        await self._inner.write(request)

    async def done_writing(self) -> None:
        await self._inner.done_writing()


class _UnaryStream(_Answers, grpc.aio.UnaryStreamCall[Any, Any]):
    pass


class _StreamUnary(_Requests, grpc.aio.StreamUnaryCall[Any, Any]):
    def __await__(self) -> Generator[None, None, Any]:
        return (yield from self._inner.__await__())


class _StreamStream(_Answers, _Requests, grpc.aio.StreamStreamCall[Any, Any]):
    pass


_WRAPPERS: dict[Any, type[_Held]] = {
    grpc.aio.UnaryStreamCall: _UnaryStream,
    grpc.aio.StreamUnaryCall: _StreamUnary,
    grpc.aio.StreamStreamCall: _StreamStream,
}
