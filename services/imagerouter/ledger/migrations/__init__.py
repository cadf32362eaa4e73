"""The history of the ledger's schema, for Alembic. See `imagerouter.ledger.migrate`."""
