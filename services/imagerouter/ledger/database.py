"""One engine, and transactions on it that run to their end whatever happens to the caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from imagerouter.runtime.errors import Internal, Unavailable

T = TypeVar("T")

SQLITE = "sqlite+aiosqlite"
POSTGRES = "postgresql+asyncpg"

_RETRY_AFTER_S = 1.0
_CONNECT_S = 5.0
_COMMAND_S = 30.0  # beyond the server's own limits: for a server that is connected and does not answer
_SERVER_LIMITS_MS = {
    "statement_timeout": "20000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "30000",
}
_BUSY_MS = 10_000
_SQLITE_CONNECTIONS = 5
_POSTGRES_CONNECTIONS = 10
_WRITE = "imagerouter_write"
# Postgres' error classes that say nothing against the statement: connection, authorization, no such database, rollback
# forced on us, resources, locks, operator's intervention, system.
_PASSING = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})


def parse_url(url: str) -> URL:
    """Read a ledger URL: `sqlite+aiosqlite:////path/to/file` or `postgresql+asyncpg://…`. ValueError for another."""
    try:
        parsed = make_url(url)
    except Exception:
        # SQLAlchemy's message quotes the URL, and with it a password.
        raise ValueError("the ledger URL cannot be read") from None
    if parsed.drivername not in (SQLITE, POSTGRES):
        raise ValueError(f"the ledger URL must begin with {SQLITE}:/// or {POSTGRES}://")
    if parsed.drivername == SQLITE and (not parsed.database or parsed.database.startswith((":", "file:"))):
        raise ValueError(
            "the ledger must be a file: what is only in memory is forgotten by a crash, and paid for twice"
        )
    return parsed


class Database:
    """An open database.

    A transaction runs in a task of its own: cancelling the caller neither breaks it off half way nor takes a connection
    with it, and what was begun is written. Drivers differ in what a cancellation in the middle of a statement does.
    """

    def __init__(self, url: URL, *, limits: bool = True) -> None:
        """Prepare an engine. `limits` false lifts Postgres' time limits, for migrations."""
        self.sqlite = url.drivername == SQLITE
        engine = _sqlite(url) if self.sqlite else _postgres(url, limits=limits)
        self._engine = engine
        self._writes = engine.execution_options(**{_WRITE: True})
        # On Postgres one snapshot for all statements of a read; SQLite's read transactions are that anyway.
        snapshot: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reads = engine if self.sqlite else engine.execution_options(**snapshot)
        # SQLite has one writer. Waiting here is fair and wakes at once; its busy handler, which is left to settle with
        # other processes, polls and lets some starve.
        self._turn: asyncio.Lock | None = asyncio.Lock() if self.sqlite else None
        self._running: set[asyncio.Task[Any]] = set()

    async def write(self, body: Callable[[Connection], T], committed: Callable[[T], None] | None = None) -> T:
        """Run `body` in one transaction that may write, and `committed` on its result once that is durable.

        Unavailable if the database does not answer.
        """
        return await self._finish(self._transaction(self._writes, body, self._turn or nullcontext(), committed))

    async def read(self, body: Callable[[Connection], T]) -> T:
        """Run `body` in one transaction that sees one moment. Unavailable if the database does not answer."""
        return await self._finish(self._transaction(self._reads, body, nullcontext()))

    async def close(self) -> None:
        """Wait for what is running, then close every connection."""
        while self._running:
            await asyncio.wait(self._running)
        await self._engine.dispose()

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _transaction(
        self,
        engine: AsyncEngine,
        body: Callable[[Connection], T],
        turn: Any,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        with _errors():
            async with turn, engine.begin() as connection:
                result = await connection.run_sync(body)
        if committed is not None:
            committed(result)
        return result


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the driver's errors into ours.

    A driver's text may show a value or a whole row, and with it a prompt: what is a defect goes on by the name of the
    constraint or the class of the error only, without its cause.
    """
    try:
        yield
    except IntegrityError as error:
        raise Internal(f"the ledger's constraint {_constraint(error)} does not hold") from None
    except (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError) as error:
        raise _unavailable() from error
    except DBAPIError as error:
        code = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or code[:2] in _PASSING:
            raise _unavailable() from error
        raise Internal(f"the ledger's statement failed: {type(error.orig).__name__} {code}") from None


def _unavailable() -> Unavailable:
    return Unavailable("the ledger did not answer", metadata={"dependency": "ledger"}, retry_after_s=_RETRY_AFTER_S)


def _constraint(error: IntegrityError) -> str:
    named = getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)
    # SQLite's words name columns or the constraint, and no values.
    return str(named or error.orig)


def _sqlite(url: URL) -> AsyncEngine:
    assert url.database is not None  # noqa: S101 - parse_url saw to it
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # below that it logs every statement with its values
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # prompts are in it; WAL files take its mode
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=_SQLITE_CONNECTIONS,
        max_overflow=0,
        connect_args={"timeout": _BUSY_MS / 1000},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        # Python's driver begins transactions by itself, deferred; a deferred one that turns to writing fails at once
        # if another wrote in between, whatever the busy timeout. So BEGIN is ours.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # FULL: each commit is on the disk before it counts. With NORMAL a power cut may take back "SENT" for a request
        # that went out, and it would be sent and paid for again. It costs one fdatasync a commit (0.4 ms measured).
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get(_WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgres(url: URL, *, limits: bool) -> AsyncEngine:
    settings = {"application_name": "imagerouter-ledger", **(_SERVER_LIMITS_MS if limits else {})}
    arguments: dict[str, Any] = {"timeout": _CONNECT_S, "server_settings": settings}
    if limits:
        arguments["command_timeout"] = _COMMAND_S
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=_POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_COMMAND_S,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not an error on each pooled connection
        connect_args=arguments,
    )
