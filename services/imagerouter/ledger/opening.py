"""Opening the ledger that a URL names."""

from __future__ import annotations

from imagerouter.ledger import migrate
from imagerouter.ledger.database import Database, parse_url
from imagerouter.ledger.ledger import Ledger


async def open_ledger(url: str) -> Ledger:
    """Open the ledger at `sqlite+aiosqlite:////path/to/file` or `postgresql+asyncpg://…`.

    An SQLite file is made and migrated as needed. A Postgres schema is only checked, because several replicas share it:
    SchemaOutdated if `Ledger.migrate` has to run first. ValueError for any other URL.
    """
    database = Database(parse_url(url))
    try:
        if database.sqlite:
            await database.write(migrate.upgrade)
        else:
            await database.read(migrate.check)
    except BaseException:
        await database.close()
        raise
    return Ledger(database)
