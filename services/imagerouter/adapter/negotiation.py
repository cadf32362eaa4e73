"""What the adapter changes on the way, and the rules for it that no provider differs in."""

from __future__ import annotations

from dataclasses import dataclass

from imagerouter.adapter.provider import Call
from imagerouter.api.common.v1 import task_pb2
from imagerouter.catalogue import Mode

_SERVICE = "adapter"


@dataclass(frozen=True)
class Asked:
    """How much one call asks for, and what of the wish that leaves out."""

    count: int
    previews: int
    negotiations: tuple[task_pb2.Negotiation, ...]


def dropped(field: str, requested: str, reason: str) -> task_pb2.Negotiation:
    """Say that something was left out."""
    return task_pb2.Negotiation(
        field=field, requested=requested, kind=task_pb2.NEGOTIATION_KIND_DROPPED, reason=reason, service=_SERVICE
    )


def mapped(field: str, requested: str, applied: str, reason: str) -> task_pb2.Negotiation:
    """Say that something was turned into the closest equivalent."""
    return task_pb2.Negotiation(
        field=field,
        requested=requested,
        applied=applied,
        kind=task_pb2.NEGOTIATION_KIND_MAPPED,
        reason=reason,
        service=_SERVICE,
    )


def asked(call: Call) -> Asked:
    """Settle how many images and previews one call asks for.

    A stream's events do not say which image they are of, so previews are for one image at a time; the images that are
    left are made by further attempts, each decided and paid for on its own.
    """
    notes: list[task_pb2.Negotiation] = []
    previews = call.previews
    if previews and Mode.PREVIEW not in call.model.modes:
        notes.append(dropped("previews", str(previews), "the model sends no pictures in the making"))
        previews = 0
    wanted = call.route.parameters.count
    count = 1 if previews else min(wanted, call.model.limits.count)
    if count != wanted:
        reason = "previews are sent for one image at a time" if previews else "the model makes fewer images in a call"
        notes.append(
            task_pb2.Negotiation(
                field="output.count",
                requested=str(wanted),
                applied=str(count),
                kind=task_pb2.NEGOTIATION_KIND_EMULATED,
                reason=f"{reason}; the rest takes further attempts",
                service=_SERVICE,
            )
        )
    return Asked(count, previews, tuple(notes))


def roles(call: Call) -> tuple[task_pb2.Negotiation, ...]:
    """Note the references' roles that are told by order alone: providers have no field for them."""
    return tuple(
        mapped(
            f"references[{index}].role",
            task_pb2.ReferenceRole.Name(reference.role).removeprefix("REFERENCE_ROLE_"),
            "ORDER",
            "the provider knows references by their order and by what the prompt says of them",
        )
        for index, reference in enumerate(call.task.references)
        if reference.role in (task_pb2.REFERENCE_ROLE_SUBJECT, task_pb2.REFERENCE_ROLE_STYLE)
    )


def returned_format(call: Call, media_types: frozenset[str]) -> tuple[task_pb2.Negotiation, ...]:
    """Note a file format that differs from the task's, unless the route has said so before."""
    wanted = call.task.output.format
    names = {
        task_pb2.OUTPUT_FORMAT_PNG: "image/png",
        task_pb2.OUTPUT_FORMAT_JPEG: "image/jpeg",
        task_pb2.OUTPUT_FORMAT_WEBP: "image/webp",
    }
    if wanted not in names or any(note.field == "output.format" for note in call.route.negotiations):
        return ()
    return tuple(
        mapped("output.format", names[wanted], media_type, "the provider returned another format")
        for media_type in sorted(media_types - {names[wanted]})
    )
