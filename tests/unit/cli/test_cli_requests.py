"""From arguments and JSON to a request: the command itself, with a client that only listens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagerouter.api.common.v1 import artifact_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli import images as commands
from imagerouter.cli.main import app
from imagerouter.runtime.errors import ImageRouterError

Invoke = Callable[..., Result]


class Listener:
    """A client that keeps the requests and makes every image at once."""

    def __init__(self) -> None:
        self.requests: list[images.CreateImageRequest] = []
        self.uploaded: list[str] = []
        self.state = images.IMAGE_STATE_SUCCEEDED

    async def upload(self, source: Path) -> artifact_pb2.ArtifactRef:
        self.uploaded.append(source.name)
        return artifact_pb2.ArtifactRef(digest=source.name)

    async def download(self, ref: artifact_pb2.ArtifactRef) -> bytes:
        return ref.digest.encode()

    async def create_from(self, request: images.CreateImageRequest, **_: object) -> images.Image:
        self.requests.append(request)
        image = images.Image(name="images/i", state=self.state)
        for number, kind in enumerate(("image/png", "image/jpeg", "image/x-new")):
            image.artifacts.add(digest=f"d{number}", media_type=kind)
        return image

    async def explain(self, request: images.CreateImageRequest) -> images.ExplainRouteResponse:
        self.requests.append(request)
        return images.ExplainRouteResponse()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    heard = Listener()

    def run(action: Callable[[Any], Any], *, as_json: bool) -> Any:
        """Drive the action, which never waits for anything here."""
        try:
            action(heard).send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waited")

    async def here(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return call(*arguments, **named)

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(commands.asyncio, "to_thread", here)
    return heard


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    def invoked(*arguments: str, stdin: str = "", code: int = 0) -> Result:
        out = () if arguments[0] == "explain" else ("--out", str(tmp_path / "out"))
        result = CliRunner().invoke(app, [*arguments, "--json", *out], input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoked


def test_options_become_fields(listener: Listener, invoke: Invoke) -> None:
    """Each option has its place in the request; enums are short."""
    invoke("create", "a fox", "--aspect", "4:5", "--size", "2k", "--quality", "high", "-n", "3", "--max-latency-ms",
           "8000", "--max-cost-micros", "90000", "--preference", "cost", "--model", "m1", "--model", "m2",
           "--request-id", "r1")  # fmt: skip

    assert listener.requests == [
        images.CreateImageRequest(
            request_id="r1",
            prompt="a fox",
            constraints=task_pb2.Constraints(
                aspect_ratio="4:5",
                max_latency_ms=8000,
                max_cost_micros=90000,
                preference=task_pb2.PREFERENCE_COST,
                models=["m1", "m2"],
            ),
            output=task_pb2.OutputSpec(count=3, size_tier=task_pb2.SIZE_TIER_2K, quality=task_pb2.QUALITY_HIGH),
        )
    ]


def test_what_is_not_given_is_not_sent(listener: Listener, invoke: Invoke) -> None:
    """Without options nothing is wished for but the prompt, and each command is a call of its own."""
    invoke("create", "a fox")
    invoke("create", "a fox")
    first, second = listener.requests

    assert first.request_id != second.request_id
    assert not first.HasField("constraints")
    assert not first.HasField("output")


def test_options_win_over_json_and_leave_the_rest(listener: Listener, invoke: Invoke) -> None:
    """A request on standard input is taken as it is; options replace their own fields in it and no others."""
    document = {
        "prompt": "a poster",
        "request_id": "j1",
        "labels": {"team": "a"},
        "constraints": {"text_heavy": True, "max_latency_ms": 8000, "models": ["m1"]},
        "output": {"count": 2, "quality": "draft"},
    }
    invoke("create", "-", stdin=json.dumps(document))
    invoke("create", "-", "--max-latency-ms", "9", "--model", "m2", "-n", "4", "--request-id", "r2",
           stdin=json.dumps(document))  # fmt: skip
    plain, mixed = listener.requests

    assert (plain.request_id, plain.constraints.max_latency_ms, plain.output.count) == ("j1", 8000, 2)
    assert (mixed.request_id, mixed.constraints.max_latency_ms, mixed.output.count) == ("r2", 9, 4)
    assert list(mixed.constraints.models) == ["m2"]
    assert mixed.constraints.text_heavy
    assert mixed.output.quality == task_pb2.QUALITY_DRAFT
    assert dict(mixed.labels) == {"team": "a"}


def test_a_request_id_in_canonical_json_is_kept(listener: Listener, invoke: Invoke) -> None:
    """Protobuf's own JSON says requestId: losing it would pay for the same request twice."""
    invoke("create", "-", stdin=json.dumps({"prompt": "x", "requestId": "j1"}))

    assert listener.requests[0].request_id == "j1"


