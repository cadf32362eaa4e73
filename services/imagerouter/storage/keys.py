"""Where an artifact lies: `{tenant}/sha256/{first two digits}/{digest}`."""

from __future__ import annotations

import re

from imagerouter.runtime.errors import InvalidField

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_digest(text: str) -> bool:
    """Say whether `text` is a SHA-256 as we write it: 64 lowercase hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def is_tenant(text: str) -> bool:
    """Say whether `text` may name a tenant. Nothing that passes can leave the tenant's prefix."""
    return _TENANT.fullmatch(text) is not None


def object_key(tenant: str, digest: str, *, field: str) -> str:
    """Return the key of an artifact. InvalidField if the tenant or, blaming `field`, the digest is malformed."""
    if not is_tenant(tenant):
        raise InvalidField("tenant", "must be 1 to 63 of a-z, 0-9 and -, and not begin with -")
    if not is_digest(digest):
        raise InvalidField(field, "must be a SHA-256 as 64 lowercase hexadecimal digits")
    return f"{tenant}/sha256/{digest[:2]}/{digest}"
