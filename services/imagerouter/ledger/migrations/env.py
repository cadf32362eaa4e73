"""Alembic runs this for every command. The connection, in a transaction, comes from `imagerouter.ledger.migrate`."""

from __future__ import annotations

from alembic import context

from imagerouter.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    # SQLite can roll DDL back too, if the driver lets it: ours does.
    transactional_ddl=True,
)
context.run_migrations()
