"""The servicer: checking, claiming, heartbeats, previews, replays, cancellation, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imagerouter.api.adapter.v1 import adapter_service_pb2 as pb
from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, task_pb2
from imagerouter.runtime.errors import Unavailable
from imagerouter.storage import ArtifactStore, open_store
from tests.integration.adapter.running_adapter import RunningAdapter, running_adapter
from tests.integration.adapter.test_adapter_wire_faults import MODELS, PROVIDERS
from tests.integration.adapter.wire_server import (
    B64,
    GOOGLE_OK,
    OPENAI_OK,
    Behaviour,
    Received,
    WireServer,
    answers,
    ends,
    is_silent,
    sse,
    wire_server,
)
from tests.unit.adapter.adapter_calls import PNG, make_request, words_of

PROMPT = "a zebra reading the Financial Gazette"


def good(provider: str) -> Behaviour:
    """An answer with one picture."""
    return answers(200, OPENAI_OK if provider == "openai" else GOOGLE_OK)


def hangs_until_closed(server: list[WireServer]) -> Behaviour:
    """Say nothing, and note when the client hangs up."""

    async def behaviour(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Received) -> None:
        await server[0].wait_for_hang_up(reader)

    return behaviour


def slow(behaviour: Behaviour, seconds: float) -> Behaviour:
    """The same, later."""

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: Received) -> None:
        await asyncio.sleep(seconds)
        await behaviour(reader, writer, received)

    return later


@PROVIDERS
async def test_a_picture_arrives_in_the_store(provider: str) -> None:
    """The outcome names the picture by digest, with usage, exact cost, the provider's ids and the time it took."""
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url) as adapter:
        outcome = await adapter.outcome(make_request(MODELS[provider]))
        [artifact] = outcome.artifacts
        stored = await adapter.store.get("acme", artifact.digest)

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    assert (stored, artifact.media_type, artifact.size_bytes) == (PNG, "image/png", len(PNG))
    assert outcome.cost_micros == (52_730 if provider == "openai" else 33_615)
    assert not outcome.cost_estimated
    assert outcome.timing.start_time.seconds > 0
    assert outcome.timing.provider_duration.ToMicroseconds() > 0


@PROVIDERS
async def test_heartbeats_come_while_the_provider_works(provider: str) -> None:
    """A slow provider is told from a dead adapter; the order is accepted, heartbeats, outcome."""
    async with (
        wire_server(slow(good(provider), 0.5)) as server,
        running_adapter(provider, server.url, heartbeat_s=0.1) as adapter,
    ):
        kinds = [event.WhichOneof("event") for event in await adapter.events(make_request(MODELS[provider]))]

    assert kinds[0] == "accepted"
    assert kinds[-1] == "outcome"
    assert set(kinds[1:-1]) == {"heartbeat"}
    assert len(kinds) >= 4


async def test_previews_are_stored_and_named() -> None:
    """Each picture in the making arrives as an artifact, before the outcome; one image is asked for."""
    partials: list[dict[str, Any]] = [
        {"type": "image_generation.partial_image", "partial_image_index": index, "b64_json": B64} for index in (0, 1)
    ]
    completed = {"type": "image_generation.completed", "b64_json": B64, "usage": OPENAI_OK["usage"]}
    async with (
        wire_server(ends(after=sse(*partials, completed))) as server,
        running_adapter("openai", server.url) as adapter,
    ):
        events = await adapter.events(make_request(previews=2, count=3))
        previews = [event.preview for event in events if event.HasField("preview")]
        stored = [await adapter.store.get("acme", preview.artifact.digest) for preview in previews]
    sent = json.loads(server.received[0].body)
    outcome = events[-1].outcome

    assert [preview.index for preview in previews] == [0, 1]
    assert stored == [PNG, PNG]
    assert (sent["n"], sent["stream"], sent["partial_images"]) == (1, True, 2)
    assert [note.field for note in outcome.negotiations] == ["output.count"]
    assert outcome.cost_micros == 52_730


@PROVIDERS
async def test_cancelling_closes_the_connection_to_the_provider(provider: str) -> None:
    """When the caller hangs up, the provider's end sees it within a second."""
    holder: list[WireServer] = []
    async with (
        wire_server(hangs_until_closed(holder)) as server,
        running_adapter(provider, server.url) as adapter,
    ):
        holder.append(server)
        call = adapter.stub.Generate(make_request(MODELS[provider]))
        assert (await call.read()).HasField("accepted")
        await asyncio.wait_for(server.began.wait(), 5)
        began = time.monotonic()
        call.cancel()
        await asyncio.wait_for(server.hung_up.wait(), 5)

    assert time.monotonic() - began < 1.0


