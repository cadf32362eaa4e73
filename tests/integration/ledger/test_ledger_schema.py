"""The schema that the revisions make, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ledger_samples import create
from sqlalchemy import Connection, text

from imagerouter.ledger import Ledger, SchemaOutdated, open_ledger
from imagerouter.ledger.database import Database, parse_url
from imagerouter.ledger.schema import metadata
from tests.postgres import PostgresServer

_SQLITE_SCHEMA = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL"
_POSTGRES_SCHEMA = """
SELECT 'table', table_name, '' FROM information_schema.tables
    WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%'
UNION ALL SELECT 'column', table_name || '.' || column_name,
    concat_ws(' ', ordinal_position, data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%'
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'alembic%'
UNION ALL SELECT 'index', indexname, indexdef
    FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'
"""


@pytest.fixture(params=["sqlite", "postgres"])
async def empty_url(request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'new' / 'ledger.db'}"
    return postgres_server.url(await postgres_server.create_database())


def described(connection: Connection) -> set[tuple[Any, ...]]:
    """Give every table, column, constraint and index in the database's own words."""
    query = _SQLITE_SCHEMA if connection.dialect.name == "sqlite" else _POSTGRES_SCHEMA
    return {(row[0], row[1], _words(row[2])) for row in connection.execute(text(query))}


def _words(sql: str) -> tuple[str, ...]:
    """Give the clauses of a statement: revisions may write a table's constraints in another order."""
    return tuple(sorted(line.strip().rstrip(",") for line in sql.replace(", \n", ",\n").splitlines()))


async def test_revisions_make_the_metadata(ledger_url: str, postgres_server: PostgresServer, tmp_path: Path) -> None:
    """What the revisions make is what `schema.py` says: to Alembic's eyes, and word by word in the catalogue."""
    plain_url = f"sqlite+aiosqlite:///{tmp_path / 'plain.db'}"
    if ledger_url.startswith("postgresql"):
        plain_url = postgres_server.url(await postgres_server.create_database())
    plain, migrated = Database(parse_url(plain_url)), Database(parse_url(ledger_url))
    try:
        await plain.write(metadata.create_all)

        def differences(connection: Connection) -> list[Any]:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, metadata))

        assert await migrated.read(differences) == []
        expected = await plain.read(described)
        assert expected == await migrated.read(described)
        assert {"images", "decisions", "attempts", "evaluations", "events", "hops"} <= {row[1] for row in expected}
    finally:
        await plain.close()
        await migrated.close()


async def test_replicas_may_migrate_at_once(empty_url: str) -> None:
    """Five replicas that start together on an empty database leave one schema that all can use."""
    revisions = await asyncio.gather(*(Ledger.migrate(empty_url) for _ in range(5)))
    assert len(set(revisions)) == 1
    async with await open_ledger(empty_url) as ledger:
        await create(ledger)


async def test_sqlite_is_made_ready_by_opening(tmp_path: Path) -> None:
    """The embedded ledger needs no step before: file and schema are made, for the owner's eyes only, and kept."""
    path = tmp_path / "deep" / "down" / "ledger.db"
    async with await open_ledger(f"sqlite+aiosqlite:///{path}") as ledger:
        made = await create(ledger)
    assert path.stat().st_mode & 0o077 == 0
    async with await open_ledger(f"sqlite+aiosqlite:///{path}") as ledger:
        assert len(await ledger.events(made.image_id)) == 1


async def test_postgres_is_checked_by_opening(postgres_server: PostgresServer) -> None:
    """A database that was not migrated is refused with what to do, and is not changed by that."""
    url = postgres_server.url(await postgres_server.create_database())
    for _ in range(2):
        with pytest.raises(SchemaOutdated, match="migrate"):
            await open_ledger(url)
    await Ledger.migrate(url)
    async with await open_ledger(url) as ledger:
        assert await ledger.ping()


async def test_newer_schema_is_left_alone(ledger_url: str) -> None:
    """A database that a newer build has migrated opens, and is not taken back."""
    database = Database(parse_url(ledger_url))
    await database.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await database.close()

    assert await Ledger.migrate(ledger_url) == "9999"
    async with await open_ledger(ledger_url) as ledger:
        await create(ledger)


@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite:///x.db", "postgresql://u:hunter2@h/d", "hunter2"],
)
async def test_other_urls_are_refused_without_being_quoted(url: str) -> None:
    """Only files and asyncpg are taken; a URL may hold a password, so no error shows it."""
    with pytest.raises(ValueError, match="ledger") as caught:
        await open_ledger(url)
    assert "hunter2" not in str(caught.value)


async def test_sqlite_is_safe_against_power_cuts(sqlite_url: str) -> None:
    """Every connection has the write-ahead log, flushes at each commit, and enforces foreign keys."""
    database = Database(parse_url(sqlite_url))

    def pragmas(connection: Connection) -> list[Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await asyncio.gather(*(database.read(pragmas) for _ in range(3))) == [["wal", 2, 1, 10_000]] * 3
    await database.close()