def test_a_count_of_zero_is_sent(listener: Listener, invoke: Invoke) -> None:
    """Whoever computes a count and gets 0 wants no image (task.proto): the service must see the 0 and refuse it."""
    invoke("create", "x", "-n", "0")

    assert listener.requests[0].output.HasField("count")


@pytest.mark.parametrize(
    ("stdin", "says"), [("{", "is not JSON"), ("[1]", "is not a JSON object"), ("", "is not JSON")]
)
def test_bad_json_is_said_and_nothing_sent(listener: Listener, invoke: Invoke, stdin: str, says: str) -> None:
    """Exit code 2 and a sentence, for create and explain alike."""
    for command in ("create", "explain"):
        result = invoke(command, "-", stdin=stdin, code=2)
        assert says in result.stderr.replace("\n", " ")

    assert not listener.requests


def test_unknown_fields_are_named(listener: Listener, invoke: Invoke) -> None:
    """A misspelt field is no field that is ignored."""
    result = CliRunner().invoke(app, ["create", "-", "--json"], input=json.dumps({"constraints": {"max_latency": 1}}))

    assert isinstance(result.exception, ImageRouterError)
    assert result.exception.fields[0].field == "constraints.max_latency"
    assert not listener.requests


def test_edit_goes_on_from_an_image_or_a_file(listener: Listener, invoke: Invoke, tmp_path: Path) -> None:
    """A name is a parent, anything else is a file, which goes before further references; a mask is no reference."""
    for name in ("photo.png", "style.png", "mask.png"):
        (tmp_path / name).write_bytes(b"x")
    photo, style, mask = (str(tmp_path / name) for name in ("photo.png", "style.png", "mask.png"))
    invoke("edit", "images/p", "Add a hat", "--ref", style)
    invoke("edit", photo, "Add a hat", "--ref", style, "--mask", mask, "--preserve-subject")
    chained, fresh = listener.requests

    assert chained.parent == "images/p"
    assert [image.artifact.digest for image in chained.references] == ["style.png"]
    assert not chained.HasField("mask")
    assert not chained.HasField("constraints")
    assert fresh.mode == task_pb2.MODE_EDIT
    assert not fresh.parent
    assert [image.artifact.digest for image in fresh.references] == ["photo.png", "style.png"]
    assert fresh.mask.artifact.digest == "mask.png"
    assert fresh.constraints.preserve_subject


def test_a_missing_file_is_the_caller_s_mistake(listener: Listener, invoke: Invoke) -> None:
    """Nothing is uploaded or sent."""
    result = CliRunner().invoke(app, ["edit", "/nowhere.png", "x", "--json"])

    assert isinstance(result.exception, ImageRouterError)
    assert result.exception.fields[0].field == "reference"
    assert not listener.requests
    assert not listener.uploaded


def test_files_are_named_by_image_and_kind(listener: Listener, invoke: Invoke, tmp_path: Path) -> None:
    """Outputs are numbered; the suffix is the media type's, and one that we do not know is no excuse."""
    result = invoke("create", "a fox")

    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "i-0.png": "d0",
        "i-1.jpg": "d1",
        "i-2.bin": "d2",
    }
    assert json.loads(result.stdout)["name"] == "images/i"


@pytest.mark.parametrize("state", [images.IMAGE_STATE_FAILED, images.IMAGE_STATE_CANCELLED, images.IMAGE_STATE_RUNNING])
def test_no_image_is_no_success(listener: Listener, invoke: Invoke, state: images.ImageState.ValueType) -> None:
    """A script learns by exit code 3 that there is no image, and still reads why on standard output."""
    listener.state = state
    result = invoke("create", "a fox", code=3)

    assert json.loads(result.stdout)["state"] == images.ImageState.Name(state)