async def test_cancelling_a_stream_of_previews_closes_the_connection() -> None:
    """The same in the middle of a stream of events."""
    holder: list[WireServer] = []
    partial = {"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": B64}

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: Received) -> None:
        await ends(after=sse(partial, whole=False))(reader, writer, received)
        await holder[0].wait_for_hang_up(reader)

    async with wire_server(behaviour) as server, running_adapter("openai", server.url) as adapter:
        holder.append(server)
        call = adapter.stub.Generate(make_request(previews=2))
        events = [await call.read(), await call.read()]
        call.cancel()
        await asyncio.wait_for(server.hung_up.wait(), 1)

    assert events[1].HasField("preview")


@PROVIDERS
async def test_a_deadline_closes_the_connection_to_the_provider(provider: str) -> None:
    """A caller whose deadline passes has hung up too."""
    holder: list[WireServer] = []
    async with (
        wire_server(hangs_until_closed(holder)) as server,
        running_adapter(provider, server.url) as adapter,
    ):
        holder.append(server)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await adapter.events(make_request(MODELS[provider]), timeout=0.5)
        await asyncio.wait_for(server.hung_up.wait(), 1)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@PROVIDERS
async def test_a_cancelled_attempt_is_not_sent_again(provider: str) -> None:
    """Asked for again, it answers that it was cancelled and that nobody knows what it cost."""
    request = make_request(MODELS[provider])
    async with wire_server(is_silent()) as server, running_adapter(provider, server.url) as adapter:
        call = adapter.stub.Generate(request)
        await call.read()
        await asyncio.wait_for(server.began.wait(), 5)
        call.cancel()
        outcome = await ended(adapter, request)

    assert words_of(outcome) == ("CANCELLED", "SENT_UNKNOWN")
    assert len(server.received) == 1


@PROVIDERS
async def test_fifty_calls_of_one_attempt_are_one_execution(provider: str) -> None:
    """While it runs others are refused; when it has ended they are told its outcome."""
    request = make_request(MODELS[provider])
    async with wire_server(slow(good(provider), 0.3)) as server, running_adapter(provider, server.url) as adapter:
        results = await asyncio.gather(*(adapter.events(request) for _ in range(50)), return_exceptions=True)
        again = await adapter.outcome(request)
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    [executed] = [result for result in results if isinstance(result, list)]

    assert len(server.received) == 1
    assert {error.code() for error in refused} == {grpc.StatusCode.ALREADY_EXISTS}
    assert len(refused) == 49
    assert again == executed[-1].outcome


async def test_an_attempt_id_is_for_one_request() -> None:
    """The same id with another prompt is refused and not sent."""
    request = make_request()
    async with wire_server(good("openai")) as server, running_adapter("openai", server.url) as adapter:
        await adapter.outcome(request)
        request.task.prompt = "a dog"
        error = await _refused(adapter, request)

    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert _violation(error) == "attempt_id"
    assert len(server.received) == 1


@PROVIDERS
@pytest.mark.parametrize(
    ("field", "value"),
    [("attempt_id", ""), ("attempt_id", "x"), ("route.provider", "acme"), ("route.model", "no-such-model")],
    ids=["no-id", "bad-id", "provider", "model"],
)
async def test_a_bad_request_is_refused_before_anything(provider: str, field: str, value: str) -> None:
    """INVALID_ARGUMENT with the field named, and no provider call."""
    request = make_request(MODELS[provider])
    holder, _, name = field.rpartition(".")
    setattr(getattr(request, holder) if holder else request, name, value)
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url) as adapter:
        error = await _refused(adapter, request)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert _violation(error) == field
    assert not server.received


@PROVIDERS
async def test_a_missing_reference_is_not_sent(provider: str) -> None:
    """A reference that the tenant does not have ends the attempt unsent, with the field named."""
    request = make_request(MODELS[provider], mode=task_pb2.MODE_EDIT)
    request.task.references.add(artifact=artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=9))
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url) as adapter:
        outcome = await adapter.outcome(request)

    assert words_of(outcome) == ("INVALID_REQUEST", "NOT_SENT")
    assert "task.references[0].artifact" in outcome.message
    assert not server.received


@PROVIDERS
async def test_an_edit_sends_the_base_first(provider: str) -> None:
    """References leave in order, the base first, in one user turn."""
    other = b"\xff\xd8\xff\xe0" + b"other" * 5
    request = make_request(MODELS[provider], mode=task_pb2.MODE_EDIT)
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url) as adapter:
        for data, role in ((other, task_pb2.REFERENCE_ROLE_SUBJECT), (PNG, task_pb2.REFERENCE_ROLE_BASE)):
            request.task.references.add(artifact=await adapter.store.put("acme", data), role=role)
        outcome = await adapter.outcome(request)
    body = server.received[0].body

    assert words_of(outcome) == ("SUCCEEDED", "CHARGED")
    if provider == "openai":
        assert server.received[0].line.startswith("POST /v1/images/edits")
        assert 0 < body.index(PNG) < body.index(other)
    else:
        [turn] = json.loads(body)["contents"]
        kinds = [part.get("inlineData", {}).get("mime_type") for part in turn["parts"]]
        assert (turn["role"], kinds) == ("user", [None, "image/png", "image/jpeg"])


