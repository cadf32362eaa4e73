"""create, edit, watch, get, list, cancel, explain, trace."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.status import Status
from rich.text import Text

from imagerouter.api.common.v1 import artifact_pb2, route_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli.connect import run
from imagerouter.cli.output import complain, console, print_json, short
from imagerouter.cli.tables import decision_table, image_summary, images_table, outcome_text, task_line, verdict_text
from imagerouter.cli.tree import trace_tree
from imagerouter.client import ImageRouter, parse_request
from imagerouter.runtime.errors import InvalidField

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")]
Name = Annotated[str, typer.Argument(help='The image, "images/{id}" or just its id.')]
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
_FAILED = 3


def create(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - to read a request as JSON from standard input.")],
    reference: Annotated[list[Path] | None, typer.Option("--ref", help="An input image; may be repeated.")] = None,
    aspect: Annotated[str, typer.Option(help='Aspect ratio, such as "4:5".')] = "",
    size: Annotated[str, typer.Option(help="512, 1k, 2k or 4k.")] = "",
    quality: Annotated[str, typer.Option(help="draft, standard or high.")] = "",
    count: Annotated[int | None, typer.Option("--count", "-n", help="How many images.")] = None,
    max_latency_ms: Annotated[int | None, typer.Option(help="Limit on the time, in milliseconds.")] = None,
    max_cost_micros: Annotated[int | None, typer.Option(help="Limit on the cost, in millionths of a dollar.")] = None,
    preference: Annotated[str, typer.Option(help="cost, latency or quality.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="Allow only this model; may be repeated.")] = None,
    request_id: Annotated[str, typer.Option(help="Makes the call safe to repeat.")] = "",
    out: Out = Path("out"),
    as_json: AsJson = False,
) -> None:
    """Make an image."""
    document = _read_json(as_json=as_json) if prompt == "-" else {"prompt": prompt}
    constraints = {
        "aspect_ratio": aspect,
        "max_latency_ms": max_latency_ms,
        "max_cost_micros": max_cost_micros,
        "preference": preference,
        "models": model,
    }
    output = {"count": count, "size_tier": size, "quality": quality}
    options = {"request_id": request_id, "constraints": _given(constraints), "output": _given(output)}
    _make(document, reference or [], out, as_json=as_json, options=_given(options))


def edit(
    image: Annotated[str, typer.Argument(help='A file, or an image to go on from ("images/{id}").')],
    prompt: Annotated[str, typer.Argument(help="What to change.")],
    mask: Annotated[Path | None, typer.Option(help="A PNG, transparent where change is allowed.")] = None,
    reference: Annotated[list[Path] | None, typer.Option("--ref", help="A further input image.")] = None,
    preserve_subject: Annotated[bool, typer.Option(help="The subject must stay the same.")] = False,
    out: Out = Path("out"),
    as_json: AsJson = False,
) -> None:
    """Change an image: a file, or an earlier image of the suite."""
    document: dict[str, Any] = {"prompt": prompt, "mode": "edit"}
    if preserve_subject:
        document["constraints"] = {"preserve_subject": True}
    files = list(reference or [])
    if image.startswith("images/"):
        document["parent"] = image
    else:
        files.insert(0, Path(image))
    _make(document, files, out, as_json=as_json, mask=mask)


def watch(name: Name, as_json: AsJson = False) -> None:
    """Follow an image until it ends."""

    async def follow(router: ImageRouter) -> None:
        async for event in router.watch(_full(name)):
            print_json(event) if as_json else console.print(Text(event_line(event)))

    run(follow, as_json=as_json)


def get(name: Name, out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the files.")] = None,
        as_json: AsJson = False) -> None:  # fmt: skip
    """Show an image, and fetch its files."""

    async def fetch(router: ImageRouter) -> images.Image:
        image = await router.get(_full(name))
        if out is not None:
            await save(router, image, out)
        return image

    _show(run(fetch, as_json=as_json), as_json=as_json)


def list_images(
    page_size: Annotated[int, typer.Option(help="How many, up to 100.")] = 20, as_json: AsJson = False
) -> None:
    """List the newest images."""
    found = run(lambda router: router.list(page_size=page_size), as_json=as_json)
    print_json(found) if as_json else console.print(images_table(found.images))


def cancel(name: Name, as_json: AsJson = False) -> None:
    """Stop an image."""
    _show(run(lambda router: router.cancel(_full(name)), as_json=as_json), as_json=as_json)


def explain(
    prompt: Annotated[str, typer.Argument(help="The prompt, or - to read a request as JSON from standard input.")],
    reference: Annotated[list[Path] | None, typer.Option("--ref", help="An input image.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which route would be taken, and why. Spends nothing."""
    document = _read_json(as_json=as_json) if prompt == "-" else {"prompt": prompt}

    async def ask(router: ImageRouter) -> images.ExplainRouteResponse:
        request = parse_request(document)
        await _upload(router, request, reference or [])
        return await router.explain(request)

    reply = run(ask, as_json=as_json)
    if as_json:
        print_json(reply)
    else:
        console.print(task_line(reply.task), decision_table(reply.decision))


