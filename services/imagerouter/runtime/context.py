"""Who a call is for. The tenant travels in metadata, from hop to hop, never in a message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote

import grpc.aio

from imagerouter.runtime.errors import InvalidField

TENANT_KEY: Final = "imagerouter-tenant"
"""The metadata key that names the tenant."""

DEFAULT_TENANT: Final = "default"
"""The tenant of a call that names none."""

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_tenant: ContextVar[str | None] = ContextVar("imagerouter_tenant", default=None)


def tenant_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Return the tenant of a served call: `[a-z0-9][a-z0-9-]{0,62}`, "default" if it names none; else InvalidField."""
    metadata: Sequence[tuple[str, str | bytes]] = tuple(context.invocation_metadata() or ())
    named = [value for key, value in metadata if key == TENANT_KEY]
    if not named:
        return DEFAULT_TENANT
    if len(named) > 1 or not isinstance(named[0], str) or not _TENANT.fullmatch(named[0]):
        raise InvalidField(TENANT_KEY, "one name of a-z, 0-9 and '-', 63 characters at most, not beginning with '-'")
    return named[0]


def current_tenant() -> str | None:
    """Return the tenant that the work at hand is for; None outside of any call."""
    return _tenant.get()


def set_tenant(tenant: str | None) -> None:
    """Set it for the current task and those it starts. For the server; others use `tenant_scope`."""
    _tenant.set(tenant)


@contextmanager
def tenant_scope(tenant: str) -> Iterator[None]:
    """Make the calls of the block for `tenant`: our channels then send it along. For work that no call started."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidField("tenant", "one name of a-z, 0-9 and '-', 63 characters at most, not beginning with '-'")
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)


def peer_class(peer: str) -> str:
    """Say where a call came from, without its address: loopback, private, public, unix or unknown."""
    scheme, _, rest = unquote(peer).partition(":")
    if scheme == "unix":
        return "unix"
    try:
        address = ip_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])
    except ValueError:
        return "unknown"
    if address.is_loopback:
        return "loopback"
    return "private" if address.is_private else "public"
