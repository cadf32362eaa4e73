"""What the normalizer can be told."""

from __future__ import annotations

from pydantic import Field

from imagerouter.runtime.settings import ServiceSettings
from imagerouter.storage import StoreUrl, default_store_url


class NormalizerSettings(ServiceSettings):
    """The settings of every service, and these."""

    artifact_store: StoreUrl = Field(default_factory=default_store_url)
    """Where the references are: `file:///dir`, `memory://`, `s3://bucket/prefix`."""
