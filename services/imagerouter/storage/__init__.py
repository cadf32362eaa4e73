"""Artifacts: immutable bytes, named by their SHA-256, kept under a tenant's prefix in any object store."""

from imagerouter.storage.keys import is_digest, is_tenant
from imagerouter.storage.media import HEAD_BYTES, sniff
from imagerouter.storage.opening import StoreUrl, default_store_url, open_store
from imagerouter.storage.store import MAX_ARTIFACT_BYTES, PIECE_BYTES, ArtifactStore

__all__ = [
    "HEAD_BYTES",
    "MAX_ARTIFACT_BYTES",
    "PIECE_BYTES",
    "ArtifactStore",
    "StoreUrl",
    "default_store_url",
    "is_digest",
    "is_tenant",
    "open_store",
    "sniff",
]
