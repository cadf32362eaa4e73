"""Requests and images that the normalizer's tests share."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.common.v1.artifact_pb2 import ArtifactRef
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.normalizer.core import normalize
from imagerouter.normalizer.imagehead import ImageFacts

PHOTO = ImageFacts("image/jpeg", 1600, 1200, has_alpha=False, size_bytes=100_000)
MASK = ImageFacts("image/png", 1600, 1200, has_alpha=True, size_bytes=2_000)
BULKY_CASES = 200
"""Examples of a property that takes a whole request."""


def reference(number: int = 0, role: int = 0) -> task_pb2.Reference:
    """Return a reference to the artifact of a number."""
    return task_pb2.Reference(artifact=ArtifactRef(digest=f"{number:064x}"), role=role)  # type: ignore[arg-type]


def request(prompt: str = "a red cat on a wall", **fields: Any) -> pb.NormalizeRequest:
    """Return a request of tenant "acme"."""
    return pb.NormalizeRequest(**{"tenant": "acme", "prompt": prompt, **fields})


def settled(prompt: str = "a red cat on a wall", facts: Sequence[ImageFacts] = (), **fields: Any) -> task_pb2.Task:
    """Normalize a request."""
    return normalize(request(prompt, **fields), facts)


def output(**fields: Any) -> task_pb2.OutputSpec:
    """Return an output spec."""
    return task_pb2.OutputSpec(**fields)


def constraints(**fields: Any) -> task_pb2.Constraints:
    """Return constraints."""
    return task_pb2.Constraints(**fields)


def negotiated(task: task_pb2.Task) -> dict[str, tuple[str, str, str]]:
    """Return what was negotiated: field to kind, requested and applied."""
    return {
        n.field: (task_pb2.NegotiationKind.Name(n.kind).removeprefix("NEGOTIATION_KIND_"), n.requested, n.applied)
        for n in task.negotiations
    }


def warned(task: task_pb2.Task) -> dict[str, str]:
    """Return the warnings: code to field."""
    return {warning.code: warning.field for warning in task.warnings}


def image_bytes(form: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """Encode a small picture with Pillow."""
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()
