"""What an adapter can be told. The provider is configuration; its key lives in adapter processes only."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from imagerouter.adapter.registry import PROVIDERS
from imagerouter.runtime.settings import ServiceSettings
from imagerouter.storage import StoreUrl, default_store_url

EMULATOR_KEY: Final = "sk-emulator"
"""What an emulator on loopback is given for a key. It opens nothing."""


class AdapterSettings(ServiceSettings):
    """The settings of every service, and these."""

    provider: str = "openai"
    """Which provider to serve: "openai" or "google"."""

    provider_base_url: str = ""
    """Where the provider answers. Empty means the real one; an emulator's is http://127.0.0.1:PORT."""

    provider_api_key: SecretStr | None = None
    """The provider's key. Not needed for an emulator on loopback."""

    provider_api_version: str = "v1beta"
    """Google's API version: a segment of the path. The SDK's own default, v1, has refused image settings."""

    artifact_store: StoreUrl = Field(default_factory=default_store_url)
    """Where artifacts are kept: `file:///dir`, `memory://`, `s3://bucket/prefix`."""

    provider_timeout_s: float | None = Field(None, gt=0)
    """How long the provider may stay silent. Unset: the catalogue's figure for model and size."""

    provider_connect_timeout_s: float = Field(5.0, gt=0)
    """How long connecting to the provider may take."""

    heartbeat_s: float = Field(5.0, gt=0)
    """How often a caller hears from a call in which nothing happens."""

    parse_concurrency: int = Field(1, ge=1)
    """How many replies are decoded at a time. Each takes 100 to 150 MiB while it is a 4K image."""

    remembered_attempts: int = Field(10_000, ge=1)
    """How many ended attempts this process remembers, to replay instead of executing again."""

    method_limits: dict[str, int] = Field(default_factory=lambda: {"Generate": 64})
    """Limits for some methods, by name. Each Generate holds its references in memory."""

    drain_grace_s: float = Field(670.0, ge=0)
    """How long calls in progress may take to end: the longest provider timeout, the trickle of a reply, and storing."""

    connection_age_grace_s: float = Field(670.0, gt=0)
    """As long as the drain: a connection that is cut takes a paid call with it."""

    @field_validator("provider")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PROVIDERS:
            raise ValueError(f"must be one of {', '.join(sorted(PROVIDERS))}")
        return value

    @field_validator("provider_base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
            raise ValueError("must be http://host or https://host, without credentials")
        if parts.scheme == "http" and not _is_loopback(value):
            raise ValueError("must be https:// outside of loopback: it carries the key")
        return value

    @model_validator(mode="after")
    def _keyed(self) -> AdapterSettings:
        if not self.api_key:
            raise ValueError(
                "IMAGEROUTER_PROVIDER_API_KEY or IMAGEROUTER_PROVIDER_API_KEY_FILE: is required for the real "
                f"{self.provider}. Without a key, run the emulator (`imagerouter emulate`) and set "
                "IMAGEROUTER_PROVIDER_BASE_URL to the address that it prints"
            )
        return self

    @property
    def api_key(self) -> str:
        """The key to send; the emulator's if there is none and the provider is on loopback; else empty."""
        given = self.provider_api_key.get_secret_value().strip() if self.provider_api_key else ""
        return given or (EMULATOR_KEY if _is_loopback(self.base_url) else "")

    @property
    def base_url(self) -> str:
        """Where the provider answers, with the provider's own path if none was given."""
        endpoint = PROVIDERS[self.provider]
        if not self.provider_base_url:
            return endpoint.base_url
        parts = urlsplit(self.provider_base_url)
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") or endpoint.path))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
