"""`imagerouter demo`: the main job, on emulators, with everything shown and nothing left running."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli import reconcile
from imagerouter.cli.demo_report import prompts_table, totals_table
from imagerouter.cli.images import save
from imagerouter.cli.output import complaints, console, print_json
from imagerouter.cli.suite import PartFailed, Suite, SuiteOptions
from imagerouter.cli.tables import image_summary
from imagerouter.cli.tree import trace_tree
from imagerouter.client import ImageRouter, parse_request

DATA = Path(__file__).with_name("demo_data")
PHOTO = DATA / "cat.png"
CHAIN = (
    "Put a red woollen scarf on the cat",
    "Make the background a snowy forest",
    "Add warm evening light from the left",
    "Give the cat round golden glasses",
    "Make the whole picture a watercolour",
    "Write 'MEOW' in large letters at the bottom",
)
AT_ONCE = 4
# A fault for one request in ten, spread over failures of the moment, of the account's rate, of the connection and of
# the picture. Each emulator has its own presets (docs/emulators.md).
FAULT_RATE = 0.10
FAULTS = {
    "openai": (
        "http_500",
        "rate_limited_bare",
        "drop_before_headers",
        "blank_image",
        "wrong_size",
    ),
    "google": ("http_503", "rate_limited_bare", "reset_before_execution", "no_image", "wrong_size"),
}


@dataclass
class Shown:
    """What the demo made, in order."""

    made: list[images.Image] = field(default_factory=list)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for images, ledger, journals and logs.")] = Path(
        "out"
    ),
    speed: Annotated[float, typer.Option(help="Factor on the emulators' latencies.")] = 0.02,
    seed: Annotated[int, typer.Option(help="Seed of the emulators and of the faults.")] = 39,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write every image and the books as JSON, one a line.")
    ] = False,
) -> None:
    """Start the suite, make the images of the demo, show what was done and why, and stop everything."""
    data = out / "suite"
    if data.exists() and not (data / "logs").is_dir():
        raise typer.BadParameter(f"{data} is not from a former demo; it would be replaced", param_hint="--out")
    shutil.rmtree(data, ignore_errors=True)
    console.quiet = as_json
    try:
        raise typer.Exit(asyncio.run(_demo(out, SuiteOptions(data, speed=speed, seed=seed), as_json=as_json)))
    except PartFailed as error:
        complaints.print(f"[bold red]{error}[/]")
        raise typer.Exit(1) from error


async def _demo(out: Path, options: SuiteOptions, *, as_json: bool) -> int:
    with console.status("starting seven services and two emulators"):
        suite = await Suite(options).__aenter__()
    try:
        async with ImageRouter(suite.address("orchestrator"), artifacts=suite.address("artifact")) as router:
            shown = Shown()
            await _poster(router, out, shown)
            await _edit_and_chain(router, out, shown)
            await _bulk(router, out, shown)
            await _prompts(router, suite, out, shown)
            console.print(totals_table(shown.made))
            _show_tree(shown.made)
            return _settle(suite, shown, as_json=as_json)
    finally:
        with console.status("stopping what was started"):
            await suite.stop()


def _title(text: str) -> None:
    console.rule(f"[bold]{text}", align="left")


async def _poster(router: ImageRouter, out: Path, shown: Shown) -> None:
    _title("1  A text-heavy poster, in at most eight seconds")
    document = json.loads((DATA / "poster.json").read_text())
    console.print_json(json.dumps(document), indent=None)
    await _make(router, parse_request({**document, "request_id": "demo-poster"}), out / "1-poster", shown)


async def _edit_and_chain(router: ImageRouter, out: Path, shown: Shown) -> None:
    _title("2  An edit of a photograph that must keep its subject")
    photo = await router.upload(PHOTO)
    request = images.CreateImageRequest(
        request_id="demo-edit",
        prompt="Give the cat a small blue bow tie. Keep the same cat.",
        mode=task_pb2.MODE_EDIT,
        references=[images.InputImage(artifact=photo)],
        constraints=task_pb2.Constraints(preserve_subject=True),
    )
    await _make(router, request, out / "2-edit", shown)
    _title("3  A chain of six edits: at depth five it restarts from its anchor")
    parent = ""
    for turn, prompt in enumerate(CHAIN, start=1):
        request = images.CreateImageRequest(request_id=f"demo-chain-{turn}", prompt=prompt, parent=parent)
        if not parent:
            request.references.add(artifact=photo)
        image = await _make(router, request, out / "3-chain", shown)
        if image.state != images.IMAGE_STATE_SUCCEEDED:
            return
        parent = image.name


async def _bulk(router: ImageRouter, out: Path, shown: Shown) -> None:
    _title("4  Eight cheap variations")
    request = images.CreateImageRequest(
        request_id="demo-bulk",
        prompt="Eight quick cheap variations of a flat icon of a paper lantern",
        output=task_pb2.OutputSpec(count=8),
        constraints=task_pb2.Constraints(preference=task_pb2.PREFERENCE_COST),
    )
    await _make(router, request, out / "4-bulk", shown)


async def _prompts(router: ImageRouter, suite: Suite, out: Path, shown: Shown) -> None:
    rows = [json.loads(line) for line in (DATA / "prompts.jsonl").read_text().splitlines()]
    _title(f"5  {len(rows)} prompts that people published, with one request in ten going wrong")
    for provider, presets in FAULTS.items():
        for preset in presets:
            share = FAULT_RATE / len(presets)
            await suite.order_fault(provider, {"preset": preset, "probability": share})
    photo = await router.upload(PHOTO)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, row: dict[str, Any]) -> tuple[dict[str, Any], images.Image]:
        request = images.CreateImageRequest(request_id=f"demo-{row['id']}", prompt=row["prompt"])
        if row["has_reference"]:
            request.references.add(artifact=photo)
        async with gate:
            image = await router.create_from(request)
            await save(router, image, out / "5-prompts", stem=f"{number:02}")
        return row, image

    tasks = [asyncio.create_task(one(number, row)) for number, row in enumerate(rows, start=1)]
    with console.status("making them") as status:
        for done, task in enumerate(asyncio.as_completed(tasks), start=1):
            await task
            status.update(f"{done} of {len(rows)} made")
    drawn = [task.result() for task in tasks]
    shown.made += [image for _, image in drawn]
    console.print(prompts_table(drawn))


async def _make(router: ImageRouter, request: images.CreateImageRequest, folder: Path, shown: Shown) -> images.Image:
    image = await router.create_from(request)
    shown.made.append(image)
    paths = await save(router, image, folder)
    console.print(image_summary(image), highlight=False)
    for path in paths:
        console.print(Text(f"  {path}", style="green"))
    return image


def _show_tree(made: Sequence[images.Image]) -> None:
    """The tree of the image that had the most happen to it."""
    _title("One image, every hop")
    console.print(trace_tree(max(made, key=lambda image: len(image.receipt.attempts))), highlight=False)


def _settle(suite: Suite, shown: Shown, *, as_json: bool) -> int:
    """Compare the books: what the ledger says was spent with what the emulators' journals say was billed."""
    _title("The books")
    result = reconcile.compare(shown.made, suite.options.data / "journal")
    for line in result.lines():
        console.print(f"  {line}", highlight=False)
    if as_json:
        for image in shown.made:
            print_json(image)
        sys.stdout.write(json.dumps({"balanced": result.balanced, **asdict(result)}) + "\n")
    return 0 if result.balanced else 1
