"""EvaluatorService over a real server, a real store and real sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from evaluator_rig import NOW, pool, served, slow
from PIL import Image

from imagerouter.api.common.v1 import attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef
from imagerouter.api.evaluator.v1 import evaluator_service_pb2 as pb
from imagerouter.api.evaluator.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from imagerouter.evaluator.pool import SandboxPool
from imagerouter.runtime.channel import open_channel
from imagerouter.runtime.errors import ImageRouterError
from imagerouter.runtime.status import from_rpc_error
from imagerouter.storage import ArtifactStore, open_store
from tests.unit.evaluator.evaluator_pictures import NOT_IMAGES, animated, bomb, encoded, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = encoded(scene(96, 120))
PROMISED = route_pb2.RouteParameters(output_format="png", expected_width=96, expected_height=120, count=1)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Open the store that the service is on."""
    return open_store(tmp_path.as_uri())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandboxes() -> AsyncIterator[SandboxPool]:
    """Start a pool of two, for all tests here: none harms it."""
    async with pool(workers=2) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def stub(store: ArtifactStore, sandboxes: SandboxPool) -> AsyncIterator[EvaluatorServiceStub]:
    """Call a running service."""
    async with served(store, sandboxes) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield EvaluatorServiceStub(channel)


def asked(
    *refs: ArtifactRef,
    kind: attempt_pb2.OutcomeKind.ValueType = attempt_pb2.OUTCOME_KIND_SUCCEEDED,
    tenant: str = "acme",
    aspect: str = "4:5",
    promised: route_pb2.RouteParameters = PROMISED,
) -> pb.EvaluateRequest:
    """Ask for an evaluation."""
    return pb.EvaluateRequest(
        attempt_id="4f7d1a52-94a4-4ab0-b3c8-4f3f2b8f7c55",
        task=task_pb2.Task(tenant=tenant, prompt="canary", output=task_pb2.OutputSpec(aspect_ratio=aspect)),
        route=route_pb2.Route(provider="openai", model="gpt-image-2", parameters=promised),
        outcome=attempt_pb2.Outcome(kind=kind, phase=attempt_pb2.PHASE_CHARGED, artifacts=refs),
    )


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, ImageRouterError]:
    """Wait for a call to be refused; say with which code and error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), from_rpc_error(caught.value)


async def test_a_good_image_is_accepted(stub: EvaluatorServiceStub, store: ArtifactStore) -> None:
    """An image as promised passes every check, and the evaluation says what it was and when."""
    ref = await store.put("acme", GOOD)
    found = (await stub.Evaluate(asked(ref))).evaluation

    assert found.verdict == evaluation_pb2.VERDICT_ACCEPT
    assert (found.p_accept, found.calibrated) == (1.0, False)
    assert found.attempt_id == asked().attempt_id
    assert found.thresholds_version
    assert found.create_time.ToDatetime(NOW.tzinfo) == NOW
    (output,) = found.outputs
    assert output.accepted
    assert output.artifact == ref
    assert (output.dimensions.width, output.dimensions.height) == (96, 120)
    assert [check.name for check in output.checks] == [
        "limits",
        "decodes",
        "format",
        "dimensions",
        "aspect",
        "blank",
    ]


@pytest.mark.parametrize(
    ("data", "verdict", "failed"),
    [
        (GOOD[:-1], evaluation_pb2.VERDICT_RETRY, "decodes"),
        (encoded(scene(96, 120), "JPEG")[:-40], evaluation_pb2.VERDICT_RETRY, "decodes"),
        (NOT_IMAGES["html"], evaluation_pb2.VERDICT_RETRY, "decodes"),
        (NOT_IMAGES["svg"], evaluation_pb2.VERDICT_RETRY, "decodes"),
        (encoded(scene(96, 120), "GIF"), evaluation_pb2.VERDICT_RETRY, "decodes"),
        (encoded(Image.new("RGB", (96, 120), "black")), evaluation_pb2.VERDICT_RETRY, "blank"),
        (encoded(scene(96, 120), "JPEG"), evaluation_pb2.VERDICT_ESCALATE, "format"),
        (encoded(scene(97, 120)), evaluation_pb2.VERDICT_ESCALATE, "dimensions"),
        (encoded(scene(120, 96)), evaluation_pb2.VERDICT_ESCALATE, "dimensions"),
        (bomb(20_000), evaluation_pb2.VERDICT_ESCALATE, "limits"),
        (animated("PNG"), evaluation_pb2.VERDICT_ESCALATE, "limits"),
    ],
    ids=["png-cut", "jpeg-cut", "html", "svg", "gif", "blank", "format", "size", "sideways", "bomb", "apng"],
)
async def test_a_bad_image_is_a_finding(
    stub: EvaluatorServiceStub,
    store: ArtifactStore,
    data: bytes,
    verdict: evaluation_pb2.Verdict.ValueType,
    failed: str,
) -> None:
    """Broken, hostile and wrong images get a verdict with a reason in words, never an error."""
    found = (await stub.Evaluate(asked(await store.put("acme", data)))).evaluation

    assert found.verdict == verdict
    assert found.reason.startswith(f"{failed}: ")
    assert 0 <= found.p_accept < 1
    assert not found.outputs[0].accepted
    assert found.outputs[0].HasField("dimensions") == (failed not in {"decodes", "limits"})
    assert "canary" not in str(found)


async def test_the_media_type_is_what_decoding_found(stub: EvaluatorServiceStub, store: ArtifactStore) -> None:
    """The caller's word for the artifact is not repeated: neither its type nor its size."""
    ref = await store.put("acme", encoded(scene(), "WEBP"))
    claimed = ArtifactRef(digest=ref.digest, size_bytes=7, media_type="image/png")

    assert (await stub.Evaluate(asked(claimed))).evaluation.outputs[0].artifact == ref


