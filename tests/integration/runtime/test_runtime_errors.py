"""Errors on the wire: typed, intact across hops, small, and without a word of what is private."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from runtime_rig import SERVICE, Stub, echo, finished, path, running, served, settings, text

from imagerouter.api.adapter.v1 import adapter_service_pb2, adapter_service_pb2_grpc
from imagerouter.api.artifact.v1 import artifact_service_pb2, artifact_service_pb2_grpc
from imagerouter.api.router.v1 import router_service_pb2, router_service_pb2_grpc
from imagerouter.runtime import errors
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.server import Server
from imagerouter.runtime.status import DETAILS_KEY, MAX_DETAILS_BYTES, from_rpc_error, to_grpc_status, to_status

LogLines = Callable[[], list[dict[str, Any]]]
SECRET = "postgres://user:CANARY@db/x"


async def _failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await finished(call)
    return caught.value


def _everything(error: grpc.aio.AioRpcError) -> str:
    return f"{error!r} {list(error.initial_metadata() or ())} {list(error.trailing_metadata() or ())}"


async def _defect(request: Any, context: Any) -> Any:
    raise ValueError(SECRET)


async def _defect_midway(request: Any, context: Any) -> AsyncIterator[Any]:
    yield text("first")
    raise ValueError(SECRET)


async def _wrong_type(request: Any, context: Any) -> Any:
    return SECRET


async def _group(request: Any, context: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        group.create_task(_defect(request, context))


@pytest.mark.parametrize("behaviour", [_defect, _wrong_type, _group])
async def test_defects_leak_nothing(behaviour: Any, log_lines: LogLines) -> None:
    """A bug in a handler is INTERNAL with the trace id of its log line, and nothing else."""
    async with served(Unary=behaviour) as port, open_channel(f"127.0.0.1:{port}") as channel:
        failed = await _failure(Stub(channel).Unary(text("CANARY prompt")))

    error = from_rpc_error(failed)
    (line,) = [line for line in log_lines() if line["event"] == "rpc"]
    assert isinstance(error, errors.Internal)
    assert error.metadata == {"trace_id": line["trace_id"]}
    assert "CANARY" not in _everything(failed)
    assert line["exception"]
    assert "CANARY" not in str(log_lines())


async def test_a_defect_midway_leaks_nothing() -> None:
    """The same after the first message of a stream."""
    async with served(Answers=_defect_midway) as port, open_channel(f"127.0.0.1:{port}") as channel:
        failed = await _failure(Stub(channel).Answers(text()))

    assert failed.code() is grpc.StatusCode.INTERNAL
    assert "CANARY" not in _everything(failed)


async def test_an_error_in_a_task_group_is_itself() -> None:
    """One typed error raised in a task group is that error, not a defect."""

    async def missing() -> None:
        raise errors.NotFound("name", "there is no such image")

    async def unary(request: Any, context: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(missing())

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        failed = await _failure(Stub(channel).Unary(text()))

    assert failed.code() is grpc.StatusCode.NOT_FOUND


GARBAGE = [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0a\x02\xff\xfe", b"\x0a\x05ab"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=["tag", "varint", "utf8", "truncated"])
@pytest.mark.parametrize("kind", ["Unary", "Answers", "Requests", "Both"])
async def test_malformed_bytes(kind: str, garbage: bytes) -> None:
    """Bytes that are no message are INVALID_ARGUMENT, MALFORMED_MESSAGE, for each kind of call."""

    async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
        yield request

    async def requests(arriving: Any, context: Any) -> Any:
        return [request async for request in arriving][-1]

    async def both(arriving: Any, context: Any) -> AsyncIterator[Any]:
        async for request in arriving:
            yield request

    async def stream() -> AsyncIterator[bytes]:
        yield text("good").SerializeToString()
        yield garbage

    behaviours = {"Unary": echo, "Answers": answers, "Requests": requests, "Both": both}
    makers = {"Unary": "unary_unary", "Answers": "unary_stream", "Requests": "stream_unary", "Both": "stream_stream"}
    async with served(**behaviours) as port, open_channel(f"127.0.0.1:{port}") as channel:
        call = getattr(channel, makers[kind])(path(kind))
        failed = await _failure(call(garbage if kind in {"Unary", "Answers"} else stream()))

    error = from_rpc_error(failed)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    assert error.metadata == {"method": f"{SERVICE}/{kind}"}


async def test_what_is_not_built_says_so() -> None:
    """Methods of the generated base classes, unary and streaming, answer UNIMPLEMENTED with reason NOT_BUILT."""

    class Adapter(adapter_service_pb2_grpc.AdapterServiceServicer):
        pass

    class Router(router_service_pb2_grpc.RouterServiceServicer):
        pass

    class Artifact(artifact_service_pb2_grpc.ArtifactServiceServicer):
        pass

    server = Server(settings(), name="empty")
    server.add("a", adapter_service_pb2_grpc.add_AdapterServiceServicer_to_server, Adapter())
    server.add("b", router_service_pb2_grpc.add_RouterServiceServicer_to_server, Router())
    server.add("c", artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server, Artifact())
    port = await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        adapter = adapter_service_pb2_grpc.AdapterServiceStub(channel)
        router = router_service_pb2_grpc.RouterServiceStub(channel)
        artifact = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
        failures = [
            await _failure(router.Route(router_service_pb2.RouteRequest())),
            await _failure(adapter.Generate(adapter_service_pb2.GenerateRequest())),
            await _failure(artifact.Upload(iter([artifact_service_pb2.UploadRequest()]))),
        ]
        unknown = await _failure(channel.unary_unary(path("Nothing"))(b""))
    await server.stop(0)

    assert [from_rpc_error(failed).reason for failed in failures] == ["NOT_BUILT"] * 3
    assert from_rpc_error(failures[1]).metadata == {"method": "imagerouter.api.adapter.v1.AdapterService/Generate"}
    assert unknown.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_errors_pass_through_intact() -> None:
    """What a leaf says reaches the caller of its caller byte for byte, although nobody caught it in between."""
    status = to_status(errors.QuotaExceeded("too many", quotas=[errors.QuotaViolation("tenant:a", "10")]))
    status.details.add().Pack(error_details_pb2.Help())  # as a newer version of ours might

    async def leaf(request: Any, context: Any) -> Any:
        await context.abort_with_status(to_grpc_status(status))

    async with served(Unary=leaf) as leaf_port, open_channel(f"127.0.0.1:{leaf_port}") as inner:

        async def middle(request: Any, context: Any) -> Any:
            return await Stub(inner).Unary(request)

        async with served(Unary=middle) as port, open_channel(f"127.0.0.1:{port}") as channel:
            direct = await _failure(Stub(inner).Unary(text()))
            passed = await _failure(Stub(channel).Unary(text()))

    assert (passed.code(), passed.details()) == (direct.code(), direct.details())
    assert passed.trailing_metadata()[DETAILS_KEY] == direct.trailing_metadata()[DETAILS_KEY]


async def test_a_dead_dependency(unused_tcp_port: int, log_lines: LogLines) -> None:
    """A dependency that refuses the connection is UNAVAILABLE, certainly not sent, without its address."""
    async with open_channel(f"127.0.0.1:{unused_tcp_port}") as inner:

        async def middle(request: Any, context: Any) -> Any:
            return await Stub(inner).Unary(request)

        async with served(Unary=middle) as port, open_channel(f"127.0.0.1:{port}") as channel:
            failed = await _failure(Stub(channel).Unary(text()))

    error = from_rpc_error(failed)
    assert (type(error), error.reason) == (errors.Unavailable, "DEPENDENCY_UNAVAILABLE")
    assert error.metadata == {"grpc_code": "UNAVAILABLE", "phase": "not_sent"}
    assert str(unused_tcp_port) not in _everything(failed)
    (line,) = [line for line in log_lines() if line["event"] == "rpc"]
    assert str(unused_tcp_port) in line["exception"][0]["text"]


async def test_a_dependency_that_dies_midway() -> None:
    """A dependency lost after the call was sent is UNAVAILABLE too, but it may have done the work."""
    begun = asyncio.Event()

    async def leaf(request: Any, context: Any) -> Any:
        begun.set()
        await asyncio.sleep(60)

    async with running(Unary=leaf) as (server, port), open_channel(f"127.0.0.1:{port}") as channel:
        task = asyncio.create_task(_failure(Stub(channel).Unary(text())))
        await begun.wait()
        await server.stop(0)
        failed = await task

    assert from_rpc_error(failed).metadata["phase"] == "sent_unknown"


async def test_the_largest_error_arrives() -> None:
    """An error full to the brim arrives every time as itself, and not as a protocol error of gRPC's."""
    fields = [errors.FieldViolation(f"references[{i}].artifact", "é" * 200) for i in range(50)]

    async def unary(request: Any, context: Any) -> Any:
        metadata = {f"model-{i}": "LATENCY: " + "x" * 200 for i in range(50)}
        raise errors.PreconditionFailed("y" * 4000, reason="NO_ROUTE", metadata=metadata, fields=fields)

    async with served(Unary=unary) as port, open_channel(f"127.0.0.1:{port}") as channel:
        failures = [await _failure(Stub(channel).Unary(text())) for _ in range(200)]

    assert {from_rpc_error(failed).reason for failed in failures} == {"NO_ROUTE"}
    assert len(failures[0].trailing_metadata()[DETAILS_KEY]) <= MAX_DETAILS_BYTES


async def test_a_bad_tenant_is_refused() -> None:
    """The handler is not reached for a tenant that is no name."""
    async with served(Unary=echo) as port, open_channel(f"127.0.0.1:{port}") as channel:
        failed = await _failure(Stub(channel).Unary(text(), metadata=(("imagerouter-tenant", "../etc"),)))

    assert from_rpc_error(failed).fields[0].field == "imagerouter-tenant"


async def test_handlers_may_abort() -> None:
    """A handler that aborts by hand keeps its code, and one that only sets a code too."""

    async def unary(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.DATA_LOSS, "by hand")

    async def read(request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        return text()

    async with served(Unary=unary, Read=read) as port, open_channel(f"127.0.0.1:{port}") as channel:
        codes = [(await _failure(getattr(Stub(channel), name)(text()))).code().name for name in ("Unary", "Read")]

    assert codes == ["DATA_LOSS", "NOT_FOUND"]
