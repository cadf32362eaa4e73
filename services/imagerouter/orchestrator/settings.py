"""What the orchestrator is told from outside."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from imagerouter.runtime.settings import ServiceSettings
from imagerouter.storage import StoreUrl, default_store_url


class OrchestratorSettings(ServiceSettings):
    """Environment of the orchestrator (prefix IMAGEROUTER_)."""

    ledger_url: SecretStr = SecretStr("sqlite+aiosqlite:///.imagerouter/ledger.db")
    """The ledger's database: `sqlite+aiosqlite:///file` or `postgresql+asyncpg://…`. It may hold a password."""

    artifact_store: StoreUrl = Field(default_factory=default_store_url)
    """The object store, for inline references."""

    normalizer_target: str = "dns:///normalizer:50051"
    """gRPC target of the normalizer."""

    router_target: str = "dns:///router:50051"
    """gRPC target of the router."""

    evaluator_target: str = "dns:///evaluator:50051"
    """gRPC target of the evaluator."""

    adapter_targets: dict[str, str] = Field(
        default={"google": "dns:///adapter-google:50051", "openai": "dns:///adapter-openai:50051"}
    )
    """gRPC target of each provider's adapter, as a JSON object."""

    limits_file: Path | None = None
    """The loop's thresholds. Unset: the packaged loop.toml."""

    drain_grace_s: float = Field(670.0, ge=0)
    """How long calls in progress may take to end: as long as an adapter's, for an attempt that runs is paid for."""

    connection_age_grace_s: float = Field(960.0, gt=0)
    """How long calls on an old connection may go on: an image's default time, and a minute."""

    lease_s: float = Field(15.0, gt=0)
    """For how long a replica owns an image without renewing. A dead replica's images are resumed after this."""

    sweep_s: float = Field(3.0, gt=0)
    """How often leases are renewed, cancellations looked for and expired images taken over."""