def trace(name: Name, as_json: AsJson = False) -> None:
    """Show the tree of hops of an image: times, route, reasons, verdicts, cost."""
    image = run(lambda router: router.get(_full(name)), as_json=as_json)
    print_json(image.receipt) if as_json else console.print(trace_tree(image), highlight=False)


def event_line(event: images.ImageEvent) -> str:
    """One event in one line."""
    at = event.time.ToDatetime().strftime("%H:%M:%S.%f")[:-3]
    match event.WhichOneof("event"):
        case "accepted":
            return f"{at}  accepted: {task_line(event.accepted).plain}"
        case "decision":
            step = short(event.decision.step, route_pb2.Step, "STEP_")
            return f"{at}  {step}: {event.decision.routes[0].model}: {event.decision.reason}"
        case "attempt_sent":
            return f"{at}  attempt {event.attempt_sent.number} sent to {event.attempt_sent.route.model}"
        case "preview":
            return f"{at}  preview {event.preview.index}: {event.preview.artifact.digest[:12]}"
        case "attempt_ended":
            return f"{at}  attempt {event.attempt_ended.number}: {outcome_text(event.attempt_ended)}"
        case "evaluation":
            return f"{at}  verdict: {verdict_text(event.evaluation)}"
        case "ended":
            return f"{at}  ended: {short(event.ended.state, images.ImageState, 'IMAGE_STATE_')}"
        case _:
            return f"{at}  an event that this version does not know"


async def save(router: ImageRouter, image: images.Image, folder: Path, *, stem: str = "") -> list[Path]:
    """Fetch an image's files into a folder, named by `stem` or else by the image's id; their paths."""
    stem = stem or image.name.removeprefix("images/")
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    paths = []
    for index, ref in enumerate(image.artifacts):
        path = folder / f"{stem}-{index}{_SUFFIXES.get(ref.media_type, '.bin')}"
        await asyncio.to_thread(path.write_bytes, await router.download(ref))
        paths.append(path)
    return paths


def _make(
    document: dict[str, Any],
    files: list[Path],
    out: Path,
    *,
    as_json: bool,
    mask: Path | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    async def make(router: ImageRouter) -> tuple[images.Image, list[Path]]:
        request = parse_request(document)
        wishes = parse_request(options or {})
        if wishes.constraints.models:  # options win over the same fields of a JSON request; lists would be joined
            del request.constraints.models[:]
        request.MergeFrom(wishes)
        # Repeating the command is the user's business; repeating the call inside it must not cost twice.
        request.request_id = request.request_id or f"cli-{uuid.uuid4()}"
        await _upload(router, request, files)
        if mask is not None:
            request.mask.artifact.CopyFrom(await _upload_file(router, mask))
        with Status("making the image", console=console) if not as_json else _Silent() as status:
            image = await router.create_from(request, on_name=lambda name: _follow(router, name, status))
        return image, await save(router, image, out)

    image, paths = run(make, as_json=as_json)
    _show(image, as_json=as_json)
    if not as_json:
        for path in paths:
            console.print(Text(f"  {path}", style="green"))
    if image.state != images.IMAGE_STATE_SUCCEEDED:
        raise typer.Exit(_FAILED)


class _Silent:
    """Stands in for a progress display where nobody looks."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


async def _follow(router: ImageRouter, name: str, status: Status | None) -> None:
    if status is None:
        return
    async for event in router.watch(name):
        status.update(Text(event_line(event)))


async def _upload(router: ImageRouter, request: images.CreateImageRequest, files: list[Path]) -> None:
    for file in files:
        request.references.append(images.InputImage(artifact=await _upload_file(router, file)))


async def _upload_file(router: ImageRouter, file: Path) -> artifact_pb2.ArtifactRef:
    if not await asyncio.to_thread(file.is_file):
        raise InvalidField("reference", f"there is no file {file}")
    return await router.upload(file)


def _read_json(*, as_json: bool) -> dict[str, Any]:
    try:
        document = json.load(sys.stdin)
    except ValueError as error:
        complain(InvalidField("request", f"standard input is not JSON: {error}"), as_json=as_json)
        raise typer.Exit(2) from error
    if not isinstance(document, dict):
        complain(InvalidField("request", "standard input is not a JSON object"), as_json=as_json)
        raise typer.Exit(2)
    return document


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; a 0 that was typed is one."""
    return {name: value for name, value in options.items() if value not in (None, "", [], {})}


def _full(name: str) -> str:
    return name if name.startswith("images/") else f"images/{name}"


def _show(image: images.Image, *, as_json: bool) -> None:
    print_json(image) if as_json else console.print(image_summary(image), highlight=False)
