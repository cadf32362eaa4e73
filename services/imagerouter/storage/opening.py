"""From a URL to a store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, MemoryStore, from_url
from pydantic import AfterValidator

from imagerouter.storage.store import ArtifactStore

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_CLOUDS: Final = frozenset({"s3", "gs", "az"})


def default_store_url() -> str:
    """Return the URL of `.imagerouter/artifacts` in the working directory, what an unconfigured suite uses."""
    return Path(".imagerouter/artifacts").absolute().as_uri()


def check_store_url(url: str) -> str:
    """Return `url` as it is, or raise ValueError with the forms that are possible. Touches nothing."""
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and parts.path.strip("/"):
        return url
    if parts.scheme == "memory" or (parts.scheme in _CLOUDS and parts.netloc):
        return url
    raise ValueError("an artifact store is file:///absolute/directory, memory://, or s3://bucket/prefix (gs:, az:)")


StoreUrl = Annotated[str, AfterValidator(check_store_url)]
"""The type of a setting that names a store."""


def open_store(url: str) -> ArtifactStore:
    """Open the store at `url`. ValueError if there is none of that kind; whether it answers is for `ready` to say.

    - `file:///absolute/dir`: a directory, made if need be, for its owner's eyes only;
    - `memory://`: new and empty, for one process;
    - `s3://bucket/prefix` (also `gs:`, `az:`): credentials, region and endpoint as obstore reads them from the
      environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`, …).
    """
    parts = urlsplit(check_store_url(url))
    if parts.scheme == "memory":
        return ArtifactStore(MemoryStore())
    if parts.scheme == "file":
        directory = Path(unquote(parts.path))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ArtifactStore(LocalStore(directory))
    # obstore's own defaults retry for three minutes, longer than any caller of ours waits. Client options are left
    # alone: giving any makes obstore ignore those of the environment (AWS_ALLOW_HTTP, AWS_PROXY_URL).
    retries: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
    return ArtifactStore(from_url(url, retry_config=retries))
