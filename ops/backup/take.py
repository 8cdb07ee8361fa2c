"""Taking a backup."""

import asyncio
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pyrage

from libs.common.migrate import SERVICES
from ops import deployments
from ops.backup import programs
from ops.backup.manifest import Manifest, ServiceDump, Table
from ops.backup.store import Store, sha256, write_manifest
from ops.backup.tables import SETTINGS, Connection, tables

_LOCK_WAIT = "--lock-wait-timeout=30s"


async def take(dsn: str, recipient: str, store: Store) -> tuple[str, Manifest]:
    """Backs all services up; returns the name and what is in it. The DSN's role has to see all rows.

    Rows are counted in the very snapshot that the files are made from, so both tell of one moment.
    """
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=SETTINGS)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            taken_at = datetime.now(UTC).replace(microsecond=0)
            with store.adding(taken_at) as directory:
                services = {}
                for service in await _present(connection):
                    held = await tables(connection, service)
                    path = directory / f"{service}.dump.age"
                    await asyncio.to_thread(_dump, dsn, service, snapshot, recipient, path)
                    services[service] = _describe(path, held)
                version = str(connection.get_server_version().major)
                manifest = Manifest(1, taken_at, version, recipient, services)
                write_manifest(directory, manifest)
        return directory.name.removesuffix(".partial"), manifest
    finally:
        await connection.close()


async def _present(connection: Connection) -> list[str]:
    """The schemas to back up: the services', and the operators' own where it is there."""
    own = await connection.fetchval("select to_regnamespace($1) is not null", deployments.SCHEMA)
    return [*SERVICES, *([deployments.SCHEMA] if own else [])]


def _describe(path: Path, held: dict[str, Table]) -> ServiceDump:
    return ServiceDump(path.name, path.stat().st_size, sha256(path), held)


def _dump(dsn: str, service: str, snapshot: str, recipient: str, path: Path) -> None:
    options = ("--format=custom", "--compress=gzip:3", _LOCK_WAIT, f"--schema={service}", f"--snapshot={snapshot}")
    program = programs.start("pg_dump", *options, environ=programs.environment(dsn), stdout=subprocess.PIPE)
    assert program.stdout is not None
    with program, path.open("wb") as file:
        pyrage.encrypt_io(program.stdout, file, [pyrage.x25519.Recipient.from_str(recipient)])
        programs.finish("pg_dump", program)
