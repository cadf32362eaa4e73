"""Which module serves which provider, and what each is given to connect with. A new provider is a line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Final

from imagerouter.adapter.pictures import Decoder
from imagerouter.adapter.provider import Provider
from imagerouter.runtime.clock import Clock

ATTEMPT_HEADER: Final = "X-Client-Request-Id"
"""Carries the attempt_id to the provider, so that its journal and ours can be laid side by side."""


@dataclass(frozen=True)
class Endpoint:
    """Where a provider lives when nobody says otherwise. `path` is appended to a base URL that has none."""

    module: str
    base_url: str
    path: str


PROVIDERS: Final = MappingProxyType(
    {
        "openai": Endpoint("imagerouter.adapter.providers.openai", "https://api.openai.com/v1", "/v1"),
        "google": Endpoint("imagerouter.adapter.providers.google", "https://generativelanguage.googleapis.com", ""),
    }
)


@dataclass(frozen=True)
class Connection:
    """How to reach the provider. Times in seconds. `api_version` is a path segment, for providers that have one."""

    base_url: str
    api_key: str
    api_version: str
    connect_timeout_s: float
    max_connections: int
    clock: Clock


def open_provider(name: str, connection: Connection, decoder: Decoder) -> Provider:
    """Load the provider's module and make its client, in the running loop.

    KeyError if there is no such provider; ImportError, naming the extra to install, if its SDK is missing.
    """
    module = import_module(PROVIDERS[name].module)
    provider: Provider = module.open_provider(connection, decoder)
    return provider
