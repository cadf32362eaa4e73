"""Input images: inline bytes become artifacts here, at the edge, so that nothing behind it carries pixels."""

from __future__ import annotations

from imagerouter.api.common.v1 import artifact_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.runtime.errors import InvalidField
from imagerouter.storage import HEAD_BYTES, ArtifactStore, sniff

_TAKEN = frozenset({"image/png", "image/jpeg", "image/webp"})


async def to_reference(image: images.InputImage, path: str, tenant: str, store: ArtifactStore) -> task_pb2.Reference:
    """The reference for one input image. InvalidField at `path` if inline bytes are not an image we take; the
    normalizer looks deeper."""
    if image.WhichOneof("source") == "artifact":
        return task_pb2.Reference(artifact=image.artifact, role=image.role)
    if sniff(image.inline[:HEAD_BYTES]) not in _TAKEN:
        raise InvalidField(f"{path}.inline", "is not a PNG, JPEG or WebP image", reason="REFERENCE_NOT_IMAGE")
    return task_pb2.Reference(artifact=await store.put(tenant, image.inline), role=image.role)


def as_base(artifact: artifact_pb2.ArtifactRef) -> task_pb2.Reference:
    """A former output as the image to be changed."""
    return task_pb2.Reference(artifact=artifact, role=task_pb2.REFERENCE_ROLE_BASE)
