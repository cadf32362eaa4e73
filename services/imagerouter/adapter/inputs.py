"""From a task's references to bytes in the order and within the limits that the model takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from imagerouter.adapter.provider import Picture, Unsendable
from imagerouter.api.common.v1 import task_pb2
from imagerouter.catalogue import Mode, Model
from imagerouter.runtime.errors import InvalidField, NotFound
from imagerouter.storage import HEAD_BYTES, ArtifactStore, sniff


@dataclass(frozen=True)
class Inputs:
    """The pictures that go into a call; `references` has the base of an edit first."""

    references: tuple[Picture, ...] = ()
    mask: Picture | None = None


def ordered(task: task_pb2.Task) -> list[tuple[str, task_pb2.Reference]]:
    """Return field path and reference, the base first and otherwise in the caller's order."""
    named = [(f"task.references[{index}]", reference) for index, reference in enumerate(task.references)]
    return sorted(named, key=lambda item: item[1].role != task_pb2.REFERENCE_ROLE_BASE)


def check_limits(task: task_pb2.Task, model: Model) -> None:
    """Raise Unsendable if the model is known not to take the task's inputs.

    A feature that the model lacks stops the call here, unsent: an edit that ignores its mask is paid for and useless.
    Tuning that it lacks is dropped and noted instead (`adapter.negotiation`).
    """
    limits = model.limits
    if len(task.prompt) > limits.prompt_characters:
        raise Unsendable(f"the prompt is longer than the model's {limits.prompt_characters} characters")
    if len(task.references) > limits.references:
        raise Unsendable(f"the model takes {limits.references} references")
    if task.references and Mode.EDIT not in model.modes:
        raise Unsendable("the model takes no references")
    total = sum(reference.artifact.size_bytes for reference in task.references)
    if limits.references_total_bytes is not None and total > limits.references_total_bytes:
        raise Unsendable(f"the references come to more than {limits.references_total_bytes} bytes")
    for field, reference in ordered(task):
        if reference.artifact.size_bytes > limits.reference_bytes:
            raise Unsendable(f"{field} is larger than {limits.reference_bytes} bytes")
    if not task.HasField("mask"):
        return
    if Mode.MASK not in model.modes:
        raise Unsendable("the model takes no mask")
    if not task.references:
        raise Unsendable("a mask needs a reference")
    if limits.mask_bytes is not None and task.mask.artifact.size_bytes > limits.mask_bytes:
        raise Unsendable(f"task.mask is larger than {limits.mask_bytes} bytes")


async def fetch_inputs(store: ArtifactStore, task: task_pb2.Task, model: Model) -> Inputs:
    """Read references and mask from the task's tenant. Unsendable if one is missing or not what the model takes.

    One at a time: each is in memory whole, and the store is far quicker than what comes next.
    """
    check_limits(task, model)
    pictures = [await _fetch(store, task.tenant, field, reference, model) for field, reference in ordered(task)]
    mask = await _fetch(store, task.tenant, "task.mask", task.mask, model) if task.HasField("mask") else None
    if mask is not None and mask.media_type != "image/png":
        raise Unsendable("task.mask must be a PNG")
    return Inputs(tuple(pictures), mask)


async def _fetch(store: ArtifactStore, tenant: str, field: str, reference: task_pb2.Reference, model: Model) -> Picture:
    try:
        data = await store.get(tenant, reference.artifact.digest, field=f"{field}.artifact")
    except (NotFound, InvalidField) as error:
        raise Unsendable(f"{field}.artifact is not in the artifact store") from error
    media_type = sniff(data[:HEAD_BYTES])
    if media_type not in model.limits.reference_media_types:
        raise Unsendable(f"{field} is {media_type}, which the model does not take")
    # The provider's SDK is about to copy it: let other calls breathe between two large ones.
    await asyncio.sleep(0)
    return Picture(data, media_type)
