"""Input images: what each is for, and which is the base of an edit."""

from __future__ import annotations

from collections.abc import Sequence

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef, MediaDimensions
from imagerouter.normalizer.imagehead import ImageFacts
from imagerouter.normalizer.notes import Notes
from imagerouter.normalizer.validate import MASK
from imagerouter.runtime.errors import InvalidField


def settle_references(
    given: Sequence[task_pb2.Reference],
    facts: Sequence[ImageFacts],
    mode: task_pb2.Mode.ValueType,
    notes: Notes,
) -> list[task_pb2.Reference]:
    """Return the references with what was found of them, every role settled, the base of an edit first.

    The base is the one that the caller says is it, else the first without a role. An edit whose references all have
    other roles has no base: a new picture is composed of them.
    """
    settled = [settle(reference, found) for reference, found in zip(given, facts, strict=True)]
    base = _base(settled) if mode == task_pb2.MODE_EDIT else None
    for at, reference in enumerate(settled):
        if at == base:
            reference.role = task_pb2.REFERENCE_ROLE_BASE
        elif reference.role == task_pb2.REFERENCE_ROLE_UNSPECIFIED:
            reference.role = task_pb2.REFERENCE_ROLE_SUBJECT
        if not given[at].role:
            role = task_pb2.ReferenceRole.Name(reference.role).removeprefix("REFERENCE_ROLE_").lower()
            notes.defaulted(f"references[{at}].role", role, "the first of an edit is the base, others are subjects")
    if base:
        settled.insert(0, settled.pop(base))
        notes.warn(f"references[{base}]", "REFERENCES_REORDERED", "The base was moved to the front.")
    seen: set[str] = set()
    for at, reference in enumerate(given):
        if reference.artifact.digest in seen:
            notes.warn(f"references[{at}]", "DUPLICATE_REFERENCE", "The same image is given twice.")
        seen.add(reference.artifact.digest)
    return settled


def _base(settled: Sequence[task_pb2.Reference]) -> int | None:
    for role in (task_pb2.REFERENCE_ROLE_BASE, task_pb2.REFERENCE_ROLE_UNSPECIFIED):
        for at, reference in enumerate(settled):
            if reference.role == role:
                return at
    return None


def settle(reference: task_pb2.Reference, found: ImageFacts) -> task_pb2.Reference:
    """Return a reference with the size, media type and dimensions that were found."""
    return task_pb2.Reference(
        artifact=ArtifactRef(
            digest=reference.artifact.digest, size_bytes=found.size_bytes, media_type=found.media_type
        ),
        role=reference.role,
        dimensions=MediaDimensions(width=found.width, height=found.height),
    )


def settle_mask(
    mask: task_pb2.Reference, found: ImageFacts, references: Sequence[task_pb2.Reference]
) -> task_pb2.Reference:
    """Return the mask as found. InvalidField unless it is a PNG with transparency, as large as the base."""
    if not references or references[0].role != task_pb2.REFERENCE_ROLE_BASE:
        raise InvalidField(MASK, "needs a base among the references")
    if found.media_type != "image/png":
        raise InvalidField(MASK, "must be a PNG")
    if not found.has_alpha:
        raise InvalidField(MASK, "must have transparency: the transparent pixels may change")
    base = references[0].dimensions
    if (found.width, found.height) != (base.width, base.height):
        raise InvalidField(
            MASK, f"must measure {base.width} x {base.height} like the base, not {found.width} x {found.height}"
        )
    return settle(mask, found)
