"""Taking a base backup: a copy of the whole cluster, and what its tables held at a moment shortly after."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from libs.common.migrate import SERVICES
from ops.backup import programs
from ops.backup.manifest import Table
from ops.backup.physical.archive import FORMAT, Archive
from ops.backup.physical.manifest import BaseManifest
from ops.backup.physical.objects import Objects
from ops.backup.physical.sealing import Measured, sealed
from ops.backup.store import BackupFailed
from ops.backup.tables import SETTINGS, Connection, tables

SLOT = "millrace_archive"
_TRIES = 40
_PAUSE = 0.25

_ALL_TABLES = """
    select string_agg(format('%I.%I', n.nspname, c.relname), ', ') from pg_class c
    join pg_namespace n on n.oid = c.relnamespace where n.nspname = any($1) and c.relkind = 'r'
"""
_STREAMED = "select exists (select from pg_replication_slots where slot_name = $1)"
_BEGIN = "select pg_walfile_name(pg_current_wal_insert_lsn())"


async def take_base(dsn: str, recipient: str, objects: Objects) -> tuple[str, BaseManifest]:
    """Copies the cluster into the archive; returns the name and the manifest. The role is a superuser.

    Raises `BackupFailed` where nobody streams the WAL, without which the copy would be good for one moment only.
    """
    connection = await asyncpg.connect(dsn, timeout=10, server_settings=SETTINGS)
    try:
        if not await connection.fetchval(_STREAMED, SLOT):
            raise BackupFailed("Nobody streams this server's WAL into the archive; start: millrace backup stream")
        archive = Archive(objects, await system_of(connection))
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        first = await connection.fetchval(_BEGIN)
        measured = await asyncio.to_thread(_copy, dsn, recipient, archive, name)
        point = f"millrace {name}"
        taken_at = await connection.fetchval("select clock_timestamp()")
        manifest = BaseManifest(
            format=FORMAT,
            taken_at=taken_at,
            postgres=str(connection.get_server_version().major),
            superuser=await connection.fetchval("select current_user"),
            database=await connection.fetchval("select current_database()"),
            recipient=recipient,
            first=first,
            bytes=measured.bytes,
            sha256=measured.sha256,
            point=point,
            tables=await _counted(dsn, point),
        )
        archive.finish(name, manifest)
        return name, manifest
    finally:
        await connection.close()


async def system_of(connection: Connection) -> str:
    """The identifier that a cluster was given when it was made."""
    return str(await connection.fetchval("select system_identifier from pg_control_system()"))


def _copy(dsn: str, recipient: str, archive: Archive, name: str) -> Measured:
    options = ("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--compress=client-gzip:1")
    more = ("--manifest-checksums=SHA256", f"--label=millrace {name}", "--no-password")
    program = programs.start("pg_basebackup", *options, *more, environ=_of_cluster(dsn), stdout=subprocess.PIPE)
    with program:
        assert program.stdout is not None
        measured = Measured(sealed(program.stdout, recipient))
        try:
            archive.objects.put(archive.content(name), measured)
            programs.finish("pg_basebackup", program)
        except BaseException:
            program.kill()
            raise
    return measured


def _of_cluster(dsn: str) -> dict[str, str]:
    environ = programs.environment(dsn)
    del environ["PGDATABASE"]
    return environ


async def _counted(dsn: str, point: str) -> dict[str, dict[str, Table]]:
    """What the tables hold at a restore point, which is written while for a moment nobody writes to them."""
    counting = await asyncpg.connect(dsn, timeout=10, server_settings=SETTINGS)
    try:
        async with counting.transaction(isolation="repeatable_read", readonly=True):
            async with _still(dsn) as holding:
                await counting.fetchval("select pg_current_snapshot()::text")
                await holding.execute("select pg_create_restore_point($1)", point)
            found = {service: await tables(counting, service) for service in SERVICES}
        # What was written up to here is on its way into the archive at once.
        await counting.execute("select pg_switch_wal()")
        return found
    finally:
        await counting.close()


@asynccontextmanager
async def _still(dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(dsn, timeout=10, server_settings={"lock_timeout": "500ms"})
    try:
        names = await connection.fetchval(_ALL_TABLES, list(SERVICES))
        for left in reversed(range(_TRIES)):
            transaction = connection.transaction()
            await transaction.start()
            try:
                if names:
                    await connection.execute(f"lock table {names} in share mode")
                break
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await transaction.rollback()
                if not left:
                    raise
                await asyncio.sleep(_PAUSE)
        yield connection
        await transaction.commit()
    finally:
        await connection.close()
