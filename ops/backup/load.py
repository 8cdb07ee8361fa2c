"""Loading a backup into a server, all services in one transaction."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

import asyncpg
import pyrage

from ops.backup import programs
from ops.backup.manifest import Manifest, Table
from ops.backup.store import BackupFailed, read_manifest
from ops.backup.tables import SETTINGS, has_rows, tables

_CONNECTED = """
    select usename, application_name, count(*) from pg_stat_activity
    where datname = current_database() and usename = any($1::text[]) group by 1, 2 order by 1, 2
"""
_ENDING_SECONDS = 5.0
_NO_WAITING = "-c lock_timeout=30s -c statement_timeout=0"


async def load(dsn: str, directory: Path, identity: str) -> Manifest:
    """Replaces the services' schemas by those of a backup; the roles have to be there.

    It happens as a whole or not at all. Raises `BackupFailed`.
    """
    manifest = read_manifest(directory)
    await asyncio.to_thread(_load, dsn, directory, manifest, identity)
    return manifest


async def compare(dsn: str, manifest: Manifest) -> list[str]:
    """What a server holds otherwise than a backup, a line each."""
    found = await held(dsn, manifest.services)
    return [
        f"{service}.{table}: {_told(dump.tables.get(table))}, restored {_told(found[service].get(table))}"
        for service, dump in manifest.services.items()
        for table in sorted(dump.tables.keys() | found[service].keys())
        if dump.tables.get(table) != found[service].get(table)
    ]


async def held(dsn: str, services: Iterable[str]) -> dict[str, dict[str, Table]]:
    """What the tables of each service hold now."""
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=SETTINGS)
    try:
        return {service: await tables(connection, service) for service in services}
    finally:
        await connection.close()


async def holds_data(dsn: str, services: tuple[str, ...]) -> bool:
    """Whether there is a tenant's row anywhere: whatever is not the migrations' own."""
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=SETTINGS)
    try:
        return any([await has_rows(connection, service, besides="schema_migrations") for service in services])
    finally:
        await connection.close()


async def connected(dsn: str, services: Iterable[str]) -> list[str]:
    """Who of the services is connected to a database, each with the number of its connections.

    The role of migrations is one of theirs: whoever builds indexes or migrates has it. Those that are just being
    stopped are waited for.
    """
    roles = [f"millrace_{name}" for name in (*services, "migrate")]
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=SETTINGS)
    try:
        deadline = time.monotonic() + _ENDING_SECONDS
        while found := await connection.fetch(_CONNECTED, roles):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
    finally:
        await connection.close()
    return [f"{role} ({', '.join(filter(None, (name, str(count))))})" for role, name, count in found]


def _told(table: object) -> str:
    return "absent" if table is None else str(table)


def _load(dsn: str, directory: Path, manifest: Manifest, identity: str) -> None:
    environ = programs.environment(dsn) | {"PGOPTIONS": _NO_WAITING}
    options = (
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--single-transaction",
        "--file=-",
        "--output=/dev/null",
    )
    psql = programs.start("psql", *options, environ=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert psql.stdin is not None
    with psql:
        try:
            for service, dump in manifest.services.items():
                psql.stdin.write(f'drop schema if exists "{service}" cascade;\n'.encode())
                _script(directory / dump.file, identity, psql.stdin)
            psql.stdin.flush()
        except BrokenPipeError:
            # It has ended on an error of its own, which it tells.
            _close(psql.stdin)
        except BaseException:
            psql.kill()
            _close(psql.stdin)
            raise
        _close(psql.stdin)
        programs.finish("psql", psql)


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


def _script(path: Path, identity: str, into: IO[bytes]) -> None:
    program = programs.start("pg_restore", "--file=-", environ={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with program:
        decrypting = _Decrypting(path, identity, program)
        decrypting.start()
        assert program.stdout is not None
        shutil.copyfileobj(program.stdout, into)
        into.write(b"reset all;\n")
        decrypting.join()
        if decrypting.error:
            raise BackupFailed(f"{path.name} cannot be decrypted: {decrypting.error}") from decrypting.error
        programs.finish("pg_restore", program)


class _Decrypting(Thread):
    """Feeds a program the contents of an encrypted file."""

    def __init__(self, path: Path, identity: str, program: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._path, self._identity, self._program = path, identity, program
        self.error: Exception | None = None

    def run(self) -> None:
        """Until the file ends, or the program does."""
        assert self._program.stdin is not None
        try:
            with self._path.open("rb") as file:
                pyrage.decrypt_io(file, self._program.stdin, [pyrage.x25519.Identity.from_str(self._identity)])
        except (OSError, pyrage.DecryptError, pyrage.IdentityError) as error:
            self.error = error
        finally:
            _close(self._program.stdin)
