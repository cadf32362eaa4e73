"""Ledgers for the conformance suite: each test runs on SQLite and on Postgres, on an empty database of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from imagerouter.ledger import Ledger, open_ledger
from tests.postgres import PostgresServer, postgres_server

__all__ = ["postgres_server"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_template(postgres_server: PostgresServer) -> str:
    """A migrated database to copy."""
    name = await postgres_server.create_database()
    await Ledger.migrate(postgres_server.url(name))
    return name


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    await Ledger.migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """An empty, migrated SQLite ledger."""
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> AsyncIterator[str]:
    """An empty, migrated Postgres ledger."""
    name = await postgres_server.create_database(postgres_template)
    yield postgres_server.url(name)
    await postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """An empty ledger of either kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    """The ledger as one replica opens it."""
    async with await open_ledger(ledger_url) as opened:
        yield opened


@pytest.fixture
async def replica(ledger_url: str) -> AsyncIterator[Ledger]:
    """The same ledger as a second replica opens it."""
    async with await open_ledger(ledger_url) as opened:
        yield opened