async def test_many_outputs_are_evaluated_in_order(stub: EvaluatorServiceStub, store: ArtifactStore) -> None:
    """Each image has its own finding, in the provider's order; the worst decides, and is named."""
    pictures = [scene(96, 120), Image.new("RGB", (96, 120)), scene(96, 120).rotate(180), scene(50, 50)]
    refs = [await store.put("acme", encoded(picture)) for picture in pictures]
    found = (await stub.Evaluate(asked(*refs))).evaluation

    assert [output.artifact.digest for output in found.outputs] == [ref.digest for ref in refs]
    assert [output.accepted for output in found.outputs] == [True, False, True, False]
    assert found.verdict == evaluation_pb2.VERDICT_ESCALATE
    assert found.reason == "image 4: dimensions: 50x50, promised 96x120"
    assert found.p_accept == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("kind", "verdict", "failed"),
    [
        (attempt_pb2.OUTCOME_KIND_REFUSED, evaluation_pb2.VERDICT_STOP, "refusal"),
        (attempt_pb2.OUTCOME_KIND_NO_OUTPUT, evaluation_pb2.VERDICT_RETRY, "no_output"),
        (attempt_pb2.OUTCOME_KIND_SUCCEEDED, evaluation_pb2.VERDICT_RETRY, "no_output"),
    ],
)
async def test_an_attempt_without_an_image_is_a_finding(
    stub: EvaluatorServiceStub,
    kind: attempt_pb2.OutcomeKind.ValueType,
    verdict: evaluation_pb2.Verdict.ValueType,
    failed: str,
) -> None:
    """A refusal stops, no image is tried again."""
    found = (await stub.Evaluate(asked(kind=kind))).evaluation

    assert found.verdict == verdict
    assert found.reason.startswith(failed)
    assert found.p_accept == 0
    assert not found.outputs


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.EvaluateRequest(), "attempt_id"),
        (asked(kind=attempt_pb2.OUTCOME_KIND_UNSPECIFIED), "outcome.kind"),
        (asked(kind=attempt_pb2.OUTCOME_KIND_TIMEOUT), "outcome.kind"),
        (asked(kind=attempt_pb2.OUTCOME_KIND_PROVIDER_ERROR), "outcome.kind"),
        (asked(ArtifactRef(), kind=attempt_pb2.OUTCOME_KIND_REFUSED), "outcome.artifacts"),
        (asked(*[ArtifactRef()] * 33), "outcome.artifacts"),
        (asked(ArtifactRef(digest="../../etc/passwd")), "outcome.artifacts[0].digest"),
        (asked(ArtifactRef()), "outcome.artifacts[0].digest"),
        (asked(aspect="0:0"), "task.output.aspect_ratio"),
        (asked(ArtifactRef(digest="0" * 64), tenant="../acme"), "task.tenant"),
    ],
    ids=[
        "empty",
        "no-kind",
        "timeout",
        "provider-error",
        "refused-with-image",
        "too-many",
        "digest-path",
        "digest-empty",
        "aspect",
        "tenant",
    ],
)
async def test_a_bad_request_is_refused(stub: EvaluatorServiceStub, request_: pb.EvaluateRequest, field: str) -> None:
    """What cannot be evaluated is INVALID_ARGUMENT, with the field."""
    code, error = await refused(stub.Evaluate(request_))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields[0].field == field


async def test_a_missing_artifact_is_not_found(stub: EvaluatorServiceStub, store: ArtifactStore) -> None:
    """An output that is not in the tenant's store, though it may be in another's, is named by its place."""
    ref = await store.put("acme", GOOD)
    foreign = await store.put("other", encoded(scene(30, 30)))
    code, error = await refused(stub.Evaluate(asked(ref, foreign)))

    assert code == grpc.StatusCode.NOT_FOUND
    assert error.reason == "ARTIFACT_NOT_FOUND"
    assert error.fields[0].field == "outcome.artifacts[1].digest"


async def test_a_task_without_a_tenant_is_the_callers(stub: EvaluatorServiceStub, store: ArtifactStore) -> None:
    """Without a tenant in the task the call's own counts."""
    ref = await store.put("acme", GOOD)
    metadata = grpc.aio.Metadata(("imagerouter-tenant", "acme"))

    assert (await stub.Evaluate(asked(ref, tenant=""), metadata=metadata)).evaluation.outputs[0].accepted
    code, _ = await refused(stub.Evaluate(asked(ref, tenant="")))
    assert code == grpc.StatusCode.NOT_FOUND


async def test_many_calls_share_the_pool(stub: EvaluatorServiceStub, store: ArtifactStore) -> None:
    """Thirty calls at once over two processes each get the verdict on their own image."""
    refs = [await store.put("acme", encoded(scene(96, 120 + number % 3))) for number in range(30)]
    found = await asyncio.gather(*(stub.Evaluate(asked(ref)) for ref in refs))

    heights = [reply.evaluation.outputs[0].dimensions.height for reply in found]
    assert heights == [120 + number % 3 for number in range(30)]


async def test_a_caller_that_gives_up_does_not_wedge_the_service(store: ArtifactStore) -> None:
    """Calls that run into their deadline in the middle of decoding leave a service that answers the next."""
    heavy = await store.put("acme", bomb(6_000))
    good = await store.put("acme", GOOD)
    async with (
        pool(workers=1, limits=slow()) as sandboxes,
        served(store, sandboxes) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = EvaluatorServiceStub(channel)
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Evaluate(asked(heavy, heavy), timeout=0.2)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(10):
            found = (await stub.Evaluate(asked(good))).evaluation
        assert found.verdict == evaluation_pb2.VERDICT_ACCEPT
