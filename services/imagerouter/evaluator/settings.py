"""What the evaluator can be told."""

from __future__ import annotations

from pydantic import Field

from imagerouter.runtime.settings import ServiceSettings
from imagerouter.storage import StoreUrl, default_store_url


class EvaluatorSettings(ServiceSettings):
    """The settings of every service, and these. What images are held to is in `thresholds.toml`."""

    artifact_store: StoreUrl = Field(default_factory=default_store_url)
    """Where artifacts are kept: `file:///dir`, `memory://`, `s3://bucket/prefix`."""

    sandbox_workers: int = Field(2, ge=1, le=64)
    """How many images are decoded at a time, each in its own process of up to 1 GiB."""

    sandbox_timeout_s: float = Field(15.0, gt=0)
    """After how long a decoder is killed. More than the processor time it may take: others want processors too."""

    sandbox_images: int = Field(200, ge=1)
    """After how many images a decoder is replaced by a fresh one."""
