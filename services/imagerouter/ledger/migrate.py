"""Brings a database to the schema of this build, with Alembic and the revisions in `migrations/`."""

from __future__ import annotations

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from imagerouter.ledger.errors import SchemaOutdated

_log = structlog.get_logger(__name__)

# Any number, the same in every replica: "imgrledg" in ASCII.
_LOCK = int.from_bytes(b"imgrledg", "big")


def upgrade(connection: Connection) -> str:
    """Run the missing revisions in the connection's transaction, and give the revision that it is at then.

    Replicas that start together take turns. A schema that is newer than this build is left alone: see `check`.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = _config(connection)
    found = _revision(connection)
    if found is None or _known(config, found):
        command.upgrade(config, "head")
    else:
        _warn_newer(found)
    return _revision(connection) or ""


def check(connection: Connection) -> None:
    """Raise SchemaOutdated unless the schema is this build's or a newer one.

    A newer one is fine because revisions only add within a major version: the database is migrated first, then replicas
    are replaced one by one, and an old one that restarts in between must come up.
    """
    config = _config(connection)
    found = _revision(connection)
    wanted = ScriptDirectory.from_config(config).get_current_head()
    if found == wanted:
        return
    if found is None or _known(config, found):
        raise SchemaOutdated(
            f"the ledger's schema is at {found or 'nothing'}, and this build needs {wanted}: migrate it first",
            metadata={"dependency": "ledger", "found": found or "", "wanted": wanted or ""},
        )
    _warn_newer(found)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known(config: Config, revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory.from_config(config).walk_revisions())


def _warn_newer(found: str) -> None:
    _log.warning("ledger_schema_newer", revision=found)
