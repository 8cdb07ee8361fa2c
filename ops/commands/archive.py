"""What `backup` and `restore` do with physical backups."""

import asyncio
import os
import signal
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import asyncpg
import click
import psutil

from libs.common import logging
from ops.backup.physical import Archive, BaseManifest, open_objects
from ops.backup.physical.archive import archives
from ops.backup.physical.base import system_of, take_base
from ops.backup.physical.objects import Objects
from ops.backup.physical.restore import prove, restore_to
from ops.backup.physical.stream import Streaming
from ops.commands.doors import Refused
from ops.environment import given, needed


def opened(folder: Path) -> Objects:
    """The archive of BACKUP_ARCHIVE, by default beside the logical backups."""
    return open_objects(given("BACKUP_ARCHIVE") or (folder.resolve() / "archive").as_uri())


def listed(objects: Objects) -> list[str]:
    """A line for each physical backup."""
    return [
        f"{name} physical, {told(archive.manifest(name))}" for archive in archives(objects) for name in archive.bases()
    ]


def take(dsn: str, recipient: str, objects: Objects, keep: int | None, days: int | None) -> None:
    """Takes a base backup and forgets what is old."""
    try:
        name, manifest = asyncio.run(take_base(dsn, recipient, objects))
        click.echo(f"{name}: {told(manifest)}")
        for gone in asyncio.run(_archive_of(dsn, objects)).forget(keep, days):
            click.echo(f"deleted {gone}")
    except (OSError, asyncpg.PostgresError) as error:
        raise Refused(f"No backup was made: {error}") from error


def verify(objects: Objects, name: str) -> None:
    """Proves a base backup."""
    name, manifest = prove(objects, needed("BACKUP_IDENTITY"), name)
    click.echo(f"{name}: restores to what was backed up, {told(manifest)}")


def stream(dsn: str, recipient: str, objects: Objects, spool: Path | None, every: float) -> None:
    """Streams until told to end."""
    logging.configure("archive", os.environ.get("LOG_LEVEL", "INFO"))
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with ExitStack() as stack:
        spool = spool or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="millrace-archive-")))
        Streaming(dsn, recipient, objects, spool, every).run(stop)


def restore(objects: Objects, to: str, data: Path, replace: bool) -> None:
    """Makes a cluster in `data` as it was at a time."""
    moment = moment_of(to)
    if fault := _in_use(data / "postmaster.pid"):
        raise Refused(fault)
    if data.exists() and any(data.iterdir()) and not replace:
        raise Refused(f"There is data in {data}; --replace puts it aside and the backup in its place")
    base, aside = restore_to(objects, needed("BACKUP_IDENTITY"), moment, data)
    click.echo(f"{data}: as of {to}, from {base}{f'; what was there is in {aside}' if aside else ''}")


def _in_use(lock: Path) -> str | None:
    """What is said of a cluster that a server has, or had when it died. Its file names its process and its port."""
    if not lock.exists():
        return None
    pid, *more = lock.read_text().splitlines()
    if pid.isdigit() and psutil.pid_exists(int(pid)):
        port = more[2] if len(more) > 2 else "unknown"
        return f"A server runs on {lock.parent} (process {pid}, port {port}): stop the services, then it."
    return (
        f"A server died on {lock.parent}, or runs there in another container or on another machine. "
        f"Make sure that none runs, delete {lock}, and try again."
    )


def moment_of(text: str) -> datetime | None:
    """A time with its zone, UTC where none is given; null for `latest`."""
    if text == "latest":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"--to {text}: give a time such as 2026-11-21T13:45:00Z, or latest") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise Refused(f"--to {text}: this is in the future")
    return moment


def told(manifest: BaseManifest) -> str:
    """What a base backup holds."""
    count = sum(map(len, manifest.tables.values()))
    size = f"{manifest.bytes / 1024**2:.1f} MiB"
    return f"{manifest.rows} rows in {count} tables, {size}, from {manifest.taken_at:%FT%TZ} on"


async def _archive_of(dsn: str, objects: Objects) -> Archive:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return Archive(objects, await system_of(connection))
    finally:
        await connection.close()