class _Stumbling(ArtifactStore):
    """A store that does not answer for a while."""

    failures = 2

    async def put(self, tenant: str, data: Any, **options: Any) -> artifact_pb2.ArtifactRef:
        """Fail first."""
        if self.failures:
            self.failures -= 1
            raise Unavailable("the artifact store did not answer")
        return await super().put(tenant, data, **options)


@pytest.mark.parametrize(("failures", "kind"), [(2, "SUCCEEDED"), (9, "MALFORMED_REPLY")])
async def test_a_store_that_stumbles_is_asked_again(failures: int, kind: str) -> None:
    """A picture that is paid for is not lost to a hiccup; if it is lost for good, the cost is not."""
    store = _Stumbling(open_store("memory://")._objects)
    store.failures = failures
    async with wire_server(good("openai")) as server, running_adapter("openai", server.url, store=store) as adapter:
        outcome = await adapter.outcome(make_request())

    assert words_of(outcome) == (kind, "CHARGED")
    assert outcome.cost_micros == 52_730


class _Broken(ArtifactStore):
    """A store with a defect."""

    async def put(self, tenant: str, data: Any, **options: Any) -> artifact_pb2.ArtifactRef:
        """Fail in a way that nobody thought of."""
        raise ZeroDivisionError(PROMPT)

    async def get(self, tenant: str, digest: str, **options: Any) -> bytes:
        """The same."""
        raise ZeroDivisionError(PROMPT)


@PROVIDERS
async def test_a_defect_after_the_answer_does_not_lose_the_bill(provider: str) -> None:
    """If our own code fails over a paid answer, the outcome still says what it cost."""
    store = _Broken(open_store("memory://")._objects)
    request = make_request(MODELS[provider], prompt=PROMPT)
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url, store=store) as adapter:
        outcome = await adapter.outcome(request)
        again = await adapter.outcome(request)

    assert words_of(outcome) == ("MALFORMED_REPLY", "CHARGED")
    assert outcome.cost_micros == (52_730 if provider == "openai" else 33_615)
    assert "zebra" not in str(outcome)
    assert again == outcome


@PROVIDERS
async def test_a_defect_before_sending_is_not_sent(provider: str) -> None:
    """If our own code fails over the inputs, nothing left, and the attempt ends all the same."""
    store = _Broken(open_store("memory://")._objects)
    request = make_request(MODELS[provider], mode=task_pb2.MODE_EDIT)
    request.task.references.add(artifact=artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=9))
    async with wire_server(good(provider)) as server, running_adapter(provider, server.url, store=store) as adapter:
        outcome = await adapter.outcome(request)
        again = await adapter.outcome(request)

    assert words_of(outcome) == ("INVALID_REQUEST", "NOT_SENT")
    assert not server.received
    assert again == outcome


async def test_models_are_described_from_the_catalogue() -> None:
    """DescribeModels lists the provider's models and no other's."""
    async with running_adapter("google", "http://127.0.0.1:1") as adapter:
        answer = await adapter.stub.DescribeModels(pb.DescribeModelsRequest())
    models = {model.model: model for model in answer.models}

    assert answer.provider == "google"
    assert answer.catalogue_version
    assert "gpt-image-2" not in models
    pro = models["gemini-3-pro-image"]
    assert (pro.status, pro.edits, pro.masks, pro.max_references, pro.max_count, pro.previews) == (
        "active",
        True,
        False,
        14,
        1,
        False,
    )


@pytest.mark.parametrize("method", ["LookupAttempt", "CancelAttempt", "Assess"])
async def test_what_is_not_built_says_so(method: str) -> None:
    """The rest of the contract answers UNIMPLEMENTED."""
    requests = {
        "LookupAttempt": pb.LookupAttemptRequest(),
        "CancelAttempt": pb.CancelAttemptRequest(),
        "Assess": pb.AssessRequest(),
    }
    async with running_adapter("openai", "http://127.0.0.1:1") as adapter:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(adapter.stub, method)(requests[method])

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def ended(adapter: RunningAdapter, request: pb.GenerateRequest) -> attempt_pb2.Outcome:
    """The outcome of an attempt that is about to end."""
    async with asyncio.timeout(2):
        while True:
            try:
                return await adapter.outcome(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
            await asyncio.sleep(0.02)


async def _refused(adapter: RunningAdapter, request: pb.GenerateRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await adapter.events(request)
    return caught.value


def _violation(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)
    for detail in status.details:
        found = error_details_pb2.BadRequest()
        if detail.Unpack(found):
            return found.field_violations[0].field
    return ""
