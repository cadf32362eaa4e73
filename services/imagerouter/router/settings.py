"""What the router can be told."""

from __future__ import annotations

from pathlib import Path

from imagerouter.runtime.settings import ServiceSettings


class RouterSettings(ServiceSettings):
    """The router's settings: every service's, and where its data is."""

    policy_file: Path | None = None
    """The policy to apply. Unset means the one in the package."""

    catalogue_dir: Path | None = None
    """The directory of the model catalogue. Unset means the one in the package."""
