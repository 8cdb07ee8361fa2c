"""`backup` and `restore`: all services' data out to an encrypted folder, and in again."""

import asyncio
import os
from pathlib import Path

import asyncpg
import click
import pyrage

from libs.common.migrate import SERVICES
from ops.backup import Manifest, Store
from ops.backup.load import compare, connected, holds_data, load
from ops.backup.take import take
from ops.backup.verify import verify as prove
from ops.commands import archive
from ops.commands.doors import Refused, this_plan
from ops.commands.inputs import Days
from ops.environment import given, needed
from ops.stack.home import Home

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="BACKUP_FOLDER",
    help="By default .millrace/backups.",
)


@click.group(invoke_without_command=True)
@_folder
@click.option("--keep", type=click.IntRange(min=1), envvar="BACKUP_KEEP", help="Delete all but the newest KEEP.")
@click.option("--days", type=click.IntRange(min=1), envvar="BACKUP_DAYS", help="Physical: keep what DAYS days need.")
@click.option("--physical", is_flag=True, help="A copy of the whole cluster, into BACKUP_ARCHIVE.")
@click.pass_context
def backup(context: click.Context, folder: Path | None, keep: int | None, days: int | None, physical: bool) -> None:
    """Back up the data of all services, encrypted for BACKUP_RECIPIENT.

    The database is that of the stack here, or ADMIN_DATABASE_URL, whose role has to see all rows.
    """
    folder = folder or Home.of(os.environ).root / "backups"
    context.obj = Store(folder)
    if context.invoked_subcommand is None and physical:
        archive.take(_admin_url(), _recipient(), archive.opened(folder), keep, days)
    elif context.invoked_subcommand is None:
        name, manifest = asyncio.run(_take(_admin_url(), _recipient(), context.obj))
        click.echo(f"{name}: {_told(manifest)}")
        for gone in context.obj.forget(keep) if keep else []:
            click.echo(f"deleted {gone}")


@backup.command("list")
@click.pass_obj
def names(store: Store) -> None:
    """List the backups, the oldest first."""
    for line in sorted([*store.names(), *archive.listed(archive.opened(store.folder))]):
        click.echo(line)


@backup.command()
def key() -> None:
    """Make a key pair: BACKUP_RECIPIENT encrypts and is no secret, BACKUP_IDENTITY decrypts and is one."""
    identity = pyrage.x25519.Identity.generate()
    click.echo(f"BACKUP_RECIPIENT={identity.to_public()}\nBACKUP_IDENTITY={identity}")


@backup.command()
@click.argument("name", default="latest")
@click.option("--physical", is_flag=True, help="A physical backup, with the WAL after it.")
@click.pass_obj
def verify(store: Store, name: str, physical: bool) -> None:
    """Restore a backup into a scratch server and compare all rows with what was backed up."""
    if physical:
        return archive.verify(archive.opened(store.folder), name)
    directory = store.path(name)
    manifest = asyncio.run(prove(directory, needed("BACKUP_IDENTITY")))
    click.echo(f"{directory.name}: restores to what was backed up, {_told(manifest)}")


@backup.command()
@click.option(
    "--spool", type=click.Path(path_type=Path, file_okay=False), envvar="BACKUP_SPOOL", help="A directory for it alone."
)
@click.option(
    "--every", type=Days(0.05, 3600), default=10.0, envvar="BACKUP_STREAM_SECONDS", help="Lose at most so many seconds."
)
@click.pass_obj
def stream(store: Store, spool: Path | None, every: float) -> None:
    """Stream the WAL of the server into BACKUP_ARCHIVE, until it is told to end."""
    archive.stream(_admin_url(), _recipient(), archive.opened(store.folder), spool, every)


@click.command()
@click.argument("name", default="latest")
@_folder
@click.option("--to", help="From physical backups: as of a time such as 2026-11-21T13:45:00Z, or latest.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="With --to: the cluster's directory.")
@click.option("--replace", is_flag=True, help="Replace data that is there.")
@click.option("--connected", "anyway", is_flag=True, help="Even under services that are connected; never with --to.")
def restore(name: str, folder: Path | None, to: str | None, data: Path | None, replace: bool, anyway: bool) -> None:
    """Put a backup in the place of the data of all services, as a whole or not at all.

    Stop the services first and start them afterwards: while one is connected nothing is restored. A new server needs
    its roles before: millrace bootstrap.
    With --to a whole cluster is made, roles included, in the directory of a server that is stopped: by default the
    one of the stack here.
    """
    folder = folder or Home.of(os.environ).root / "backups"
    if to:
        return archive.restore(archive.opened(folder), to, data or Home.of(os.environ).data / "postgres", replace)
    directory = Store(folder).path(name)
    manifest = asyncio.run(_restore(_admin_url(), directory, needed("BACKUP_IDENTITY"), replace, anyway))
    click.echo(f"{directory.name}: restored, {_told(manifest)}")


async def _take(dsn: str, recipient: str, store: Store) -> tuple[str, Manifest]:
    try:
        return await take(dsn, recipient, store)
    except (OSError, asyncpg.PostgresError) as error:
        raise Refused(f"No backup was made: {error}") from error


async def _restore(dsn: str, directory: Path, identity: str, replace: bool, anyway: bool) -> Manifest:
    try:
        if not anyway and (there := await connected(dsn, SERVICES)):
            raise Refused(
                f"Services are connected to this database: {', '.join(there)}. They would go on with what they have "
                "read before, and write it back: stop them first. With --connected it is restored all the same; "
                "restart them then."
            )
        if not replace and await holds_data(dsn, SERVICES):
            raise Refused("There is data in this database; --replace puts the backup in its place")
        manifest = await load(dsn, directory, identity)
        if differences := await compare(dsn, manifest):
            raise Refused("\n".join(["What was restored is not what was backed up:", *differences]))
        return manifest
    except (OSError, asyncpg.PostgresError) as error:
        raise Refused(f"Nothing was restored: {error}") from error


def _admin_url() -> str:
    return given("ADMIN_DATABASE_URL") or given("DATABASE_URL") or this_plan().admin_url


def _recipient() -> str:
    recipient = needed("BACKUP_RECIPIENT")
    try:
        pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as error:
        raise Refused(f"BACKUP_RECIPIENT is no public key of age ({error}); make one: millrace backup key") from error
    return recipient


def _told(manifest: Manifest) -> str:
    size = sum(dump.bytes for dump in manifest.services.values())
    count = sum(len(dump.tables) for dump in manifest.services.values())
    return f"{manifest.rows} rows in {count} tables, {size / 1024**2:.1f} MiB"
