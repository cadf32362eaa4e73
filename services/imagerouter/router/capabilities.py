"""What a model can do of a task, whatever the time and the money: modes, references, mask, format, size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imagerouter.api.common.v1 import task_pb2
from imagerouter.catalogue import Mode, Model
from imagerouter.catalogue.sizes import Fit, Misfit, fit

_FORMATS = {
    task_pb2.OUTPUT_FORMAT_UNSPECIFIED: "png",
    task_pb2.OUTPUT_FORMAT_PNG: "png",
    task_pb2.OUTPUT_FORMAT_JPEG: "jpeg",
    task_pb2.OUTPUT_FORMAT_WEBP: "webp",
}


@dataclass(frozen=True)
class Ability:
    """A model can do it: at this size, in this format ("" where the provider decides), with these differences."""

    fit: Fit
    output_format: str
    background: str
    negotiations: tuple[task_pb2.Negotiation, ...]


@dataclass(frozen=True)
class Inability:
    """A model cannot do it, and why, in words with figures."""

    detail: str


def ability(model: Model, task: task_pb2.Task, ratio_tolerance: float) -> Ability | Inability:
    """Say whether and how `model` can do `task`. ValueError if the task's size cannot be read."""
    lacking = next(_lacking(model, task), "")
    if lacking:
        return Inability(lacking)
    drawn = fit(model, task.output, ratio_tolerance=ratio_tolerance)
    if isinstance(drawn, Misfit):
        return Inability(drawn.detail)
    wanted = _FORMATS[task.output.format]
    negotiations = list(drawn.negotiations)
    output_format = wanted if wanted in model.output.formats else ""
    if not output_format and model.output.returned_formats != (wanted,):
        negotiations.append(_format_left(wanted, " or ".join(model.output.returned_formats)))
    return Ability(drawn, output_format, _background(model, task), tuple(negotiations))


def _lacking(model: Model, task: task_pb2.Task) -> Iterator[str]:
    """Yield what the model lacks, the coarsest first."""
    limits = model.limits
    if (task.mode == task_pb2.MODE_EDIT or task.references) and Mode.EDIT not in model.modes:
        yield "takes no references"
    if task.mode == task_pb2.MODE_GENERATE and Mode.GENERATE not in model.modes:
        yield "draws nothing without a base image"
    if task.HasField("mask") and Mode.MASK not in model.modes:
        yield "takes no mask"
    if len(task.references) > limits.references:
        yield f"takes {limits.references} references, {len(task.references)} given"
    yield from _too_large(model, task)
    if len(task.prompt) > limits.prompt_characters:
        yield f"takes {limits.prompt_characters} characters of prompt, {len(task.prompt)} given"
    wanted = _FORMATS[task.output.format]
    if wanted not in (*model.output.formats, *model.output.returned_formats):
        yield f"makes no {wanted}"
    if task.output.background == task_pb2.BACKGROUND_TRANSPARENT:
        if model.output.transparency == "no":
            yield "makes no transparent background"
        if wanted == "jpeg":
            yield "jpeg has no transparency"


def _too_large(model: Model, task: task_pb2.Task) -> Iterator[str]:
    limits = model.limits
    for number, reference in enumerate(task.references):
        size, media_type = reference.artifact.size_bytes, reference.artifact.media_type
        if size > limits.reference_bytes:
            yield f"takes references of {limits.reference_bytes} bytes, references[{number}] has {size}"
        if media_type and media_type not in limits.reference_media_types:
            yield f"does not take references of {media_type}"
    total = sum(reference.artifact.size_bytes for reference in task.references)
    if limits.references_total_bytes is not None and total > limits.references_total_bytes:
        yield f"takes {limits.references_total_bytes} bytes of references, {total} given"
    mask = task.mask.artifact.size_bytes
    if limits.mask_bytes is not None and mask > limits.mask_bytes:
        yield f"takes a mask of {limits.mask_bytes} bytes, {mask} given"


def _background(model: Model, task: task_pb2.Task) -> str:
    if task.output.background == task_pb2.BACKGROUND_TRANSPARENT:
        return "transparent"
    opaque = task.output.background == task_pb2.BACKGROUND_OPAQUE and model.output.background_knob
    return "opaque" if opaque else ""


def _format_left(wanted: str, returned: str) -> task_pb2.Negotiation:
    return task_pb2.Negotiation(
        field="output.format",
        requested=wanted,
        applied=returned,
        kind=task_pb2.NEGOTIATION_KIND_MAPPED,
        reason="the provider decides the encoding",
        service="router",
    )
