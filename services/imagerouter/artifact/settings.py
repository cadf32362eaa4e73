"""What the artifact service can be told."""

from __future__ import annotations

from pydantic import Field

from imagerouter.runtime.settings import ServiceSettings
from imagerouter.storage import MAX_ARTIFACT_BYTES, StoreUrl, default_store_url


class ArtifactSettings(ServiceSettings):
    """The settings of every service, and these."""

    artifact_store: StoreUrl = Field(default_factory=default_store_url)
    """Where artifacts are kept: `file:///dir`, `memory://`, `s3://bucket/prefix`."""

    max_artifact_bytes: int = Field(MAX_ARTIFACT_BYTES, ge=1, le=MAX_ARTIFACT_BYTES)
    """The largest artifact taken, in bytes."""
